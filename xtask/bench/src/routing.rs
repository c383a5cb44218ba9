//! `cargo xtask bench routing`: delay until a healthy task gets requests, and until a killed task gets none.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::labels::routed;
use harness::load::text;
use harness::{Fleet, FleetOptions, Instance, Load, LoadOptions, eventually, http};
use xtask::build;

use crate::table::print_delays;

/// Limit for each wait; reaching it means an error.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds for each delay
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let rounds = args.rounds;
    let options = FleetOptions { binaries: Some(build::given_or_release(None)?), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let mut instances = fleet.start_all("ping", 3)?;

    let routed = (0..rounds).map(|round| routed_after_healthy(&fleet, round)).collect::<Result<Vec<_>>>()?;
    let mut unrouted = Vec::new();
    for round in 0..rounds {
        let index = usize::from(round) % instances.len();
        unrouted.push(unrouted_after_kill(&fleet, &mut instances[index])?);
    }
    let rows = [("healthy → first answer", routed), ("SIGKILL → last failed request", unrouted)];
    print_delays(rounds, &rows);
    Ok(())
}

/// Measures from the first successful `/readyz` to the first answer through Traefik.
fn routed_after_healthy(fleet: &Fleet, round: u16) -> Result<Duration> {
    let name = format!("bench-{round}");
    let mut spec = fleet.spec("ping", &name)?;
    spec.service.clone_from(&name);
    spec.labels = routed(&name, &format!("Path(`/{name}`)"), None, spec.address.port());
    let (ready, url) = (format!("http://{}/readyz", spec.admin), format!("{}/{name}", fleet.traefik.url()));
    let mut instance = fleet.launch(spec)?;
    let (healthy, answered) = thread::scope(|scope| {
        let healthy = scope.spawn(|| first_success(&ready));
        let answered = first_success(&url);
        (healthy.join(), answered)
    });
    let healthy = healthy.expect("polling does not panic")?;
    let delay = answered?.saturating_duration_since(healthy);
    instance.stop()?;
    Ok(delay)
}

fn first_success(url: &str) -> Result<Instant> {
    eventually(TIMEOUT, || http::get_ok(url).map(|_| Instant::now()))
        .with_context(|| format!("polling {url}"))
}

/// Measures from SIGKILL to the last failed request; zero if no request failed.
fn unrouted_after_kill(fleet: &Fleet, instance: &mut Instance) -> Result<Duration> {
    let options = LoadOptions { rate: 1000, ..LoadOptions::default() };
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options)?;
    load.wait_for_more(200, TIMEOUT)?;
    let before = load.so_far();
    ensure!(before.failed == 0, "requests failed before the kill: {}", text(&before));
    instance.kill()?;
    fleet.wait_unrouted(instance, TIMEOUT)?;
    load.wait_for_more(500, TIMEOUT)?;
    let report = load.stop()?;
    ensure!(report.failures.unlisted == 0, "more failed requests than the report lists: {}", text(&report));
    instance.restart()?;
    fleet.wait_routed([instance])?;
    let last = report.failures.listed.last().map_or(0.0, |last| last.at - before.seconds);
    Ok(Duration::from_secs_f64(last.max(0.0)))
}
