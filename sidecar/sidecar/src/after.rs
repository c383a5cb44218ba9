//! `--after`: what the service needs before it starts.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use cli::Failure;
use client::connection::connect;
use client::url::Url;
use client::{Hub, HubError, Hubs};
use protocol::Health;
use rustix::process::Signal;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use crate::args::RunArgs;
use crate::process::is_stop;
use crate::signals::Signals;
use crate::status::SharedStatus;
use crate::terminal::Terminal;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Maximum time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two messages while nothing changes.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A condition for the start of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// This service is routed, says a hub.
    Service(String),
    /// This address accepts TCP connections.
    Address(Url),
}

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            let url = format!("tcp://{text}").parse();
            return url.map(Self::Address).map_err(|error| format!("{error}; expected SERVICE or HOST:PORT"));
        }
        match text {
            "" => Err("expected SERVICE or HOST:PORT".to_owned()),
            _ => Ok(Self::Service(text.to_owned())),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name}"),
            Self::Address(url) => f.write_str(&url.authority()),
        }
    }
}

impl After {
    /// Checks the condition. The error is the reason why it does not hold.
    async fn check(&self, hub: Option<&Hub>) -> Result<(), String> {
        match (self, hub) {
            (Self::Address(url), _) => {
                let connection = connect(url, CONNECT_TIMEOUT).await;
                connection.map(drop).map_err(|error| cli::reason(&error))
            }
            (Self::Service(_), None) => Err("no hub".to_owned()),
            (Self::Service(name), Some(hub)) => is_routed(hub, name).await,
        }
    }
}

/// Checks that a service is routed, by any of the hubs: a router polls only one of them.
async fn is_routed(hub: &Hub, service: &str) -> Result<(), String> {
    let resolving = |error: io::Error| HubError::Resolve(error).to_string();
    let addresses = Hubs::new(hub.clone()).look_up().await.map_err(resolving)?;
    let mut reason = "not routed".to_owned();
    for address in addresses {
        let routed = async { hub.open(address).await?.is_routed(service).await };
        match routed.await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => reason = format!("hub at {}: {error}", address.ip()),
        }
    }
    Err(reason)
}

/// Waits until all conditions hold. Returns the signal if a stop signal ends the wait.
pub(crate) async fn wait(
    args: &RunArgs,
    hub: Option<&Hub>,
    status: &SharedStatus,
    signals: &mut Signals,
) -> Result<Option<Signal>, Failure> {
    let deadline = Instant::now() + args.after_timeout;
    let mut last_log: Option<Instant> = None;
    for after in &args.after {
        loop {
            // A check may take longer than the rest of the time.
            let left = deadline.saturating_duration_since(Instant::now());
            let check = timeout(left.max(INTERVAL), after.check(hub));
            let result = select! {
                result = check => result.unwrap_or_else(|_| Err("no response in time".to_owned())),
                signal = next_stop(args, signals) => return Ok(Some(signal)),
            };
            let Err(reason) = result else { break };
            if Instant::now() >= deadline {
                return Err(Failure::new(format_args!(
                    "the service is not started, since --after {after} did not hold within {:?}: {reason}",
                    args.after_timeout
                )));
            }
            status.set_health(Health::Starting, Some(format!("waiting for {after}: {reason}")));
            if last_log.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                info!(%after, reason, "waiting before the service starts");
                last_log = Some(Instant::now());
            }
            select! {
                () = sleep(INTERVAL) => {}
                signal = next_stop(args, signals) => return Ok(Some(signal)),
            }
        }
    }
    status.set_health(Health::Starting, None);
    Ok(None)
}

async fn next_stop(args: &RunArgs, signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await;
        if is_stop(signal, args.stop_signal, || Terminal::controlling().is_some()) {
            return signal;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_a_service_or_an_address() {
        let parsed = |text: &str| text.parse::<After>().map(|after| after.to_string());
        assert_eq!(parsed("demo_db").unwrap(), "service demo_db");
        assert_eq!(parsed("db:5432").unwrap(), "db:5432");
        assert_eq!(parsed("[::1]:5432").unwrap(), "[::1]:5432");
        for wrong in ["", "db:", "db:x", ":5432", "tcp://db:1", "a b:1"] {
            assert!(parsed(wrong).unwrap_err().contains("expected SERVICE or HOST:PORT"), "{wrong}");
        }
    }
}
