//! Losses without warning: killed tasks, and hosts that fail.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use harness::docker::eventually_on_engine;
use harness::load::wait_for_all;
use harness::{Load, LoadOptions, eventually};

use super::deployment::{Deployment, Setup};
use super::events::{self, Action};
use super::totals::Totals;
use super::update::CHANGE_TIMEOUT;

/// Limit for a change of Traefik's routes; Swarm takes about 20 s to mark a node as down.
const ROUTE_TIMEOUT: Duration = Duration::from_mins(2);

/// Limit for a number of responses under load.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Result of one kind of loss, over all rounds. Delays are in milliseconds.
pub(super) struct Row {
    pub(super) setup: &'static str,
    pub(super) loss: &'static str,
    pub(super) rounds: u16,
    pub(super) totals: Totals,
    /// From the loss until Traefik no longer routes to the lost task.
    pub(super) unrouted: Vec<f64>,
    /// From the loss until Traefik routes to a replacement.
    pub(super) replaced: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Task,
    NodeKilled,
    NodeCut,
    Hub,
    HubNodeCut,
    Traefik,
}

impl Loss {
    const ALL: [Self; 6] =
        [Self::Task, Self::NodeKilled, Self::NodeCut, Self::Hub, Self::HubNodeCut, Self::Traefik];

    fn name(self) -> &'static str {
        match self {
            Self::Task => "task killed",
            Self::NodeKilled => "node killed",
            Self::NodeCut => "node cut off",
            Self::Hub => "hub killed",
            Self::HubNodeCut => "hub's node cut off, tasks elsewhere",
            Self::Traefik => "Traefik killed",
        }
    }

    fn is_possible(self, setup: Setup) -> bool {
        match self {
            Self::Hub | Self::HubNodeCut => setup == Setup::Ours,
            _ => setup != Setup::Shipped,
        }
    }

    /// Whether a task under load is lost.
    fn takes_a_task(self) -> bool {
        matches!(self, Self::Task | Self::NodeKilled | Self::NodeCut)
    }
}

/// Makes every loss happen `rounds` times, and adds one row for each.
pub(super) fn measure(deployment: &Deployment<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    for loss in Loss::ALL.into_iter().filter(|loss| loss.is_possible(deployment.setup)) {
        let mut row = Row {
            setup: deployment.setup.name(),
            loss: loss.name(),
            rounds,
            totals: Totals::default(),
            unrouted: Vec::new(),
            replaced: Vec::new(),
        };
        for round in 1..=rounds {
            eprintln!("{}: {}, {round} of {rounds}", row.setup, row.loss);
            row.measure(deployment, loss)?;
        }
        rows.push(row);
    }
    Ok(())
}

impl Row {
    fn measure(&mut self, deployment: &Deployment<'_>, loss: Loss) -> Result<()> {
        let lab = deployment.lab;
        // The manager stays, and the hub's node is lost only on purpose.
        let victim = &lab.nodes()[2];
        if deployment.setup == Setup::Ours {
            let hub_node = if loss == Loss::HubNodeCut { victim } else { &lab.nodes()[0] };
            lab.move_to(&deployment.stack, "hub", hub_node)?;
        }
        let elsewhere = format!("node.hostname!={}", victim.name());
        if loss == Loss::HubNodeCut {
            deployment.stack.add_constraint("pings", &elsewhere)?;
            eventually_on_engine(LOAD_TIMEOUT, || {
                deployment.container_on("pings", victim).is_ok_and(|container| container.is_none())
            })?;
        }
        if loss.takes_a_task() && deployment.container_on("pings", victim)?.is_none() {
            // An earlier loss may have moved all tasks away; an update spreads them again.
            deployment.stack.replace(&["pings"], CHANGE_TIMEOUT)?;
        }
        deployment.wait_settled()?;
        let task = deployment.container_on("pings", victim)?;
        let server = task.as_ref().map(Deployment::server).transpose()?;
        let ping = deployment.container_on("ping", victim)?.as_ref().map(Deployment::server).transpose()?;
        let traefik = deployment.traefik();
        let before = traefik.servers()?;

        let loads = [(100, 64, false), (200, 4, true)].into_iter().map(|(rate, connections, keep_alive)| {
            let options = LoadOptions { rate, connections, keep_alive, ..LoadOptions::default() };
            Load::start(deployment.url("/pings"), &options)
        });
        let loads = loads.collect::<Result<Vec<_>>>()?;
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;

        let mut began = SystemTime::now();
        match loss {
            Loss::Task => task.as_ref().context("no task on the node")?.kill()?,
            Loss::NodeKilled => victim.kill()?,
            Loss::NodeCut | Loss::HubNodeCut => lab.disconnect(victim)?,
            Loss::Hub => deployment.containers("hub")?.pop().context("no container of the hub")?.kill()?,
            Loss::Traefik => {
                let container = deployment.container_on("traefik", deployment.entry())?;
                container.context("no Traefik on the node")?.kill()?;
            }
        }
        let wait_unrouted = |server: &String| {
            eventually(ROUTE_TIMEOUT, || traefik.servers().is_ok_and(|servers| !servers.contains(server)))
        };
        if let (true, Some(server)) = (loss.takes_a_task(), &server) {
            wait_unrouted(server).context("waiting until the lost task is unrouted")?;
            let unrouted = SystemTime::now();
            if loss == Loss::Task {
                // The Docker client takes some time before the engine kills the task.
                let events = events::since(lab.nodes(), began)?;
                let killed = events.iter().find(|event| event.action == Action::Killed);
                began = killed.context("the engine reported no kill")?.at;
            }
            self.unrouted.push(millis(began, unrouted));
            // A global service gets no replacement, so any server that is new counts.
            let new =
                || traefik.server_list().is_ok_and(|servers| servers.iter().any(|one| !before.contains(one)));
            eventually(ROUTE_TIMEOUT, new).context("waiting until a replacement is routed")?;
            self.replaced.push(millis(began, SystemTime::now()));
        }
        if loss == Loss::HubNodeCut {
            // Another hub has taken over when it lists the remaining tasks only.
            let lost_ping = ping.context("no ping on the node")?;
            wait_unrouted(&lost_ping).context("waiting for another hub")?;
        }
        if matches!(loss, Loss::NodeKilled | Loss::NodeCut | Loss::HubNodeCut) {
            lab.reconnect(victim)?;
        }
        deployment.wait_settled()?;
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;
        for load in loads {
            self.totals.add(self.loss, &load.stop()?);
        }
        if loss == Loss::HubNodeCut {
            deployment.stack.remove_constraint("pings", &elsewhere)?;
        }
        Ok(())
    }
}

pub(super) fn millis(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64() * 1000.0
}
