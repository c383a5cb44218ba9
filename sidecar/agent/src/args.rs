//! Flags and environment variables.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use cli::{Failure, LogArgs, ip_address};
use client::Hub;
use client::url::{self, Url};
use parse::bounded_duration;

use crate::engine::Engine;
use crate::node::{Published, Settings};

/// Registers this node's containers with the hub, for images without a sidecar
#[derive(Parser)]
#[command(name = "agent", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// URL of the hub, http://HOST:PORT or https://HOST:PORT (required)
    #[arg(long, env = "AGENT_HUB", value_name = "URL", value_parser = url::parse_hub)]
    hub: Option<Url>,
    /// File with the hub's token, read again for each connection
    #[arg(long, env = "AGENT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the CA certificates that an https hub's certificate may have, read again for each connection
    #[arg(long, env = "AGENT_HUB_CA", value_name = "FILE")]
    hub_ca: Option<PathBuf>,
    #[arg(help = DOCKER, long, env = "AGENT_DOCKER", value_name = "URL")]
    docker: Option<Engine>,
    /// Network on which the router reaches containers, unless a label names another
    /// [default: the network on which the agent reaches the hub]
    #[arg(long, env = "AGENT_NETWORK", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
    /// Address at which the router reaches containers on the host's own network
    /// [default: the address that the hub or the swarm knows for this node]
    #[arg(long, env = "AGENT_HOST_ADDRESS", value_name = "IP", value_parser = ip_address)]
    host_address: Option<IpAddr>,
    /// Register published ports at this address of the host, for hosts that share no network with the router; `auto` is the
    /// address of --host-address
    #[arg(long, env = "AGENT_PUBLISHED", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "auto")]
    #[arg(value_parser = published)]
    published: Option<Published>,
    /// Time after the stop timeout of a container until, if it still runs, it is routed again
    #[arg(long, env = "AGENT_STOP_MARGIN", value_name = "DURATION", value_parser = bounded_duration, default_value = "30s")]
    stop_margin: Duration,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

const DOCKER: &str = "Address of the engine's API, as unix://PATH or tcp://HOST:PORT [default: DOCKER_HOST, or else \
unix:///var/run/docker.sock]";

const EXAMPLES: &str = "\
Examples:
  agent --hub http://hub:8080 --token-file /run/secrets/token
  agent --hub http://hub:8080 --docker tcp://socket-proxy:2375
  agent --hub http://hub:8080 --network apps
  agent --hub http://192.168.2.1:8081 --published 192.168.2.2

Requests to the engine: GET /_ping, /events, /info, /containers/json, /containers/ID/json and, on a manager of a swarm, \
/services, /services/NAME, /tasks. A socket proxy may reject all others.

Signals: TERM and INT end the agent. Containers stay registered, and the next agent takes over their leases.

Exit code: 0 after TERM or INT, 64 for invalid usage.";

fn published(text: &str) -> Result<Published, String> {
    match text {
        "auto" => Ok(Published::Auto),
        address => Ok(Published::Address(ip_address(address)?)),
    }
}

impl Args {
    /// Returns the hub.
    ///
    /// # Errors
    /// There is no `--hub`, or a file cannot be used.
    pub(crate) fn hub(&self) -> Result<Hub, Failure> {
        let url = self.hub.clone().ok_or_else(|| Failure::usage("missing --hub or AGENT_HUB"))?;
        let hub = Hub { url, token_file: self.token_file.clone(), ca_file: self.hub_ca.clone() };
        hub.check()?;
        Ok(hub)
    }

    /// Returns the engine.
    ///
    /// # Errors
    /// `DOCKER_HOST` is invalid.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        if let Some(engine) = &self.docker {
            return Ok(engine.clone());
        }
        match env::var("DOCKER_HOST") {
            Ok(text) if !text.is_empty() => {
                text.parse().map_err(|error| Failure::usage(format!("DOCKER_HOST={text}: {error}")))
            }
            _ => Ok(Engine::default()),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            network: self.network.clone(),
            host_address: self.host_address,
            published: self.published,
            stop_margin: self.stop_margin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::try_parse_from(["agent"].iter().chain(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn usage_errors_name_the_cause() {
        for (args, cause) in [
            (&["--hub", "hub:8080"][..], "missing scheme"),
            (&["--docker", "ssh://host"], "scheme \"ssh\""),
            (&["--docker", "unix://run/docker.sock"], "expected an absolute path"),
            (&["--host-address", "here"], "--host-address"),
            (&["--host-address", ""], "--host-address"),
            (&["--published", "here"], "--published"),
            (&["--network", ""], "a value is required for '--network <NAME>'"),
            (&["extra"], "unexpected argument"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(cause), "{args:?}: {error}");
        }
    }
}
