//! Planned changes: updates of every service, of the hub, and scaling.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use harness::docker::settled;
use harness::load::{HELLO, PONG, all_go_on, instance};
use harness::{Load, LoadOptions, Report};

use super::events::{self, Event, What};
use super::setup::{Deployed, SetUp};
use super::sum::Sum;

/// How long one change may take.
pub(super) const CHANGE: Duration = Duration::from_mins(4);

/// How long load waits for a number of answers.
const SOON: Duration = Duration::from_mins(1);

/// What came of one kind of load on one service during one kind of change, over all rounds.
#[derive(Default)]
pub(super) struct Row {
    pub(super) set_up: &'static str,
    pub(super) change: &'static str,
    pub(super) load: &'static str,
    pub(super) rounds: u16,
    pub(super) sum: Sum,
    /// From Docker's `healthy` to the first request, of each new task, in milliseconds.
    pub(super) healthy_to_first: Vec<f64>,
    /// From the start of the container to the first request, of each new task, in milliseconds.
    pub(super) start_to_first: Vec<f64>,
    /// For how long each task that was told to stop was asked by this load, in milliseconds; not at all is 0.
    pub(super) after_stop: Vec<f64>,
}

/// Load on one path.
struct Kind {
    name: &'static str,
    service: &'static str,
    path: &'static str,
    options: LoadOptions,
}

/// An action, and the load that is to notice nothing.
struct Change {
    name: &'static str,
    loaded: &'static [&'static str],
    action: fn(&Deployed<'_>) -> Result<()>,
}

const CHANGES: [Change; 3] = [
    Change {
        name: "update",
        loaded: &["ping", "pings", "hello", "slow"],
        action: |deployed| deployed.stack.replace(&["ping", "pings", "hello", "slow"], CHANGE),
    },
    Change { name: "update of the hub", loaded: &["ping", "hello"], action: update_hub },
    Change { name: "scale 3→6→2", loaded: &["pings"], action: scale },
];

/// Makes every change so often, and adds a row for each kind of load on each service.
pub(super) fn measure(deployed: &Deployed<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    for change in CHANGES.iter().filter(|change| is_possible(deployed.set_up, change)) {
        let kinds: Vec<_> =
            kinds().into_iter().filter(|kind| change.loaded.contains(&kind.service)).collect();
        let mut of_change: Vec<_> = kinds.iter().map(|kind| row(deployed, change, kind, rounds)).collect();
        for round in 1..=rounds {
            eprintln!("{}: {}, {round} of {rounds}", deployed.set_up.name(), change.name);
            deployed.wait_settled()?;
            let since = SystemTime::now();
            let loads = kinds.iter().map(|kind| Load::start(deployed.url(kind.path), &kind.options));
            let loads = loads.collect::<Result<Vec<_>>>()?;
            all_go_on(&loads, 20, SOON)?;
            (change.action)(deployed)?;
            deployed.wait_settled()?;
            all_go_on(&loads, 20, SOON)?;
            let reports = loads.into_iter().map(Load::stop).collect::<Result<Vec<_>>>()?;
            let events = events::of(deployed.lab, since)?;
            for ((row, kind), report) in of_change.iter_mut().zip(&kinds).zip(&reports) {
                row.count(report, &deployed.stack.service(kind.service), &events);
            }
        }
        rows.extend(of_change);
    }
    Ok(())
}

/// There is a hub in our set-up only.
fn is_possible(set_up: SetUp, change: &Change) -> bool {
    set_up == SetUp::Ours || change.name != "update of the hub"
}

fn kinds() -> Vec<Kind> {
    let new = |instance| LoadOptions {
        rate: 50,
        connections: 64,
        keep_alive: false,
        instance,
        ..LoadOptions::default()
    };
    let kept = |instance| LoadOptions { rate: 100, instance, ..LoadOptions::default() };
    let slow = LoadOptions {
        rate: 10,
        connections: 200,
        keep_alive: false,
        timeout: Duration::from_secs(15),
        instance: r"body:^Slow after [0-9.]+ s from (\S+)\n$",
        ..LoadOptions::default()
    };
    let kind = |name, service, path, options| Kind { name, service, path, options };
    vec![
        kind("ping, global, 50/s, new connections", "ping", "/plain/ping", new(PONG)),
        kind("ping, global, 100/s, kept connections", "ping", "/plain/ping", kept(PONG)),
        kind("ping, 3 replicas, 50/s, new connections", "pings", "/plain/pings", new(PONG)),
        kind("ping, 3 replicas, 100/s, kept connections", "pings", "/plain/pings", kept(PONG)),
        kind("hello, 50/s, new connections", "hello", "/plain/hello/viktor", new(HELLO)),
        kind("hello, 100/s, kept connections", "hello", "/plain/hello/viktor", kept(HELLO)),
        kind("answers after 1 to 5 s, 10/s", "slow", "/plain/slow", slow),
    ]
}

fn update_hub(deployed: &Deployed<'_>) -> Result<()> {
    deployed.stack.replace(&["hub"], CHANGE)
}

fn scale(deployed: &Deployed<'_>) -> Result<()> {
    for replicas in [6, 2] {
        let scale = format!("{}={replicas}", deployed.stack.service("pings"));
        deployed.lab.docker().run(&["service", "scale", "--detach", &scale])?;
        settled(CHANGE, || deployed.containers("pings").is_ok_and(|all| all.len() == replicas))?;
        deployed.wait_settled()?;
    }
    let back = format!("{}=3", deployed.stack.service("pings"));
    deployed.lab.docker().run(&["service", "scale", "--detach", &back])?;
    settled(CHANGE, || deployed.containers("pings").is_ok_and(|all| all.len() == 3))
}

fn row(deployed: &Deployed<'_>, change: &Change, kind: &Kind, rounds: u16) -> Row {
    Row { set_up: deployed.set_up.name(), change: change.name, load: kind.name, rounds, ..Row::default() }
}

impl Row {
    fn count(&mut self, report: &Report, service: &str, events: &[Event]) {
        self.sum.add(&format!("{}, {}", self.change, self.load), report);
        let started = UNIX_EPOCH + Duration::from_millis(report.started_unix_ms);
        for event in events.iter().filter(|event| event.service == service) {
            // Since the start of the load; before it nothing was asked for.
            let at = event.at.duration_since(started).unwrap_or_default().as_secs_f64();
            let Some(seen) = instance(report, &event.host) else { continue };
            let until_first = (seen.first_sent - at) * 1e3;
            match event.what {
                What::Started => self.start_to_first.push(until_first),
                What::Healthy => self.healthy_to_first.push(until_first),
                // Of a task that this load has never asked nothing is known.
                What::Stopping => self.after_stop.push(((seen.last_sent - at) * 1e3).max(0.0)),
                What::Killed => {}
            }
        }
    }
}
