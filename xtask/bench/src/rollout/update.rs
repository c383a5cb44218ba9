//! Planned changes: updates of the services and of the hub, and scaling.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use harness::docker::eventually_on_engine;
use harness::load::{HELLO, PONG, instance, wait_for_all};
use harness::{Load, LoadOptions, Report};

use super::deployment::{Deployment, Setup};
use super::events::{self, Action, Event};
use super::totals::Totals;

/// Limit for one change.
pub(super) const CHANGE_TIMEOUT: Duration = Duration::from_mins(4);

/// Limit for a number of responses under load.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Result of one kind of change, seen by one kind of load, over all rounds. Delays are in milliseconds.
#[derive(Default)]
pub(super) struct Row {
    pub(super) setup: &'static str,
    pub(super) change: &'static str,
    pub(super) load: &'static str,
    pub(super) rounds: u16,
    pub(super) totals: Totals,
    /// From Docker's `healthy` to the first request, for each new task.
    pub(super) healthy_to_first: Vec<f64>,
    /// From the start of the container to the first request, for each new task.
    pub(super) start_to_first: Vec<f64>,
    /// From SIGTERM to the last request of this load, for each stopped task; 0 without a later request.
    pub(super) stop_to_last: Vec<f64>,
}

/// Load on one path.
struct Target {
    name: &'static str,
    service: &'static str,
    path: &'static str,
    options: LoadOptions,
}

/// A change that clients must not notice.
struct Change {
    name: &'static str,
    /// Services under load.
    services: &'static [&'static str],
    action: fn(&Deployment<'_>) -> Result<()>,
}

const CHANGES: [Change; 3] = [
    Change {
        name: "update",
        services: &["ping", "pings", "hello", "slow"],
        action: |deployment| deployment.stack.replace(&["ping", "pings", "hello", "slow"], CHANGE_TIMEOUT),
    },
    Change {
        name: "update of the hub",
        services: &["ping", "hello"],
        action: |deployment| deployment.stack.replace(&["hub"], CHANGE_TIMEOUT),
    },
    Change { name: "scale 3→6→2", services: &["pings"], action: scale },
];

/// Makes every change `rounds` times, and adds one row for each kind of load.
pub(super) fn measure(deployment: &Deployment<'_>, rounds: u16, rows: &mut Vec<Row>) -> Result<()> {
    let setup = deployment.setup;
    // Only our setup has a hub.
    for change in CHANGES.iter().filter(|change| setup == Setup::Ours || change.name != "update of the hub") {
        let targets: Vec<_> =
            targets().into_iter().filter(|target| change.services.contains(&target.service)).collect();
        let row = |target: &Target| Row {
            setup: setup.name(),
            change: change.name,
            load: target.name,
            rounds,
            ..Row::default()
        };
        let mut change_rows: Vec<_> = targets.iter().map(row).collect();
        for round in 1..=rounds {
            eprintln!("{}: {}, {round} of {rounds}", setup.name(), change.name);
            deployment.wait_settled()?;
            let since = SystemTime::now();
            let loads =
                targets.iter().map(|target| Load::start(deployment.url(target.path), &target.options));
            let loads = loads.collect::<Result<Vec<_>>>()?;
            wait_for_all(&loads, 20, LOAD_TIMEOUT)?;
            (change.action)(deployment)?;
            deployment.wait_settled()?;
            wait_for_all(&loads, 20, LOAD_TIMEOUT)?;
            let reports = loads.into_iter().map(Load::stop).collect::<Result<Vec<_>>>()?;
            let events = events::since(deployment.lab.nodes(), since)?;
            for ((row, target), report) in change_rows.iter_mut().zip(&targets).zip(&reports) {
                row.add(report, &deployment.stack.service(target.service), &events);
            }
        }
        rows.extend(change_rows);
    }
    Ok(())
}

fn targets() -> [Target; 7] {
    let new_connections = |instance| LoadOptions {
        rate: 50,
        connections: 64,
        keep_alive: false,
        instance,
        ..LoadOptions::default()
    };
    let keep_alive = |instance| LoadOptions { rate: 100, instance, ..LoadOptions::default() };
    let slow = LoadOptions {
        rate: 10,
        connections: 200,
        keep_alive: false,
        timeout: Duration::from_secs(15),
        instance: r"body:^Slow after [0-9.]+ s from (\S+)\n$",
        ..LoadOptions::default()
    };
    let target = |name, service, path, options| Target { name, service, path, options };
    [
        target("ping, global, 50/s, new connections", "ping", "/plain/ping", new_connections(PONG)),
        target("ping, global, 100/s, keep-alive", "ping", "/plain/ping", keep_alive(PONG)),
        target("ping, 3 replicas, 50/s, new connections", "pings", "/plain-pings", new_connections(PONG)),
        target("ping, 3 replicas, 100/s, keep-alive", "pings", "/plain-pings", keep_alive(PONG)),
        target("hello, 50/s, new connections", "hello", "/plain/hello/viktor", new_connections(HELLO)),
        target("hello, 100/s, keep-alive", "hello", "/plain/hello/viktor", keep_alive(HELLO)),
        target("answers after 1 to 5 s, 10/s", "slow", "/plain/slow", slow),
    ]
}

fn scale(deployment: &Deployment<'_>) -> Result<()> {
    let scale_to = |replicas: usize| {
        let scale = format!("{}={replicas}", deployment.stack.service("pings"));
        deployment.lab.docker().run(&["service", "scale", "--detach", &scale])?;
        eventually_on_engine(CHANGE_TIMEOUT, || {
            deployment.containers("pings").is_ok_and(|all| all.len() == replicas)
        })
    };
    for replicas in [6, 2] {
        scale_to(replicas)?;
        deployment.wait_settled()?;
    }
    scale_to(3)
}

impl Row {
    fn add(&mut self, report: &Report, service: &str, events: &[Event]) {
        self.totals.add(&format!("{}, {}", self.change, self.load), report);
        let started = UNIX_EPOCH + Duration::from_millis(report.started_unix_ms);
        for event in events.iter().filter(|event| event.service == service) {
            // Seconds since the start of the load; 0 for an earlier event.
            let at = event.at.duration_since(started).unwrap_or_default().as_secs_f64();
            // A task without a request of this load has no delays.
            let Some(seen) = instance(report, &event.host) else { continue };
            let until_first = (seen.first_sent - at) * 1e3;
            match event.action {
                Action::Started => self.start_to_first.push(until_first),
                Action::Healthy => self.healthy_to_first.push(until_first),
                Action::Stopping => self.stop_to_last.push(((seen.last_sent - at) * 1e3).max(0.0)),
                Action::Killed => {}
            }
        }
    }
}
