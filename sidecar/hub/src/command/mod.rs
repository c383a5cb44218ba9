//! Commands that ask the hubs, over the same API as other clients: [`ps`], [`explain`] and [`wait`].

use std::env;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cli::{Failure, reason};
use client::url::{self, Url};
use client::{Hub, HubError, Hubs, escape};
use protocol::Status;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

pub(crate) mod explain;
pub(crate) mod ps;
mod table;
pub(crate) mod wait;

/// Flags of all commands that ask the hubs. In the container of a hub, its own environment is enough.
#[derive(Args, Clone, Debug)]
pub(crate) struct HubArgs {
    /// URL of the hubs, which are looked up as NAME and tasks.NAME [default: HTTP, or HTTPS if `HUB_CERT` is set, to hub:8080]
    #[arg(long = "hub", env = "HUB_URL", value_name = "URL", value_parser = url::parse_hub)]
    url: Option<Url>,
    /// File with a token of role reader, or with the master token
    #[arg(long, env = "HUB_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the CA certificates that an https hub's certificate may have
    #[arg(long, env = "HUB_CA", value_name = "FILE")]
    hub_ca: Option<PathBuf>,
}

/// Answer of a hub: its status, and what it was asked for.
pub(crate) struct Answer<T> {
    pub(crate) address: SocketAddr,
    pub(crate) status: Status,
    pub(crate) content: T,
}

/// Answers of all hubs, and the addresses at which none answered.
pub(crate) struct Answers<T> {
    pub(crate) answers: Vec<Answer<T>>,
    pub(crate) failures: Vec<(SocketAddr, HubError)>,
}

impl HubArgs {
    fn hub(self) -> Result<Hub, Failure> {
        let has_certificate = env::var_os("HUB_CERT").is_some_and(|file| !file.is_empty());
        let default = if has_certificate { "https://hub:8080" } else { "http://hub:8080" };
        let url = self.url.map_or_else(|| url::parse_hub(default), Ok).map_err(Failure::usage)?;
        let hub = Hub { url, token_file: self.token_file, ca_file: self.hub_ca };
        hub.check()?;
        Ok(hub)
    }
}

/// Returns the path of what the hub knows of a service.
fn path_of(service: &str) -> String {
    format!("/v1/services/{}", escape(service))
}

/// Asks each hub for its status and for `path`. Of several addresses of the same hub, one counts.
async fn ask_all<T: DeserializeOwned + Send + 'static>(
    hub: &Hub,
    path: &str,
    wait: Option<Duration>,
) -> Result<Answers<T>, Failure> {
    let addresses = Hubs::new(hub.clone()).look_up().await;
    let addresses = addresses.map_err(|error| {
        Failure::new(format_args!(
            "looking up {}: {}; --hub sets the URL of the hubs",
            hub.url.host,
            reason(&error)
        ))
    })?;
    let mut requests = JoinSet::new();
    for address in addresses {
        let (hub, path) = (hub.clone(), path.to_owned());
        requests.spawn(async move { (address, ask(&hub, address, &path, wait).await) });
    }
    let (mut answers, mut failures): (Vec<Answer<T>>, Vec<_>) = (Vec::new(), Vec::new());
    for (address, result) in requests.join_all().await {
        match result {
            Ok((status, _)) if answers.iter().any(|known| known.status.hub == status.hub) => {}
            Ok((status, content)) => answers.push(Answer { address, status, content }),
            Err(error) => failures.push((address, error)),
        }
    }
    answers.sort_by(|a, b| a.status.host.cmp(&b.status.host));
    failures.sort_by_key(|(address, _)| *address);
    failures.dedup_by_key(|(address, _)| *address);
    Ok(Answers { answers, failures })
}

async fn ask<T: DeserializeOwned>(
    hub: &Hub,
    address: SocketAddr,
    path: &str,
    wait: Option<Duration>,
) -> Result<(Status, T), HubError> {
    let mut session = hub.open(address).await?;
    let status = session.get("/v1/status", None).await?;
    Ok((status, session.get(path, wait).await?))
}

impl<T> Answers<T> {
    /// Fails with the first error if no hub has answered.
    fn or_failure(self, hub: &Hub) -> Result<Self, Failure> {
        match self.failures.first() {
            Some((address, error)) if self.answers.is_empty() => Err(failure(hub, *address, error)),
            _ => Ok(self),
        }
    }
}

/// Describes why a hub did not answer. A refusal in its own words needs no address.
fn failure(hub: &Hub, address: SocketAddr, error: &HubError) -> Failure {
    match error {
        HubError::Refused(_, reason) => Failure::new(reason),
        _ => Failure::new(format_args!("hub {} at {}: {error}", hub.url, address.ip())),
    }
}

/// Writes to stdout. A closed stdout ends the command with an error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(format_args!("writing to stdout: {}", reason(&error))))
}

/// Returns the number of columns of the terminal, if stdout is one.
fn columns() -> Option<usize> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout))?.ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}
