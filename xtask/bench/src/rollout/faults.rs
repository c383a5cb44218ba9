//! Updates to a version that cannot be routed, or while hub or Traefik fail.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::docker::eventually_on_engine;
use harness::load::wait_for_all;
use harness::{Container, Load, LoadOptions, eventually};

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

/// Duration of a pause.
const PAUSE: Duration = Duration::from_secs(10);

/// An update to a version that cannot be routed, or an update while something else fails.
struct Fault {
    name: &'static str,
    /// Arguments of `docker service update`.
    changes: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The label is faulty, which all setups read.
    Label,
    /// The sidecar's environment is faulty.
    Environment,
    /// The hub is scaled to 0.
    HubAbsent,
    /// The hub does not run for [`PAUSE`].
    HubPaused,
    /// The hub is killed, and Swarm starts another one.
    HubKilled,
    /// The Traefik under load does not run for [`PAUSE`].
    TraefikPaused,
}

const FAULTS: [Fault; 9] = [
    Fault {
        name: "wrong token",
        changes: &["--env-add", "SIDECAR_TOKEN_FILE=/etc/hostname"],
        kind: Kind::Environment,
    },
    Fault { name: "no hub", changes: &["--force"], kind: Kind::HubAbsent },
    Fault {
        name: "unknown option in a label",
        changes: &["--label-add", "traefik.http.middlewares.plain-pings.strippprefix.prefixes=/plain-pings"],
        kind: Kind::Label,
    },
    Fault {
        name: "rule of Traefik 2",
        changes: &[
            "--label-add",
            "traefik.http.routers.plain-pings.rule=PathPrefix(`/plain-pings`, `/pings`)",
        ],
        kind: Kind::Label,
    },
    Fault {
        name: "entry point that does not exist",
        changes: &["--label-add", "traefik.http.routers.plain-pings.entrypoints=missing"],
        kind: Kind::Label,
    },
    Fault {
        name: "middleware x@file that does not exist",
        changes: &["--label-add", "traefik.http.routers.plain-pings.middlewares=plain-pings,x@file"],
        kind: Kind::Label,
    },
    Fault { name: "hub paused for 10 s", changes: &["--force"], kind: Kind::HubPaused },
    Fault { name: "hub killed", changes: &["--force"], kind: Kind::HubKilled },
    Fault { name: "Traefik paused for 10 s", changes: &["--force"], kind: Kind::TraefikPaused },
];

impl Kind {
    fn is_possible(self, setup: Setup) -> bool {
        match setup {
            Setup::Ours => true,
            Setup::Tuned => matches!(self, Self::Label | Self::TraefikPaused),
            Setup::Shipped => false,
        }
    }

    /// Whether the new version works once the fault has ended.
    fn ends(self) -> bool {
        matches!(self, Self::HubPaused | Self::HubKilled | Self::TraefikPaused)
    }
}

/// Updates to every faulty version `rounds` times, and adds one row for each.
pub(super) fn measure(deployment: &Deployment<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    let setup = deployment.setup;
    for fault in FAULTS.iter().filter(|fault| fault.kind.is_possible(setup)) {
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
        let mut load =
            LoadOptions { rate: 100, connections: 64, keep_alive: false, ..LoadOptions::default() };
        if fault.kind == Kind::TraefikPaused {
            // Clients that outlast the pause: it delays their requests.
            load.connections = 2048;
            load.timeout = LOAD_TIMEOUT;
        }
        let loads = [Load::start(deployment.url("/plain-pings"), &load)?];
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;

        let paused = match fault.kind {
            Kind::HubPaused => deployment.containers("hub")?.pop(),
            Kind::TraefikPaused => deployment.container_on("traefik", deployment.entry())?,
            _ => None,
        };
        if fault.kind == Kind::HubAbsent {
            scale_hub(deployment, 0)?;
        }
        let update = ["service", "update", "--quiet", "--no-resolve-image", "--detach"];
        // A version that never turns healthy fails after the start period, whose default of 120 s only prolongs the round.
        let short = ["--health-start-period", "5s", "--health-retries", "1"];
        let short = if fault.kind.ends() { &[][..] } else { &short };
        docker.run(&[&update[..], short, fault.changes, &[&name]].concat())?;
        if let Some(container) = paused {
            signal(&container, "STOP")?;
            thread::sleep(PAUSE);
            signal(&container, "CONT")?;
        }
        if fault.kind == Kind::HubKilled {
            deployment.containers("hub")?.pop().context("no container of the hub")?.kill()?;
        }
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
        if fault.kind == Kind::HubAbsent {
            scale_hub(deployment, 1)?;
        }
        if self.ended == "completed" && !fault.kind.ends() {
            docker.run(&["service", "update", "--quiet", "--detach", "--rollback", &name])?;
        }
        deployment.wait_settled()
    }
}

pub(super) fn signal(container: &Container, name: &str) -> Result<()> {
    container.docker().run(&["kill", "--signal", name, container.id()]).map(drop)
}

pub(super) fn scale_hub(deployment: &Deployment<'_>, replicas: usize) -> Result<()> {
    let scale = format!("{}={replicas}", deployment.stack.service("hub"));
    deployment.lab.docker().run(&["service", "scale", "--detach", &scale])?;
    eventually_on_engine(CHANGE_TIMEOUT, || {
        deployment.containers("hub").is_ok_and(|running| running.len() == replicas)
    })
}
