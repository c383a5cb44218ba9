//! Whether a second core is worth as much as the first.

use anyhow::Result;

use super::measure::loaded;
use super::peer::Peer;
use super::programs::Programs;
use super::server::Server;
use super::wrk::{CROWD, Source};
use crate::cores::{self, Core};
use crate::plan::Plan;
use crate::statistics::{Spread, float};

/// What `--threads 2` does, beside `--threads 1`.
pub(super) struct Scaling {
    /// Requests/s by two threads on two cores, divided by those of one thread on one.
    pub(super) requests: Spread,
    /// Cores whose time the server used at two threads: below two it was the load that could not do more.
    pub(super) used: Spread,
    /// Requests for the same of the processor's time, at two threads divided by one: what is lost by sharing.
    pub(super) by_core: Spread,
}

impl Scaling {
    /// How many times the requests/s of one core two are worth. Where the load leaves less than two cores to the
    /// server, the requests for the time that it had must tell.
    pub(super) fn worth(&self) -> f64 {
        if self.is_whole() { self.requests.median } else { 2.0 * self.by_core.median }
    }

    /// Whether the server had two cores to itself.
    pub(super) fn is_whole(&self) -> bool {
        self.used.median > 1.9
    }
}

/// Measures it where there are two cores. Server and load are then wherever the kernel puts them.
pub(super) fn measure(programs: &Programs, plan: Plan) -> Result<Option<Scaling>> {
    if cores::count() < 2 {
        return Ok(None);
    }
    let (mut requests, mut used, mut by_core) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        eprintln!("two threads, round {} of {}", round + 1, plan.rounds);
        let (one, two) = (run(programs, plan, "1")?, run(programs, plan, "2")?);
        requests.push(two.0 / one.0);
        used.push(two.1);
        by_core.push((two.0 / two.1) / (one.0 / one.1));
    }
    let spreads = (Spread::of(requests), Spread::of(used), Spread::of(by_core));
    let (Some(requests), Some(used), Some(by_core)) = spreads else { return Ok(None) };
    Ok(Some(Scaling { requests, used, by_core }))
}

/// Requests/s, and how many cores' time the server used.
fn run(programs: &Programs, plan: Plan, threads: &str) -> Result<(f64, f64)> {
    let server = Server::start(Peer::Ping, programs, Core::ANY, &["--threads", threads])?;
    let figures = loaded(programs, &server, Source::half(), CROWD, plan.seconds)?;
    let duration = figures.report.duration.as_secs_f64();
    Ok((float(figures.report.requests) / duration, figures.cpu.as_secs_f64() / duration))
}
