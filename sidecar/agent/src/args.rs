//! Flags and environment. An empty value means "not given", since that is what the templates of a stack file leave
//! where there is nothing to say.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use cli::{EnvOption, Failure, LogArgs, env_option, env_option_with};
use client::Hub;
use client::url::{self, Url};
use parse::bounded_duration;

use crate::engine::Address;
use crate::node::Settings;

/// Registers this node's containers with the hub, for images that no sidecar wraps
#[derive(Parser)]
#[command(name = "agent", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The hub's address
    #[arg(long, env = "AGENT_HUB", value_name = "URL", value_parser = env_option_with(url::parse_hub), default_value = "")]
    #[arg(hide_default_value = true)]
    hub: EnvOption<Url>,
    /// The file that holds the hub's token; it is read again at each connection
    #[arg(long, env = "AGENT_TOKEN_FILE", value_name = "PATH", value_parser = env_option::<PathBuf>, default_value = "")]
    #[arg(hide_default_value = true)]
    token_file: EnvOption<PathBuf>,
    #[arg(help = DOCKER, long, env = "AGENT_DOCKER", value_name = "URL", value_parser = env_option::<Address>, default_value = "")]
    #[arg(hide_default_value = true)]
    docker: EnvOption<Address>,
    /// The network on which the router reaches containers that no label gives another
    /// [default: the one on which the hub is reached]
    #[arg(long, env = "AGENT_NETWORK", value_name = "NAME", value_parser = env_option::<String>, default_value = "")]
    #[arg(hide_default_value = true)]
    network: EnvOption<String>,
    /// Where the router reaches containers on the host's own network [default: as the hub or the swarm knows this node]
    #[arg(long, env = "AGENT_HOST_ADDRESS", value_name = "IP", value_parser = env_option::<IpAddr>, default_value = "")]
    #[arg(hide_default_value = true)]
    host_address: EnvOption<IpAddr>,
    /// For how much longer than its stop timeout a container that was told to stop is taken to be stopping; then it has
    /// survived, and is routed again
    #[arg(long, env = "AGENT_STOP_MARGIN", value_name = "TIME", value_parser = bounded_duration, default_value = "30s")]
    stop_margin: Duration,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

const DOCKER: &str = "Where the engine's API is: unix://PATH or tcp://HOST:PORT [default: DOCKER_HOST, or else \
unix:///var/run/docker.sock]";

const EXAMPLES: &str = "\
Examples:
  agent --hub http://hub:8080 --token-file /run/secrets/token
  agent --hub http://hub:8080 --docker tcp://socket-proxy:2375
  agent --hub http://hub:8080 --network apps

Of the engine it asks: GET /_ping, /events, /info, /containers/json, /containers/ID/json and, on a swarm's manager,
/services. A proxy may refuse everything else.

Signals: TERM and INT end it. It withdraws nothing: the containers run on, and its successor takes over.

Exit code: 0 when it was told to end, 64 on bad usage.";

impl Args {
    /// The hub that is to be told. Fails without one, and if its token cannot be read.
    pub(crate) fn hub(&self) -> Result<Hub, Failure> {
        let url = self.hub.0.clone().ok_or_else(|| Failure::usage("--hub is needed, or AGENT_HUB"))?;
        let hub = Hub { url, token_file: self.token_file.0.clone() };
        hub.authorization().map_err(Failure::usage)?;
        Ok(hub)
    }

    /// Where the engine is.
    pub(crate) fn engine(&self) -> Result<Address, Failure> {
        if let Some(address) = &self.docker.0 {
            return Ok(address.clone());
        }
        match env::var("DOCKER_HOST") {
            Ok(text) if !text.is_empty() => {
                text.parse().map_err(|why| Failure::usage(format!("DOCKER_HOST={text}: {why}")))
            }
            _ => Ok(Address::default()),
        }
    }

    /// What is said of all containers.
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
    fn an_empty_value_means_that_none_was_given() {
        let args =
            parse(&["--hub", "http://hub:8080", "--network", "", "--host-address", "", "--docker", ""]);
        let args = args.unwrap();
        assert!(args.settings().network.is_none() && args.settings().host_address.is_none());
        assert!(args.docker.0.is_none());
        assert!(parse(&["--hub", ""]).unwrap().hub().unwrap_err().to_string().contains("--hub is needed"));
    }

    #[test]
    fn bad_usage_is_named() {
        for (args, fault) in [
            (&["--hub", "hub:8080"][..], "missing scheme"),
            (&["--docker", "ssh://host"], "scheme \"ssh\""),
            (&["--docker", "unix://run/docker.sock"], "an absolute path is expected"),
            (&["--host-address", "here"], "--host-address"),
            (&["extra"], "unexpected argument"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(fault), "{args:?}: {error}");
        }
    }
}
