//! `cargo xtask bench idle`: memory, processor time and wake-ups of a task, its sidecar and the hub without requests.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::proc::{self, Usage};
use harness::{Fleet, FleetOptions, eventually, http};
use xtask::build;

/// Limit for routing; reaching it means an error.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The sidecar's default.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Duration of the measurement
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::duration)]
    duration: Duration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.duration >= PROBE_INTERVAL, "--duration {:?}: minimum is {PROBE_INTERVAL:?}", args.duration);
    let options = FleetOptions { binaries: Some(build::given_or_release(None)?), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let mut instances = fleet.start_all("ping", 1)?;
    let ping = &mut instances[0];
    // From here on the hub answers heartbeats at once and nothing is pending.
    eventually(TIMEOUT, || is_confirmed(&fleet)).context("waiting for every router to confirm ping")?;

    let programs = [
        ("sidecar", ping.sidecar().pid()),
        ("ping", ping.service()?.pid()),
        ("hub", fleet.hub.process().pid()),
    ];
    let usage = || programs.iter().map(|(_, pid)| proc::usage(*pid)).collect::<Result<Vec<_>>>();
    let (began, requests_before, usage_before) = (Instant::now(), hub_requests(&fleet)?, usage()?);
    thread::sleep(args.duration);
    let (usage_after, elapsed, requests) = (usage()?, began.elapsed(), hub_requests(&fleet)?);

    let per_minute = |count: u64| u128::from(count) * 60_000 / elapsed.as_millis();
    let [heartbeats, polls] = [0, 1].map(|index| requests[index] - requests_before[index]);
    println!("Measured for {elapsed:.1?}. Per minute:");
    println!("{:>8} probes at most", 60_000 / PROBE_INTERVAL.as_millis());
    println!("{:>8} heartbeats", per_minute(heartbeats));
    // One GET is the first reading of the metrics above.
    println!("{:>8} polls of the hub by Traefik", per_minute(polls - 1));
    println!();
    println!(
        "{:8}{:>14}{:>12}{:>26}{:>28}",
        "", "resident, KiB", "CPU, µs", "voluntary switches", "involuntary switches"
    );
    for (index, (name, pid)) in programs.iter().enumerate() {
        let Usage { cpu, voluntary, involuntary } = usage_after[index] - usage_before[index];
        println!(
            "{name:8}{:>14}{:>12}{:>26}{:>28}",
            proc::resident_kib(*pid)?,
            cpu.as_micros() * 60_000 / elapsed.as_millis(),
            per_minute(voluntary),
            per_minute(involuntary),
        );
    }
    println!();
    println!("A probe or a heartbeat wakes the sidecar twice: when it is due, and when the answer arrives.");
    Ok(())
}

/// Numbers of PUT requests (heartbeats) and GET requests (Traefik's polls) that the hub has counted.
fn hub_requests(fleet: &Fleet) -> Result<[u64; 2]> {
    let metrics = http::get_ok(&format!("{}/metrics", fleet.hub.url()))?.body;
    Ok(["PUT", "GET"].map(|method| {
        let name = format!("swarmlings_requests_total{{method=\"{method}\"");
        let lines = metrics.lines().filter(|line| line.starts_with(&name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }))
}

fn is_confirmed(fleet: &Fleet) -> Result<()> {
    let instances = fleet.hub.instances()?;
    ensure!(!instances.is_empty(), "the hub has no instance");
    for instance in instances {
        ensure!(instance["routing"]["state"] == "confirmed", "{instance}");
    }
    Ok(())
}
