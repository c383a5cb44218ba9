//! `cargo xtask bench routing`: how long until a healthy task gets requests, and until a killed one gets none.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::labels::routed;
use harness::load::text;
use harness::{Fleet, FleetOptions, Load, LoadOptions, eventually, http};
use xtask::build;

use crate::print;

/// Nothing here takes that long unless something is wrong.
const SOON: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each is measured
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let rounds = args.rounds;
    let options = FleetOptions { binaries: Some(build::for_this_machine()?), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let mut instances = fleet.start_all("ping", 3)?;

    let routed = (0..rounds).map(|round| routed_after_healthy(&fleet, round)).collect::<Result<Vec<_>>>()?;
    let mut unrouted = Vec::new();
    for round in 0..rounds {
        let index = usize::from(round) % instances.len();
        unrouted.push(unrouted_after_kill(&fleet, &mut instances, index)?);
    }

    println!("Traefik polls every 100 ms and throttles to 100 ms; {rounds} rounds each; milliseconds");
    println!("{:34}{:>8}{:>8}{:>8}", "", "min", "median", "max");
    print("routed after healthy", routed);
    print("last failed request after SIGKILL", unrouted);
    Ok(())
}

/// From the first time that the service calls itself ready to the first answer through Traefik.
fn routed_after_healthy(fleet: &Fleet, round: u16) -> Result<Duration> {
    let name = format!("bench-{round}");
    let mut spec = fleet.spec("ping", &name)?;
    spec.service.clone_from(&name);
    spec.labels = routed(&name, &format!("Path(`/{name}`)"), None, spec.address.port());
    let (ready, url) = (format!("http://{}/readyz", spec.admin), format!("{}/{name}", fleet.traefik.url()));
    let mut instance = fleet.launch(spec)?;
    let (healthy, answered) = thread::scope(|scope| {
        let healthy = scope.spawn(|| first_well(&ready));
        let answered = first_well(&url);
        (healthy.join(), answered)
    });
    let healthy = healthy.map_err(|_| anyhow::anyhow!("watching {ready} panicked"))??;
    let took = answered?.saturating_duration_since(healthy);
    instance.stop()?;
    Ok(took)
}

fn first_well(url: &str) -> Result<Instant> {
    eventually(SOON, || http::well(url).map(|_| Instant::now())).with_context(|| format!("asking for {url}"))
}

/// From the kill to the last request that was sent to the dead task; nothing if none was.
fn unrouted_after_kill(fleet: &Fleet, instances: &mut [harness::Instance], index: usize) -> Result<Duration> {
    let options = LoadOptions { rate: 1000, ..LoadOptions::default() };
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options)?;
    load.wait_for_more(200, SOON)?;
    let before = load.so_far();
    ensure!(before.failed == 0, "load failed before anything was killed: {}", text(&before));
    instances[index].kill()?;
    fleet.wait_unrouted(&instances[index], SOON)?;
    load.wait_for_more(500, SOON)?;
    let report = load.stop()?;
    ensure!(report.failures.unlisted == 0, "more requests failed than are listed: {}", text(&report));
    instances[index].start_again()?;
    fleet.wait_routed([&mut instances[index]])?;
    let last = report.failures.listed.last().map_or(0.0, |last| last.at - before.seconds);
    Ok(Duration::from_secs_f64(last.max(0.0)))
}
