//! Flags and environment variables. An empty value means "not set", because the templates of stack files expand to an
//! empty string where there is no value.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use cli::{EnvOption, Failure, LogArgs, env_option_with, ip_address};
use client::Hub;
use client::url::{self, Url};
use parse::bounded_duration;

use crate::engine::Engine;
use crate::node::Settings;

/// Registers this node's containers with the hub, for images without a sidecar
#[derive(Parser)]
#[command(name = "agent", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// URL of the hub (required)
    #[arg(long, env = "AGENT_HUB", value_name = "URL", value_parser = env_option_with(url::parse_hub), default_value = "")]
    hub: EnvOption<Url>,
    /// File with the hub's token, read again for each connection
    #[arg(long, env = "AGENT_TOKEN_FILE", value_name = "FILE", default_value = "")]
    token_file: EnvOption<PathBuf>,
    #[arg(help = DOCKER, long, env = "AGENT_DOCKER", value_name = "URL", default_value = "")]
    docker: EnvOption<Engine>,
    /// Network on which the router reaches containers, unless a label names another
    /// [default: the network on which the agent reaches the hub]
    #[arg(long, env = "AGENT_NETWORK", value_name = "NAME", default_value = "")]
    network: EnvOption<String>,
    /// Address at which the router reaches containers on the host's own network
    /// [default: the address that the hub or the swarm knows for this node]
    #[arg(long, env = "AGENT_HOST_ADDRESS", value_name = "IP", default_value = "", value_parser = env_option_with(ip_address))]
    host_address: EnvOption<IpAddr>,
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

Requests to the engine: GET /_ping, /events, /info, /containers/json, /containers/ID/json and, on a manager of a swarm, \
/services. A socket proxy may reject all others.

Signals: TERM and INT end the agent. Containers stay registered, and the next agent takes over their leases.

Exit code: 0 after TERM or INT, 64 for invalid usage.";

impl Args {
    /// Returns the hub.
    ///
    /// # Errors
    /// There is no `--hub`, or the token file cannot be read.
    pub(crate) fn hub(&self) -> Result<Hub, Failure> {
        let url = self.hub.0.clone().ok_or_else(|| Failure::usage("missing --hub or AGENT_HUB"))?;
        let hub = Hub { url, token_file: self.token_file.0.clone() };
        hub.authorization().map_err(Failure::usage)?;
        Ok(hub)
    }

    /// Returns the engine.
    ///
    /// # Errors
    /// `DOCKER_HOST` is invalid.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        if let Some(engine) = &self.docker.0 {
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
            network: self.network.0.clone(),
            host_address: self.host_address.0,
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
    fn empty_value_means_not_set() {
        let args =
            parse(&["--hub", "http://hub:8080", "--network", "", "--host-address", "", "--docker", ""]);
        let args = args.unwrap();
        assert!(args.settings().network.is_none() && args.settings().host_address.is_none());
        assert!(args.docker.0.is_none());
        assert!(parse(&["--hub", ""]).unwrap().hub().unwrap_err().to_string().contains("missing --hub"));
    }

    #[test]
    fn usage_errors_name_the_cause() {
        for (args, cause) in [
            (&["--hub", "hub:8080"][..], "missing scheme"),
            (&["--docker", "ssh://host"], "scheme \"ssh\""),
            (&["--docker", "unix://run/docker.sock"], "expected an absolute path"),
            (&["--host-address", "here"], "--host-address"),
            (&["extra"], "unexpected argument"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(cause), "{args:?}: {error}");
        }
    }
}
