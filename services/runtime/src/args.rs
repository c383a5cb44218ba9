//! Command line of all services.

use std::env;
use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Args, Command, FromArgMatches};
use cli::{LogArgs, integer, ip_address, parse_with, port};
use parse::duration;

use crate::app_info::RunSubcommand;
use crate::faults::FaultInjection;
use crate::sampler::parse_rate;
use crate::{AppInfo, Identity};

const FAULTS: &str = "faults";

/// The parsed command line.
pub(crate) enum Invocation<A> {
    /// Serve, with the service's own flags.
    Serve(A, ServerArgs),
    /// `healthcheck`
    Healthcheck(ServerArgs),
    /// `faults [JSON|off]`
    Faults(Option<String>, ServerArgs),
    /// One of the program's own subcommands.
    Subcommand(RunSubcommand),
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// IP address to listen on; `::` means all addresses of IPv6 and IPv4
    #[arg(long, env = "SERVICE_ADDRESS", value_name = "IP", default_value = "::", value_parser = ip_address)]
    pub(crate) address: IpAddr,
    /// Port to listen on; 0 selects a free one
    #[arg(long, env = "SERVICE_PORT", value_name = "PORT", default_value = "8080", value_parser = port)]
    pub(crate) port: u16,
    /// Unix socket to listen on, instead of address and port
    #[arg(long, env = "SERVICE_SOCKET", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Admin port: health, metrics, log level and fault injection; 0 selects a free one
    #[arg(long, env = "SERVICE_ADMIN_PORT", value_name = "PORT", default_value = "9090", value_parser = port)]
    pub(crate) admin_port: u16,
    /// Host name shown to clients [default: this host's name]
    #[arg(long, env = "SERVICE_HOST", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    host: Option<String>,
    /// Name of the Swarm task
    #[arg(long, env = "SERVICE_TASK", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    task: Option<String>,
    /// Slot of the Swarm task
    #[arg(long, env = "SERVICE_SLOT", value_name = "SLOT", value_parser = NonEmptyStringValueParser::new())]
    slot: Option<String>,
    /// Name of the Swarm node
    #[arg(long, env = "SERVICE_NODE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    node: Option<String>,
    /// Number of serving threads, each of which can use one core
    #[arg(long, env = "SERVICE_THREADS", value_name = "N", default_value = "1")]
    #[arg(value_parser = integer::<u32>(1..=1024))]
    pub(crate) threads: u32,
    /// File with the bearer token for writes on the admin port; without it the port is read-only
    #[arg(long, env = "SERVICE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten, next_help_heading = "Logs")]
    pub(crate) log: LogArgs,
    /// Fraction of requests to log, from 0 to 1; level debug logs all
    #[arg(long, env = "SERVICE_ACCESS_LOG", value_name = "RATE", value_parser = parse_rate, default_value = "0")]
    pub(crate) access_log: f64,
    #[command(flatten)]
    pub(crate) fault_injection: FaultInjection,
}

/// Limits for clients and for the drain.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Time for in-flight requests to finish after SIGTERM
    #[arg(long, env = "SERVICE_GRACE", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub grace: Duration,
    /// Time after SIGTERM during which new connections are accepted and idle ones kept
    #[arg(long, env = "SERVICE_LINGER", value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub linger: Duration,
    /// Maximum time from the first to the last byte of a request header
    #[arg(long, env = "SERVICE_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Maximum time to receive a request body
    #[arg(long, env = "SERVICE_BODY_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Maximum time a client may stop reading a response
    #[arg(long, env = "SERVICE_STALL_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub stall_timeout: Duration,
    // Go's clients, and so Traefik, close a connection after 90 s without a request. A longer time makes the client close first,
    // never the server just when a request is on its way.
    /// Maximum time a connection may wait for its next request
    #[arg(long, env = "SERVICE_IDLE_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Maximum number of open connections to the service's port, with 8 more over loopback [default: the limit on file
    /// descriptors less a reserve]
    #[arg(long, env = "SERVICE_MAX_CONNECTIONS", value_name = "N")]
    #[arg(value_parser = integer::<u32>(1..=u64::from(u32::MAX)))]
    pub max_connections: Option<u32>,
    /// Maximum size of a request header, in bytes, at least 8192
    #[arg(long, env = "SERVICE_MAX_HEADER_BYTES", value_name = "N", default_value = "16384")]
    #[arg(value_parser = integer::<u32>(8192..=u64::from(u32::MAX)))]
    pub max_header_bytes: u32,
    /// Maximum size of a request body, in bytes
    #[arg(long, env = "SERVICE_MAX_BODY_BYTES", value_name = "N", default_value = "1048576")]
    #[arg(value_parser = integer::<u64>(0..=u64::MAX))]
    pub max_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            linger: Duration::from_millis(250),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(2),
            max_connections: None,
            max_header_bytes: 16 * 1024,
            max_body_bytes: 1024 * 1024,
        }
    }
}

impl ServerArgs {
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            host: self
                .host
                .clone()
                .unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned()),
            task: self.task.clone(),
            slot: self.slot.clone(),
            node: self.node.clone(),
        }
    }

    pub(crate) fn service_address(&self) -> SocketAddr {
        (self.address, self.port).into()
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        (self.address, self.admin_port).into()
    }
}

/// Parses command line and environment. The error is an exit code; the message is already printed.
pub(crate) fn parse<A: Args>(app: AppInfo) -> Result<Invocation<A>, ExitCode> {
    let own = |name: &OsStr| app.subcommands.iter().find(|subcommand| name == subcommand.name);
    if let Some(subcommand) = env::args_os().nth(1).as_deref().and_then(own) {
        // Parsed without the server's flags and variables, which do not concern this subcommand.
        let command = Command::new(app.name).subcommand(subcommand.command()).disable_help_subcommand(true);
        return parse_with(command, |matches| {
            let (_, matches) = matches.subcommand().unwrap_or((subcommand.name, matches));
            subcommand.read(matches).map(Invocation::Subcommand)
        });
    }
    parse_with(command(app, A::augment_args), |matches| {
        let server = ServerArgs::from_arg_matches(matches)?;
        Ok(match matches.subcommand() {
            None => Invocation::Serve(A::from_arg_matches(matches)?, server),
            Some((FAULTS, matches)) => Invocation::Faults(matches.get_one("fault").cloned(), server),
            Some((name, matches)) => match own(OsStr::new(name)) {
                Some(subcommand) => Invocation::Subcommand(subcommand.read(matches)?),
                None => Invocation::Healthcheck(server),
            },
        })
    })
}

fn command(app: AppInfo, own: fn(Command) -> Command) -> Command {
    let healthcheck =
        Command::new("healthcheck").about("Check the running service: exit code 0 if healthy, else 1");
    let example = r#"Fault to inject, such as {"rate": 0.3, "status": 503, "delay": "200ms", "for": "60s"}"#;
    let faults = Command::new(FAULTS)
        .about("Show, start or stop fault injection in the running service")
        .arg(Arg::new("fault").value_name("JSON|off").help(example))
        .hide(!app.admin_port);
    let command = ServerArgs::augment_args(Command::new(app.name))
        // Accepted before and after `healthcheck`.
        .mut_args(|arg| arg.global(true))
        .mut_arg("admin_port", |arg| arg.hide(!app.admin_port))
        .mut_arg("admin_token_file", |arg| arg.hide(!app.admin_port))
        .next_help_heading(None);
    let command = own(command).mut_args(|arg| with_alias(arg, app.env_aliases));
    let healthcheck = with_server_args(healthcheck, &command, |name| match name {
        "address" => true,
        "admin_port" => app.admin_port,
        _ => !app.admin_port && ["port", "socket"].contains(&name),
    });
    let faults = with_server_args(faults, &command, |name| {
        ["address", "admin_port", "admin_token_file"].contains(&name)
    });
    command
        .version(app.version)
        .about(app.description)
        .after_help(format!("Examples:\n{}", app.examples.trim_matches('\n')))
        .subcommand(healthcheck)
        .subcommand(faults)
        .subcommands(app.subcommands.iter().map(|subcommand| subcommand.command()))
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
}

/// Adds the global flags of `service` to a subcommand, and hides those that it does not use.
fn with_server_args(subcommand: Command, service: &Command, is_used: impl Fn(&str) -> bool) -> Command {
    let args = service.get_arguments().filter(|arg| arg.is_global_set());
    subcommand.args(args.map(|arg| arg.clone().hide(!is_used(arg.get_id().as_str()))))
}

/// Makes a flag read the alias of its environment variable if only the alias is set.
fn with_alias(arg: Arg, aliases: &[(&'static str, &'static str)]) -> Arg {
    let Some(name) = arg.get_env() else { return arg };
    let Some((alias, _)) = aliases.iter().find(|(_, variable)| name == *variable) else { return arg };
    let is_set = |name: &OsStr| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_used = !is_set(name) && is_set(OsStr::new(alias));
    let help = arg
        .get_help()
        .map(|help| format!("{help}; {alias} is used if {} is not set", name.display()))
        .unwrap_or_default();
    if is_used { arg.env(alias) } else { arg }.help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_match_the_command_line() {
        let command = Limits::augment_args(Command::new("test")).mut_args(|arg| arg.env(None));
        let limits = Limits::from_arg_matches(&command.get_matches_from(["test"])).unwrap();
        assert_eq!(limits, Limits::default());
    }
}
