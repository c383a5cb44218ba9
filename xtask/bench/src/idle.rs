//! `cargo xtask bench idle`: what a task, its sidecar and the hub cost while nobody asks for anything.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::proc::{self, Usage};
use harness::{Fleet, FleetOptions, eventually, http};
use xtask::build;

/// Nothing here takes that long unless something is wrong.
const SOON: Duration = Duration::from_secs(20);
/// The sidecar's default.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to watch
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = cli::duration)]
    time: Duration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.time >= PROBE_INTERVAL, "--for {:?}: at least {PROBE_INTERVAL:?} is needed", args.time);
    let options = FleetOptions { binaries: Some(build::for_this_machine()?), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let mut instances = fleet.start_all("ping", 1)?;
    let ping = &mut instances[0];
    // From then on the hub answers heartbeats at once, and there is nothing left to be settled.
    eventually(SOON, || is_confirmed(&fleet)).context("waiting for the routing to be confirmed")?;

    let programs = [
        ("sidecar", ping.sidecar().pid()),
        ("ping", ping.service()?.pid()),
        ("hub", fleet.hub.process().pid()),
    ];
    let usage = || programs.iter().map(|(_, pid)| proc::usage(*pid)).collect::<Result<Vec<_>>>();
    let (began, requests, before) = (Instant::now(), Requests::of(&fleet)?, usage()?);
    thread::sleep(args.time);
    let (after, took, requests) = (usage()?, began.elapsed(), Requests::of(&fleet)?.since(&requests));

    let per_minute = |count: u64| u128::from(count) * 60_000 / took.as_millis();
    println!("watched for {took:.1?}; each minute there were");
    println!("{:>8} probes, at most", 60_000 / PROBE_INTERVAL.as_millis());
    println!("{:>8} heartbeats", per_minute(requests.heartbeats));
    println!("{:>8} requests of Traefik's to the hub", per_minute(requests.traefiks));
    println!();
    println!(
        "{:8}{:>14}{:>16}{:>22}{:>22}",
        "", "resident, KiB", "processor, us", "waited and was woken", "made room"
    );
    for (index, (name, pid)) in programs.iter().enumerate() {
        let Usage { cpu, voluntary, involuntary } = after[index] - before[index];
        println!(
            "{name:8}{:>14}{:>16}{:>22}{:>22}",
            proc::resident_kib(*pid)?,
            cpu.as_micros() * 60_000 / took.as_millis(),
            per_minute(voluntary),
            per_minute(involuntary),
        );
    }
    println!();
    println!("A probe or a heartbeat takes two: one for its time to come, one for its answer.");
    Ok(())
}

/// What the hub was asked, as it counts.
struct Requests {
    heartbeats: u64,
    traefiks: u64,
}

impl Requests {
    fn of(fleet: &Fleet) -> Result<Self> {
        let metrics = http::well(&format!("{}/metrics", fleet.hub.url()))?.body;
        let count = |method: &str| -> u64 {
            let name = format!("swarmlings_requests_total{{method=\"{method}\"");
            let lines = metrics.lines().filter(|line| line.starts_with(&name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Ok(Self { heartbeats: count("PUT"), traefiks: count("GET") })
    }

    fn since(&self, earlier: &Self) -> Self {
        // One GET was this program's own.
        Self {
            heartbeats: self.heartbeats - earlier.heartbeats,
            traefiks: self.traefiks - earlier.traefiks - 1,
        }
    }
}

fn is_confirmed(fleet: &Fleet) -> Result<()> {
    let instances = fleet.hub.instances()?;
    ensure!(!instances.is_empty(), "the hub knows of no instance");
    for instance in instances {
        ensure!(instance["routing"]["state"] == "confirmed", "{instance}");
    }
    Ok(())
}
