//! Flags of the service.

use std::time::Duration;

use clap::{ArgAction, Args};
use cli::{integer, parse_bool};

use crate::forwarding::TrustedProxy;
use crate::tcp::TcpArgs;
use crate::transport::TransportArgs;
use crate::websocket::WebSocketArgs;
use crate::weights::WeightedCodes;

/// Flags of the service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Echo")]
pub struct EchoArgs {
    /// Name on the first line of `/`
    #[arg(long, env = "WHOAMI_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Log each request
    #[arg(long, env = "SERVICE_VERBOSE", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub verbose: bool,
    /// Show the environment variables in responses to `/?env=true`
    #[arg(long, env = "SERVICE_EXPOSE_ENV", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub expose_env: bool,
    /// Trusted proxies, separated by commas: networks, or `unix` for the Unix socket; repeatable
    #[arg(long, env = "SERVICE_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<TrustedProxy>,
    /// Maximum response size that a request can choose, in bytes
    #[arg(long, env = "SERVICE_MAX_BYTES", value_name = "N", default_value = "1073741824")]
    #[arg(value_parser = integer::<u64>(0..=u64::MAX))]
    pub max_bytes: u64,
    /// Maximum delay and response duration that a request can choose, together
    #[arg(long, env = "SERVICE_MAX_DELAY", value_name = "DURATION", default_value = "10m", value_parser = parse::go_duration)]
    pub max_delay: Duration,
    /// Status code of `/` and all other paths, such as `503` or, picked by weight, `200:9,503` [default: 200]
    #[arg(long, env = "SERVICE_DEFAULT_STATUS", value_name = "CODES")]
    pub default_status: Option<WeightedCodes>,
    /// WebSocket flags.
    #[command(flatten)]
    pub websocket: WebSocketArgs,
    /// Flags of the TCP port.
    #[command(flatten)]
    pub tcp: TcpArgs,
    /// Flags of the layers below HTTP.
    #[command(flatten)]
    pub transport: TransportArgs,
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn read(args: &[&str]) -> Result<EchoArgs, clap::Error> {
        let command = EchoArgs::augment_args(Command::new("test")).mut_args(|arg| arg.env(None));
        EchoArgs::from_arg_matches(&command.try_get_matches_from([&["test"], args].concat())?)
    }

    #[test]
    fn trusted_proxies_are_lists_or_repeated() {
        let args = read(&["--trusted-proxy", "10.0.0.0/8,fd00::/8", "--trusted-proxy", "unix"]).unwrap();
        assert_eq!(args.trusted_proxy.len(), 3);
        let error = read(&["--trusted-proxy", "10.0.0.0/8,nobody"]).unwrap_err().to_string();
        assert!(error.contains("\"nobody\": expected a network such as 10.0.0.0/8"), "{error}");
    }
}
