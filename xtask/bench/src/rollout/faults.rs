//! Updates to a version that cannot be routed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::docker::eventually_on_engine;
use harness::load::wait_for_all;
use harness::{Load, LoadOptions, eventually};

use super::deployment::{Deployment, Setup};
use super::totals::Totals;
use super::update::CHANGE_TIMEOUT;

/// Limit for a number of responses under load.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Service that is updated, by the route without the retry middleware.
const SERVICE: &str = "pings";

/// Result of one kind of fault, over all rounds.
pub(super) struct Row {
    pub(super) setup: &'static str,
    pub(super) fault: &'static str,
    pub(super) rounds: u16,
    pub(super) totals: Totals,
    /// How Swarm ended the last update, such as `completed` or `rollback_completed`.
    pub(super) ended: String,
}

/// A version that cannot be routed, or the absence of the hub.
struct Fault {
    name: &'static str,
    /// Arguments of `docker service update`.
    changes: &'static [&'static str],
    /// Whether it concerns the labels, which all setups read.
    is_label: bool,
    without_hub: bool,
}

const FAULTS: [Fault; 5] = [
    Fault {
        name: "wrong token",
        changes: &["--env-add", "SIDECAR_TOKEN_FILE=/etc/hostname"],
        is_label: false,
        without_hub: false,
    },
    Fault { name: "no hub", changes: &["--force"], is_label: false, without_hub: true },
    Fault {
        name: "unknown option in a label",
        changes: &["--label-add", "traefik.http.middlewares.plain-pings.strippprefix.prefixes=/plain/pings"],
        is_label: true,
        without_hub: false,
    },
    Fault {
        name: "rule of Traefik 2",
        changes: &[
            "--label-add",
            "traefik.http.routers.plain-pings.rule=PathPrefix(`/plain/pings`, `/pings`)",
        ],
        is_label: true,
        without_hub: false,
    },
    Fault {
        name: "entry point that does not exist",
        changes: &["--label-add", "traefik.http.routers.plain-pings.entrypoints=missing"],
        is_label: true,
        without_hub: false,
    },
];

/// Updates to every faulty version `rounds` times, and adds one row for each.
pub(super) fn measure(deployment: &Deployment<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    let setup = deployment.setup;
    let is_possible = |fault: &&Fault| setup == Setup::Ours || (fault.is_label && setup == Setup::Tuned);
    for fault in FAULTS.iter().filter(is_possible) {
        let (totals, ended) = (Totals::default(), String::new());
        let mut row = Row { setup: setup.name(), fault: fault.name, rounds, totals, ended };
        for round in 1..=rounds {
            eprintln!("{}: {}, {round} of {rounds}", row.setup, row.fault);
            row.measure(deployment, fault)?;
        }
        rows.push(row);
    }
    Ok(())
}

impl Row {
    fn measure(&mut self, deployment: &Deployment<'_>, fault: &Fault) -> Result<()> {
        deployment.wait_settled()?;
        let docker = deployment.lab.docker();
        let name = deployment.stack.service(SERVICE);
        let load = LoadOptions { rate: 100, connections: 64, keep_alive: false, ..LoadOptions::default() };
        let loads = [Load::start(deployment.url("/plain/pings"), &load)?];
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;

        if fault.without_hub {
            scale_hub(deployment, 0)?;
        }
        // A version that does not turn healthy fails after the start period; the default of 60 s only prolongs the round.
        let update = ["service", "update", "--quiet", "--no-resolve-image", "--detach"];
        let short = ["--health-start-period", "5s", "--health-retries", "1"];
        docker.run(&[&update[..], &short, fault.changes, &[&name]].concat())?;
        eventually_on_engine(CHANGE_TIMEOUT, || {
            self.ended = docker.run(&[
                "service",
                "inspect",
                "--format",
                "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
                &name,
            ])?;
            let over = ["completed", "rollback_completed", "paused", "rollback_paused"];
            ensure!(over.contains(&self.ended.as_str()), "update state: {}", self.ended);
            Ok(())
        })
        .context("waiting for the end of the update")?;
        // Whether they succeed or not: the clients of the new version count.
        for load in &loads {
            let sent = load.so_far().requests;
            eventually(LOAD_TIMEOUT, || load.so_far().requests >= sent + 200)?;
        }
        for load in loads {
            self.totals.add(self.fault, &load.stop()?);
        }
        if fault.without_hub {
            scale_hub(deployment, 1)?;
        }
        if self.ended == "completed" {
            docker.run(&["service", "update", "--quiet", "--detach", "--rollback", &name])?;
        }
        deployment.wait_settled()
    }
}

fn scale_hub(deployment: &Deployment<'_>, replicas: usize) -> Result<()> {
    let scale = format!("{}={replicas}", deployment.stack.service("hub"));
    deployment.lab.docker().run(&["service", "scale", "--detach", &scale])?;
    eventually_on_engine(CHANGE_TIMEOUT, || {
        deployment.containers("hub").is_ok_and(|running| running.len() == replicas)
    })
}
