//! Losses of one of several hubs during an update, and an update of all hubs.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use harness::docker::eventually_on_engine;
use harness::lab::Node;
use harness::load::wait_for_all;
use harness::stack::{SETTLE_TIMEOUT, Stack};
use harness::{Container, Load, LoadOptions, Report};

use super::deployment::Deployment;
use super::events::{self, Action};
use super::faults::{scale_hub, signal};
use super::loss::millis;
use super::totals::Totals;
use super::update::CHANGE_TIMEOUT;

/// Number of hubs: one per host.
const HUBS: usize = 3;

/// Service that is updated meanwhile, on the hosts that are not lost.
const UPDATED: &str = "hello";

/// Limit for a number of responses under load.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Time after a loss within which requests may still be sent to the tasks of a lost host, in seconds.
const EARLY: f64 = 5.0;

/// Result of one kind of loss, over all rounds. Delays are in milliseconds.
pub(super) struct Row {
    pub(super) loss: &'static str,
    pub(super) rounds: u16,
    pub(super) totals: Totals,
    /// Failed requests that were sent within [`EARLY`], and later ones.
    pub(super) failed: [u64; 2],
    /// From the loss until every Traefik on a live host polls a live hub, for rounds in which one polled the lost one.
    pub(super) moved: Vec<f64>,
    /// From the loss until the first task that started after it was healthy.
    pub(super) first_green: Vec<f64>,
    /// From the start until the task was healthy, for each task of the update.
    pub(super) green: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Killed,
    Paused,
    HostKilled,
    HostCut,
    Updated,
}

impl Loss {
    const ALL: [Self; 5] = [Self::Killed, Self::Paused, Self::HostKilled, Self::HostCut, Self::Updated];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "hub killed",
            Self::Paused => "hub paused",
            Self::HostKilled => "hub's node killed",
            Self::HostCut => "hub's node cut off",
            Self::Updated => "all hubs updated",
        }
    }

    fn takes_host(self) -> bool {
        matches!(self, Self::HostKilled | Self::HostCut)
    }
}

/// Makes every loss happen `rounds` times with several hubs, and adds one row for each.
pub(super) fn measure(deployment: &Deployment<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    if rounds == 0 {
        return Ok(());
    }
    scale_hub(deployment, HUBS)?;
    for loss in Loss::ALL {
        let mut row = Row {
            loss: loss.name(),
            rounds,
            totals: Totals::default(),
            failed: [0; 2],
            moved: Vec::new(),
            first_green: Vec::new(),
            green: Vec::new(),
        };
        for round in 1..=rounds {
            eprintln!("{HUBS} hubs: {}, {round} of {rounds}", row.loss);
            row.measure(deployment, loss)?;
        }
        rows.push(row);
    }
    scale_hub(deployment, 1)
}

impl Row {
    fn measure(&mut self, deployment: &Deployment<'_>, loss: Loss) -> Result<()> {
        let lab = deployment.lab;
        spread(deployment)?;
        let (routers, victim) = busiest(deployment)?;
        let node = lab.node_of(&victim)?;
        let elsewhere = format!("node.hostname!={}", node.name());
        if loss.takes_host() {
            deployment.stack.add_constraint(UPDATED, &elsewhere)?;
            eventually_on_engine(LOAD_TIMEOUT, || {
                deployment.container_on(UPDATED, node).is_ok_and(|container| container.is_none())
            })?;
        }
        settle(deployment)?;
        let live: Vec<_> =
            lab.nodes().iter().filter(|other| !loss.takes_host() || other.name() != node.name()).collect();
        let stack = on(deployment, &live);
        let loads = live.iter().flat_map(|node| loads(node)).collect::<Result<Vec<_>>>()?;
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;

        let began = SystemTime::now();
        match loss {
            Loss::Killed => victim.kill()?,
            Loss::Paused => signal(&victim, "STOP")?,
            Loss::HostKilled => node.kill()?,
            Loss::HostCut => lab.disconnect(node)?,
            Loss::Updated => deployment.stack.start_update("hub")?,
        }
        let moved = || {
            eventually_on_engine(CHANGE_TIMEOUT, || {
                let hubs = stack.containers_of("hub")?;
                let hubs = hubs.iter().filter(|hub| hub.id() != victim.id());
                let routers: usize = hubs.map(|hub| lab.routers_of(hub)).sum::<Result<_>>()?;
                ensure!(routers >= live.len(), "{routers} of {} Traefiks poll a hub", live.len());
                Ok(SystemTime::now())
            })
        };
        let moved = thread::scope(|scope| {
            let moved = scope.spawn(moved);
            stack.replace(&[UPDATED], CHANGE_TIMEOUT)?;
            moved.join().expect("no panic")
        })?;
        // The Traefik on a lost host does not count.
        if loss != Loss::Updated && routers > usize::from(loss.takes_host()) {
            self.moved.push(millis(began, moved));
        }
        self.add_events(deployment, began, &live)?;

        match loss {
            // Swarm may have replaced it, since its health check failed.
            Loss::Paused => drop(signal(&victim, "CONT")),
            Loss::HostKilled | Loss::HostCut => lab.reconnect(node)?,
            Loss::Updated => deployment.stack.wait_updated("hub", CHANGE_TIMEOUT)?,
            Loss::Killed => {}
        }
        settle(deployment)?;
        wait_for_all(&loads, 100, LOAD_TIMEOUT)?;
        for load in loads {
            let report = load.stop()?;
            self.totals.add(self.loss, &report);
            self.add_failures(&report, began);
        }
        if loss.takes_host() {
            deployment.stack.remove_constraint(UPDATED, &elsewhere)?;
        }
        Ok(())
    }

    fn add_events(&mut self, deployment: &Deployment<'_>, began: SystemTime, live: &[&Node]) -> Result<()> {
        let events = events::since(live.iter().copied(), began)?;
        let service = deployment.stack.service(UPDATED);
        let of = |action| {
            let matches = move |event: &&events::Event| event.action == action;
            events.iter().filter(|event| event.service == service).filter(matches)
        };
        let green = of(Action::Healthy).map(|event| millis(began, event.at));
        self.first_green.push(green.min_by(f64::total_cmp).context("no task turned healthy")?);
        for started in of(Action::Started) {
            let green = of(Action::Healthy).find(|healthy| healthy.host == started.host);
            self.green.extend(green.map(|healthy| millis(started.at, healthy.at)));
        }
        Ok(())
    }

    fn add_failures(&mut self, report: &Report, began: SystemTime) {
        let started = UNIX_EPOCH + Duration::from_millis(report.started_unix_ms);
        let until = millis(started, began) / 1e3 + EARLY;
        let early = report.failures.listed.iter().filter(|failure| failure.sent < until).count() as u64;
        self.failed[0] += early;
        self.failed[1] += report.failed - early;
    }
}

/// Loads on the routes without the retry middleware.
fn loads(node: &Node) -> [Result<Load>; 2] {
    [("/plain-pings", harness::load::PONG), ("/plain/hello/viktor", harness::load::HELLO)].map(
        |(path, instance)| {
            let options = LoadOptions { rate: 100, instance, ..LoadOptions::default() };
            Load::start(format!("http://{}{path}", node.address()), &options)
        },
    )
}

/// The stack as far as it runs on `nodes`, of which the first is the manager.
fn on(deployment: &Deployment<'_>, nodes: &[&Node]) -> Stack {
    let workers = nodes[1..].iter().map(|node| node.docker().clone());
    Stack::new(nodes[0].docker().clone(), deployment.stack.name()).with_workers(workers)
}

/// Waits until each node has a hub. An earlier loss may have left two on one node; an update spreads them again.
fn spread(deployment: &Deployment<'_>) -> Result<()> {
    let is_spread = || {
        deployment.lab.nodes().iter().all(|node| matches!(deployment.container_on("hub", node), Ok(Some(_))))
    };
    if !is_spread() {
        deployment.stack.replace(&["hub"], CHANGE_TIMEOUT)?;
        deployment.stack.wait_updated("hub", CHANGE_TIMEOUT)?;
    }
    settle(deployment)
}

/// Waits until all tasks are routed and each Traefik polls a hub.
fn settle(deployment: &Deployment<'_>) -> Result<()> {
    deployment.wait_settled()?;
    let nodes = deployment.lab.nodes().len();
    eventually_on_engine(SETTLE_TIMEOUT, || {
        let hubs = deployment.containers("hub")?.len();
        let routers = deployment.lab.polling_routers(&deployment.stack)?;
        ensure!(hubs == HUBS && routers == nodes, "{hubs} hubs, {routers} of {nodes} Traefiks poll a hub");
        Ok(())
    })
}

/// The hub that most Traefiks poll, among those on hosts other than the manager's, and their number.
fn busiest(deployment: &Deployment<'_>) -> Result<(usize, Container)> {
    let mut hubs = Vec::new();
    for node in &deployment.lab.nodes()[1..] {
        let hub =
            deployment.container_on("hub", node)?.with_context(|| format!("no hub on {}", node.name()))?;
        hubs.push((deployment.lab.routers_of(&hub)?, hub));
    }
    hubs.into_iter().max_by_key(|(routers, _)| *routers).context("no hub")
}
