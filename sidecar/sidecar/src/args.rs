//! Flags and environment. An empty value means "not given", since that is what the templates of a stack file leave
//! where there is nothing to say.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cli::{EnvOption, Failure, LogArgs, env_option, env_option_with, parse_bool};
use client::url::{self, Url};
use parse::{bounded_duration, positive_duration};
use protocol::{Health, InstanceId, Labels, Registration, Source};

/// Starts a service, registers it with the hub while it is healthy, and withdraws it before it stops
#[derive(Parser)]
#[command(name = "sidecar", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs a service; without a hub it is replaced by the service
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Asks the sidecar that runs with the same environment: exit code 0 if the service is healthy and routed
    #[command(after_help = HEALTHCHECK_EXAMPLES)]
    Healthcheck(ServiceArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  sidecar run --hub http://hub:8080 --token-file /run/secrets/token -- /ping
  sidecar run --hub http://hub:8080 --port 5432 --probe tcp://127.0.0.1:5432 -- postgres
  sidecar run --hub http://hub:8080 --label 'traefik.http.routers.web.rule=Path(`/`)' -- nginx -g 'daemon off;'

Signals: TERM, INT and QUIT withdraw the service and are passed on after that. A second one is passed on at once,
a third one kills. All others that a process can hear of are passed on as they come, real-time signals included, but
for CHLD and for those that tell of a fault: ILL, TRAP, BUS, FPE, SEGV and SYS.

Terminal: Ctrl-C withdraws as INT does, until the service reads or sets the terminal; from then on keys are the
service's own affair.

Exit code: the command's own, 128+N if signal N ended it, 126 if it cannot be executed, 127 if it is not found,
64 on bad usage.";

const HEALTHCHECK_EXAMPLES: &str = "\
Examples:
  HEALTHCHECK CMD [\"/sidecar\", \"healthcheck\"]
  SIDECAR_HUB=http://hub:8080 SIDECAR_TASK=ping.1 sidecar healthcheck

Without a hub there is no sidecar to ask: the service itself is probed.";

/// What `run` and `healthcheck` must agree upon.
#[derive(Args)]
pub(crate) struct ServiceArgs {
    /// The hub's address; without it there is nothing to do but to run the command
    #[arg(long, env = "SIDECAR_HUB", value_name = "URL", value_parser = env_option_with(url::parse_hub), default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) hub: EnvOption<Url>,
    /// The instance's name in the hub, unique among tasks [default: SERVICE.HOST.PID]
    #[arg(long, env = "SIDECAR_TASK", value_name = "ID", value_parser = env_option::<InstanceId>, default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) task: EnvOption<InstanceId>,
    /// The service that the task belongs to [default: the command's file name]
    #[arg(long, env = "SIDECAR_SERVICE", value_name = "NAME", value_parser = env_option::<String>, default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) service: EnvOption<String>,
    /// The host name that the service shows [default: this host's]
    #[arg(long, env = "SIDECAR_HOST", value_name = "NAME", value_parser = env_option::<String>, default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) host: EnvOption<String>,
    /// What tells whether the service is well: a 2xx answer, or with tcp://HOST:PORT an accepted connection
    #[arg(long, env = "SIDECAR_PROBE", value_name = "URL", default_value = "http://127.0.0.1:9090/readyz")]
    pub(crate) probe: Url,
    /// Within what time a probe must be answered in full
    #[arg(long, env = "SIDECAR_PROBE_TIMEOUT", value_name = "TIME", value_parser = positive_duration, default_value = "1s")]
    pub(crate) probe_timeout: Duration,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// The file that holds the hub's token; it is read again at each connection
    #[arg(long, env = "SIDECAR_TOKEN_FILE", value_name = "PATH", value_parser = env_option::<PathBuf>, default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) token_file: EnvOption<PathBuf>,
    /// Swarm's slot
    #[arg(long, env = "SIDECAR_SLOT", value_parser = env_option::<String>, default_value = "", hide_default_value = true)]
    slot: EnvOption<String>,
    /// Swarm's name of the node
    #[arg(long, env = "SIDECAR_NODE", value_name = "NAME", value_parser = env_option::<String>, default_value = "")]
    #[arg(hide_default_value = true)]
    node: EnvOption<String>,
    /// The service's labels, as KEY=VALUE&…, keys and values escaped as in a URL's query
    #[arg(long, env = "SIDECAR_LABELS", value_name = "QUERY", value_parser = Labels::from_urlquery)]
    #[arg(default_value = "", hide_default_value = true, hide_env_values = true)]
    labels: Labels,
    /// One more label, which wins over --labels; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// The service's port
    #[arg(long, env = "SIDECAR_PORT", default_value = "8080")]
    port: NonZeroU16,
    /// Where the router reaches the service [default: the local address of the connection to the hub]
    #[arg(long, env = "SIDECAR_ADDRESS", value_name = "IP", value_parser = env_option::<IpAddr>, default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) address: EnvOption<IpAddr>,
    /// Time between probes
    #[arg(long, env = "SIDECAR_PROBE_INTERVAL", value_name = "TIME", value_parser = positive_duration, default_value = "1s")]
    pub(crate) probe_interval: Duration,
    /// Time between probes until the service is healthy for the first time
    #[arg(long, env = "SIDECAR_PROBE_START_INTERVAL", value_name = "TIME", value_parser = positive_duration)]
    #[arg(default_value = "25ms")]
    pub(crate) probe_start_interval: Duration,
    /// How many probes in a row make the service healthy
    #[arg(long, env = "SIDECAR_RISE", value_name = "N", default_value = "1")]
    pub(crate) rise: NonZeroU32,
    /// How many failed probes in a row make the service unhealthy
    #[arg(long, env = "SIDECAR_FALL", value_name = "N", default_value = "3")]
    pub(crate) fall: NonZeroU32,
    /// How long to wait, when stopping, for the routers to stop sending requests
    #[arg(long, env = "SIDECAR_WITHDRAW_TIMEOUT", value_name = "TIME", value_parser = bounded_duration, default_value = "10s")]
    pub(crate) withdraw_timeout: Duration,
    /// How long the service may take to end before it is killed
    #[arg(long, env = "SIDECAR_GRACE", value_name = "TIME", value_parser = bounded_duration, default_value = "15s")]
    pub(crate) grace: Duration,
    /// Send signals to the service's whole process group, for a shell script whose children have to hear them too
    #[arg(long, env = "SIDECAR_GROUP", value_parser = parse_bool)]
    pub(crate) group: bool,
    /// How long a healthy service may stay without a route before `healthcheck` succeeds all the same
    #[arg(long, env = "SIDECAR_ROUTED_TIMEOUT", value_name = "TIME", value_parser = bounded_duration, default_value = "30s")]
    pub(crate) routed_timeout: Duration,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// The service's command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

impl RunArgs {
    /// Returns the instance ID.
    pub(crate) fn instance(&self) -> Result<InstanceId, Failure> {
        if let Some(task) = &self.service.task.0 {
            return Ok(task.clone());
        }
        let text = format!("{}.{}.{}", self.service_name(), self.host(), std::process::id());
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let id = text.chars().map(safe).collect::<String>().parse();
        id.map_err(|error| Failure::usage(format!("{error}; set --task")))
    }

    /// What the hub is told. `address` is used unless a flag says another.
    pub(crate) fn registration(&self, started: u64, address: IpAddr) -> Registration {
        let mut labels = self.labels.clone();
        labels.0.extend(self.label.iter().cloned());
        Registration {
            service: self.service_name(),
            host: self.host(),
            node: self.node.0.clone(),
            slot: self.slot.0.clone(),
            address: self.address.0.unwrap_or(address),
            port: self.port,
            started,
            health: Health::Starting,
            labels,
            source: Source::Sidecar,
        }
    }

    fn service_name(&self) -> String {
        self.service.service.0.clone().unwrap_or_else(|| {
            let command = Path::new(&self.command[0]);
            command.file_name().unwrap_or(command.as_os_str()).to_string_lossy().into_owned()
        })
    }

    fn host(&self) -> String {
        let own = || gethostname::gethostname().to_string_lossy().into_owned();
        self.service.host.0.clone().unwrap_or_else(own)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("KEY=VALUE is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<RunArgs, String> {
        let args = ["sidecar", "run"].iter().chain(args);
        match Cli::try_parse_from(args).map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(*args),
            Command::Healthcheck(_) => unreachable!(),
        }
    }

    #[test]
    fn an_empty_value_means_that_none_was_given() {
        let args =
            parse(&["--hub", "", "--task", "", "--address", "", "--slot", "", "--", "/bin/ping"]).unwrap();
        assert!(args.service.hub.0.is_none() && args.service.task.0.is_none() && args.address.0.is_none());
        let registration = args.registration(7, IpAddr::from([10, 0, 0, 7]));
        assert_eq!((registration.slot, registration.service.as_str()), (None, "ping"));
        assert_eq!((registration.address, registration.started), (IpAddr::from([10, 0, 0, 7]), 7));
    }

    #[test]
    fn the_default_instance_is_made_safe_for_a_path() {
        let args = parse(&["--service", "a b/é", "--host", "h", "--", "true"]).unwrap();
        assert_eq!(args.instance().unwrap().as_str(), format!("a-b--.h.{}", std::process::id()));
    }

    #[test]
    fn a_single_label_wins_over_the_environments() {
        let args = parse(&["--labels", "a=1&b=2", "--label", "a=3=4", "--", "true"]).unwrap();
        let labels = args.registration(0, IpAddr::from([127, 0, 0, 1])).labels.0;
        assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("3=4", "2"));
    }

    #[test]
    fn bad_usage_is_named() {
        for (args, fault) in [
            (&["--labels", "a=1&b", "--", "true"][..], "label 2 (\"b\")"),
            (&["--label", "=x", "--", "true"], "KEY=VALUE is expected"),
            (&["--task", "a/b", "--", "true"], "instance ID \"a/b\""),
            (&["--hub", "hub:8080", "--", "true"], "missing scheme"),
            (&["--probe", "udp://a:1", "--", "true"], "scheme \"udp\""),
            (&["--probe-interval", "0s", "--", "true"], "greater than zero"),
            (&["--grace", "9000000d", "--", "true"], "at most 24h"),
            (&["--rise", "0", "--", "true"], "--rise"),
            (&["--port", "0", "--", "true"], "--port"),
            (&["--address", "here", "--", "true"], "--address"),
            (&["true"], "unexpected argument"),
            (&[], "required"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(fault), "{args:?}: {error}");
        }
    }
}
