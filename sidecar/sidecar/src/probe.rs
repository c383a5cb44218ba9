//! Health of the service: the probe, and the number of results in a row that change the health.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use client::connection::{Connection, Error, connect, reason};
use client::url::{Scheme, Url};
use http_body_util::Full;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use protocol::Health;
use timer::Timer;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::args::{RunArgs, ServiceArgs};
use crate::status::SharedStatus;

/// Probes the service forever and keeps the health in `status` up to date.
pub(crate) async fn watch(args: &RunArgs, status: &SharedStatus, mut timer: Timer) -> Infallible {
    let mut tracker =
        HealthTracker { rise: args.rise, fall: args.fall, health: Health::Starting, contrary: 0 };
    let started = Instant::now();
    loop {
        let error = probe(&args.service).await.err();
        let before = tracker.health;
        let health = tracker.record(error.is_none());
        match (before, health) {
            (Health::Starting, Health::Healthy) => info!(after = ?started.elapsed(), "healthy"),
            (Health::Unhealthy, Health::Healthy) => info!("healthy again"),
            (Health::Healthy, Health::Unhealthy) => {
                warn!(probe = error.as_deref().unwrap_or_default(), "unhealthy");
            }
            _ => {}
        }
        status.set_health(health, error);
        let starting = health == Health::Starting;
        timer.sleep(if starting { args.probe_start_interval } else { args.probe_interval }).await;
    }
}

/// Probes the service once. An error names the URL and the cause.
pub(crate) async fn probe(args: &ServiceArgs) -> Result<(), String> {
    let (url, limit) = (&args.probe, args.probe_timeout);
    let result = timeout(limit, async {
        match url.scheme {
            Scheme::Tcp => connect(url, limit).await.map(|_| StatusCode::OK).map_err(Error::from),
            // The flag accepts no `https`.
            Scheme::Http | Scheme::Https => get(url, limit).await,
        }
    });
    match result.await {
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{url} responded with status {}", status.as_u16())),
        Ok(Err(error)) => Err(format!("{url} failed: {}", reason(&error))),
        Err(_) => Err(format!("{url} did not respond within {limit:?}")),
    }
}

async fn get(url: &Url, timeout: Duration) -> Result<StatusCode, Error> {
    let request = Request::get(&url.path)
        .header(HOST, url.authority())
        .header(USER_AGENT, concat!("sidecar/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::<Bytes>::default())?;
    Connection::open(url, timeout).await?.send_last(request).await
}

/// Health of a service from its probes: `rise` successes in a row make it healthy, `fall` failures in a row
/// unhealthy. Pure.
#[derive(Debug)]
struct HealthTracker {
    rise: NonZeroU32,
    fall: NonZeroU32,
    health: Health,
    /// Probes in a row that contradict `health`.
    contrary: u32,
}

impl HealthTracker {
    /// Records the result of a probe and returns the health.
    fn record(&mut self, success: bool) -> Health {
        let (contradicts, limit, other) = match self.health {
            Health::Healthy => (!success, self.fall, Health::Unhealthy),
            // A service that has never been healthy is starting, however many probes fail.
            Health::Starting | Health::Unhealthy => (success, self.rise, Health::Healthy),
        };
        self.contrary = if contradicts { self.contrary + 1 } else { 0 };
        if self.contrary >= limit.get() {
            self.health = other;
            self.contrary = 0;
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Healthy, Starting, Unhealthy};

    fn history(rise: u32, fall: u32, probes: &str) -> Vec<Health> {
        let count = |n| NonZeroU32::new(n).unwrap();
        let mut tracker =
            HealthTracker { rise: count(rise), fall: count(fall), health: Starting, contrary: 0 };
        probes.chars().map(|probe| tracker.record(probe == '+')).collect()
    }

    #[test]
    fn service_is_starting_until_the_first_success() {
        assert_eq!(history(1, 1, "--+"), [Starting, Starting, Healthy]);
    }

    #[test]
    fn health_changes_after_enough_results_in_a_row() {
        assert_eq!(history(2, 3, "+-++")[1..], [Starting, Starting, Healthy]);
        assert_eq!(history(1, 3, "+--+---")[2..], [Healthy, Healthy, Healthy, Healthy, Unhealthy]);
        assert_eq!(history(2, 1, "++-+-++")[2..], [Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy]);
    }
}
