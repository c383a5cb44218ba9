//! Asking the service whether it is well.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use client::connection::{Connection, Error, connect};
use client::url::{Scheme, Url};
use http_body_util::Full;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use protocol::Health;
use timer::Timer;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::args::{RunArgs, ServiceArgs};
use crate::health::Gauge;
use crate::status::Board;

/// What is asked, and within what time it has to be answered.
pub(crate) struct Probe<'a> {
    url: &'a Url,
    timeout: Duration,
}

/// Why a probe failed.
#[derive(Debug)]
pub(crate) enum Fault {
    Late(Duration),
    Status(StatusCode),
    Failed(Error),
}

impl<'a> Probe<'a> {
    pub(crate) fn new(args: &'a ServiceArgs) -> Self {
        Self { url: &args.probe, timeout: args.probe_timeout }
    }

    /// Asks once.
    pub(crate) async fn ask(&self) -> Result<(), Fault> {
        let answer = async {
            match self.url.scheme {
                Scheme::Tcp => connect(self.url, self.timeout)
                    .await
                    .map(drop)
                    .map_err(|error| Fault::Failed(error.into())),
                Scheme::Http => match self.status().await {
                    Ok(status) if status.is_success() => Ok(()),
                    Ok(status) => Err(Fault::Status(status)),
                    Err(error) => Err(Fault::Failed(error)),
                },
            }
        };
        timeout(self.timeout, answer).await.unwrap_or(Err(Fault::Late(self.timeout)))
    }

    async fn status(&self) -> Result<StatusCode, Error> {
        let request = Request::get(&self.url.path)
            .header(HOST, self.url.authority())
            .header(USER_AGENT, concat!("sidecar/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Full::<Bytes>::default())?;
        Connection::open(self.url, self.timeout).await?.send_last(request).await
    }
}

/// Asks for ever, and posts on `board` what the answers amount to.
pub(crate) async fn watch(args: &RunArgs, board: &Board, mut timer: Timer) -> Infallible {
    let probe = Probe::new(&args.service);
    let mut gauge = Gauge::new(args.rise, args.fall);
    let mut health = Health::Starting;
    let started = Instant::now();
    loop {
        let fault = probe.ask().await.err().map(|fault| format!("{} {fault}", probe.url));
        let before = health;
        health = gauge.observe(fault.is_none());
        match (before, health) {
            (Health::Starting, Health::Healthy) => info!(after = ?started.elapsed(), "healthy"),
            (Health::Unhealthy, Health::Healthy) => info!("healthy again"),
            (Health::Healthy, Health::Unhealthy) => {
                warn!(probe = fault.as_deref().unwrap_or_default(), "unhealthy");
            }
            _ => {}
        }
        board.probed(health, fault);
        let pause = if health == Health::Starting { args.probe_start_interval } else { args.probe_interval };
        timer.sleep(pause).await;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(timeout) => write!(f, "was not answered within {timeout:?}"),
            Self::Status(status) => write!(f, "was answered with status {}", status.as_u16()),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}
