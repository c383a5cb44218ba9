//! What vanishes without a word.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use harness::docker::settled;
use harness::load::all_go_on;
use harness::{Load, LoadOptions, eventually};

use super::events::{self, What};
use super::setup::{Deployed, SetUp};
use super::sum::Sum;
use super::update::CHANGE;

/// How long it may take until nothing goes to what was lost: Swarm gives a node up after some 20 s.
const UNROUTED: Duration = Duration::from_mins(2);

/// How long load waits for a number of answers.
const SOON: Duration = Duration::from_mins(1);

/// What came of one kind of loss, over all rounds.
pub(super) struct Row {
    pub(super) set_up: &'static str,
    pub(super) loss: &'static str,
    pub(super) rounds: u16,
    pub(super) sum: Sum,
    /// Until Traefik has the lost task no more, of each round, in milliseconds.
    pub(super) unrouted: Vec<f64>,
    /// Until Traefik has another task in its place, of each round, in milliseconds.
    pub(super) replaced: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Task,
    NodeKilled,
    NodeCut,
    Hub,
    HubsNodeCut,
    Traefik,
}

impl Loss {
    const ALL: [Self; 6] =
        [Self::Task, Self::NodeKilled, Self::NodeCut, Self::Hub, Self::HubsNodeCut, Self::Traefik];

    fn name(self) -> &'static str {
        match self {
            Self::Task => "task killed",
            Self::NodeKilled => "node killed",
            Self::NodeCut => "node cut off",
            Self::Hub => "hub killed",
            Self::HubsNodeCut => "hub's node cut off, tasks elsewhere",
            Self::Traefik => "Traefik killed",
        }
    }

    fn is_possible(self, set_up: SetUp) -> bool {
        match self {
            Self::Hub | Self::HubsNodeCut => set_up == SetUp::Ours,
            _ => set_up != SetUp::Shipped,
        }
    }

    /// Whether a task of the loaded service goes with it.
    fn takes_a_task(self) -> bool {
        matches!(self, Self::Task | Self::NodeKilled | Self::NodeCut)
    }
}

/// Makes every loss happen so often, and adds a row for each.
pub(super) fn measure(deployed: &Deployed<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    for loss in Loss::ALL.into_iter().filter(|loss| loss.is_possible(deployed.set_up)) {
        let mut row = Row {
            set_up: deployed.set_up.name(),
            loss: loss.name(),
            rounds,
            sum: Sum::default(),
            unrouted: Vec::new(),
            replaced: Vec::new(),
        };
        for round in 1..=rounds {
            eprintln!("{}: {}, {round} of {rounds}", row.set_up, row.loss);
            row.measure(deployed, loss)?;
        }
        rows.push(row);
    }
    Ok(())
}

impl Row {
    fn measure(&mut self, deployed: &Deployed<'_>, loss: Loss) -> Result<()> {
        let lab = deployed.lab;
        // Neither the manager nor, unless it is meant, the hub's.
        let victim = &lab.nodes()[2];
        if deployed.set_up == SetUp::Ours {
            let hubs = if loss == Loss::HubsNodeCut { victim } else { &lab.nodes()[0] };
            lab.move_to(&deployed.stack, "hub", hubs)?;
        }
        let elsewhere = format!("node.hostname!={}", victim.name());
        if loss == Loss::HubsNodeCut {
            deployed.stack.constrain("pings", &elsewhere)?;
            settled(SOON, || deployed.on("pings", victim).is_ok_and(|one| one.is_none()))?;
        }
        if loss.takes_a_task() && deployed.on("pings", victim)?.is_none() {
            // Spread again, which what happened before may have undone.
            deployed.stack.replace(&["pings"], CHANGE)?;
        }
        deployed.wait_settled()?;
        let victims = deployed.on("pings", victim)?;
        let server = victims.as_ref().map(Deployed::server).transpose()?;
        let ping = deployed.on("ping", victim)?.as_ref().map(Deployed::server).transpose()?;
        let before = deployed.view().servers()?;

        let loads = [(100, 64, false), (200, 4, true)].into_iter().map(|(rate, connections, keep_alive)| {
            let options = LoadOptions { rate, connections, keep_alive, ..LoadOptions::default() };
            Load::start(deployed.url("/pings"), &options)
        });
        let loads = loads.collect::<Result<Vec<_>>>()?;
        all_go_on(&loads, 100, SOON)?;

        let mut began = SystemTime::now();
        match loss {
            Loss::Task => victims.as_ref().context("no task on the node")?.kill()?,
            Loss::NodeKilled => victim.kill()?,
            Loss::NodeCut | Loss::HubsNodeCut => lab.cut(victim)?,
            Loss::Hub => deployed.only("hub")?.kill()?,
            Loss::Traefik => {
                deployed.on("traefik", deployed.entry())?.context("no Traefik on the node")?.kill()?;
            }
        }
        if let (true, Some(server)) = (loss.takes_a_task(), &server) {
            let view = deployed.view();
            let gone = eventually(UNROUTED, || view.servers().is_ok_and(|servers| !servers.contains(server)));
            gone.context("waiting until the lost task is unrouted")?;
            let unrouted = SystemTime::now();
            if loss == Loss::Task {
                // The client takes its time before the engine kills.
                let events = events::of(lab, began)?;
                let killed = events.iter().find(|event| event.what == What::Killed);
                began = killed.context("the engine does not say when it has killed")?.at;
            }
            self.unrouted.push(millis(began, unrouted));
            // A global service has none: only such a server counts that was not there before.
            let new =
                || view.server_list().is_ok_and(|servers| servers.iter().any(|one| !before.contains(one)));
            eventually(UNROUTED, new).context("waiting until another task is routed")?;
            self.replaced.push(millis(began, SystemTime::now()));
        }
        if loss == Loss::HubsNodeCut {
            // Until another hub knows all that are left, and no more.
            let (view, cut_off) = (deployed.view(), ping.context("no ping on the node")?);
            let gone = || view.servers().is_ok_and(|servers| !servers.contains(&cut_off));
            eventually(UNROUTED, gone).context("waiting for another hub")?;
        }
        if matches!(loss, Loss::NodeKilled | Loss::NodeCut | Loss::HubsNodeCut) {
            lab.heal(victim)?;
        }
        deployed.wait_settled()?;
        all_go_on(&loads, 100, SOON)?;
        for load in loads {
            self.sum.add(self.loss, &load.stop()?);
        }
        if loss == Loss::HubsNodeCut {
            deployed.stack.release("pings", &elsewhere)?;
        }
        Ok(())
    }
}

fn millis(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64() * 1000.0
}
