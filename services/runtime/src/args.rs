//! The command line that all services share.

use std::env;
use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, Args, Command, FromArgMatches, value_parser};
use cli::{EnvOption, LogArgs, env_option, parse_with};

use crate::faults::Rehearsal;
use crate::sampler::parse_rate;
use crate::subcommand::Ready;
use crate::{AppInfo, Identity, Limits};

const FAULTS: &str = "faults";

/// What is asked of the program.
pub(crate) enum Asked<A> {
    /// To serve, with the service's own flags.
    Serve(A, ServerArgs),
    /// To say whether the service is well.
    Healthcheck(ServerArgs),
    /// To show the running service's fault, or to begin or end one.
    Faults(Option<String>, ServerArgs),
    /// For something else that the program can do.
    Errand(Ready),
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Address to listen on
    #[arg(long, env = "SERVICE_ADDRESS", value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) address: IpAddr,
    /// Port to listen on; 0 is any free one
    #[arg(long, env = "SERVICE_PORT", value_name = "N", default_value = "8080")]
    pub(crate) port: u16,
    /// Unix socket to listen on, instead of address and port
    #[arg(long, env = "SERVICE_SOCKET", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Port for /healthz, /readyz, /metrics, /version, /log-level and /faults; 0 is any free one
    #[arg(long, env = "SERVICE_ADMIN_PORT", value_name = "N", default_value = "9090")]
    pub(crate) admin_port: u16,
    /// Name to show to clients [default: the host's]
    #[arg(long, env = "SERVICE_HOST", value_name = "NAME")]
    host: Option<String>,
    /// Swarm's name of the task
    #[arg(long, env = "SERVICE_TASK", value_name = "NAME")]
    task: Option<String>,
    /// Swarm's slot
    #[arg(long, env = "SERVICE_SLOT", value_name = "SLOT")]
    slot: Option<String>,
    /// Swarm's name of the node
    #[arg(long, env = "SERVICE_NODE", value_name = "NAME")]
    node: Option<String>,
    /// How many threads serve, each of which can use one core
    #[arg(long, env = "SERVICE_THREADS", value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u32).range(1..=1024))]
    pub(crate) threads: u32,
    /// File with the token for what can be changed on the admin port; without one that is nothing
    #[arg(long, env = "SERVICE_ADMIN_TOKEN_FILE", value_name = "PATH", value_parser = env_option::<PathBuf>)]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) admin_token_file: EnvOption<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten, next_help_heading = "Logs")]
    pub(crate) log: LogArgs,
    /// Log this part of all requests, from 0 to 1; at level debug each is logged
    #[arg(long, env = "SERVICE_ACCESS_LOG", value_name = "RATE", value_parser = parse_rate, default_value = "0")]
    pub(crate) access_log: f64,
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

impl ServerArgs {
    pub(crate) fn identity(&self) -> Identity {
        // A stack file's template leaves nothing where there is nothing to say.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Identity {
            host: given(&self.host)
                .unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned()),
            task: given(&self.task),
            slot: given(&self.slot),
            node: given(&self.node),
        }
    }

    pub(crate) fn service_address(&self) -> SocketAddr {
        (self.address, self.port).into()
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        (self.address, self.admin_port).into()
    }
}

/// Reads command line and environment, or returns the code to exit with.
pub(crate) fn parse<A: Args>(about: AppInfo) -> Result<Asked<A>, ExitCode> {
    let errand = |name: &OsStr| about.subcommands.iter().find(|subcommand| name == subcommand.name);
    if let Some(subcommand) = env::args_os().nth(1).as_deref().and_then(errand) {
        // By itself: flags and variables of the server are nothing to it.
        return parse_with(bare(about).subcommand(subcommand.command()), |matches| {
            let (_, asked) = matches.subcommand().unwrap_or((subcommand.name, matches));
            subcommand.read(asked).map(Asked::Errand)
        });
    }
    parse_with(command(about, A::augment_args), |matches| {
        let server = ServerArgs::from_arg_matches(matches)?;
        if let Some((name, asked)) = matches.subcommand()
            && let Some(subcommand) = errand(OsStr::new(name))
        {
            return subcommand.read(asked).map(Asked::Errand);
        }
        Ok(match matches.subcommand() {
            Some((FAULTS, asked)) => Asked::Faults(asked.get_one("order").cloned(), server),
            Some(_) => Asked::Healthcheck(server),
            None => Asked::Serve(A::from_arg_matches(matches)?, server),
        })
    })
}

/// The program, without what it can be asked for.
fn bare(about: AppInfo) -> Command {
    Command::new(about.name).disable_help_subcommand(true)
}

fn command(about: AppInfo, own: fn(Command) -> Command) -> Command {
    let healthcheck =
        Command::new("healthcheck").about("Asks the running service whether it is well: exit code 0 or 1");
    let faults = Command::new(FAULTS)
        .about("Shows the running service's fault, begins one, or ends it")
        .arg(Arg::new("order").value_name("JSON|off").help(
            "What to begin, such as {\"rate\": 0.3, \"status\": 503, \"delay\": \"200ms\", \"for\": \"60s\"}",
        ))
        .hide(!about.admin_port);
    let command = ServerArgs::augment_args(Command::new(about.name))
        // To be understood after `healthcheck` as well as before it.
        .mut_args(|arg| arg.global(true))
        .mut_arg("admin_port", |arg| arg.hide(!about.admin_port))
        .mut_arg("admin_token_file", |arg| arg.hide(!about.admin_port))
        .next_help_heading(None);
    own(command)
        .mut_args(|arg| named_otherwise(arg, about.env_aliases))
        .version(about.version)
        .about(about.description)
        .after_help(format!("Examples:\n{}", about.examples.trim_matches('\n')))
        .subcommand(healthcheck)
        .subcommand(faults)
        .subcommands(about.subcommands.iter().map(|subcommand| subcommand.command()))
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
}

/// Has a flag take its value from the variable that stands in for its own.
fn named_otherwise(arg: Arg, variables: &[(&'static str, &'static str)]) -> Arg {
    let Some(own) = arg.get_env() else { return arg };
    let Some((other, _)) = variables.iter().find(|(_, variable)| own == *variable) else { return arg };
    let is_set = |name: &OsStr| env::var_os(name).is_some_and(|value| !value.is_empty());
    let stands_in = env::var_os(own).is_none() && is_set(OsStr::new(other));
    let help = arg.get_help().map(|help| format!("{help}, also {other}"));
    let arg = if stands_in { arg.env(other) } else { arg };
    arg.help(help.unwrap_or_default())
}
