//! Flags and environment variables.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use cli::{Failure, LogArgs, ip_address, parse_bool};
use client::url::{self, Url};
use parse::{bounded_duration, positive_duration};
use protocol::{Health, InstanceId, Labels, Registration, Source};
use rustix::process::Signal;

use crate::after::After;
use crate::signals;

/// Init process of a task: registers the service with the hub, and withdraws it before it stops
#[derive(Parser)]
#[command(name = "sidecar", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a service; without --hub, only be its init as PID 1, else only execute its command
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Check the service: exit code 0 if it is healthy and routed, else 1; needs the environment of `sidecar run`
    #[command(after_help = HEALTHCHECK_HELP)]
    Healthcheck(ServiceArgs),
}

const RUN_HELP: &str = "\
Examples:
  sidecar run --hub http://hub:8080 --token-file /run/secrets/token -- /ping
  sidecar run --hub http://hub:8080 --port 5432 \\
    --probe tcp://127.0.0.1:5432 -- postgres
  sidecar run --hub http://hub:8080 --after demo_api --after db:5432 \\
    -- /worker
  sidecar run --hub http://hub:8080 \\
    --label 'traefik.http.routers.web.rule=Path(`/`)' -- nginx

Signals:
  TERM, INT, QUIT  withdraw the service, then forward the signal;
                   a second one skips the wait, a third one kills the service
  --stop-signal    the same; the service gets this signal, whichever arrived
  WINCH            the same, without --stop-signal and without a terminal:
                   it is the STOPSIGNAL of Apache's images
  all others       forward the signal; not CHLD, and not the signals of
                   program errors: ILL, TRAP, BUS, FPE, SEGV, SYS
  Other processes that the service leaves behind get TERM, then KILL.

Terminal:
  If stdin is a terminal, the service has its foreground: Ctrl-C goes to all
  its processes, without a withdrawal before. Else the service gets the
  foreground once it reads or configures the terminal.

Exit code:
  that of the command; 128+N if signal N ended it; 126 if it cannot be
  executed; 127 if it is not found; 64 for invalid usage; as PID 1
  with a hub, 1 instead of 0 if the health check never succeeded";

const HEALTHCHECK_HELP: &str = "\
Examples:
  HEALTHCHECK CMD [\"/sidecar\", \"healthcheck\"]
  SIDECAR_HUB=http://hub:8080 SIDECAR_TASK=ping.1 sidecar healthcheck

Without --hub there is no sidecar, so the command probes the service itself.";

/// Flags that `run` and `healthcheck` share.
#[derive(Args)]
pub(crate) struct ServiceArgs {
    /// URL of the hub, http://HOST:PORT or https://HOST:PORT
    #[arg(long, env = "SIDECAR_HUB", value_name = "URL", value_parser = url::parse_hub)]
    #[arg(help_heading = "Hub")]
    pub(crate) hub: Option<Url>,
    /// Unique ID of the instance [default: SERVICE.HOST.PID]
    #[arg(long, env = "SIDECAR_TASK", value_name = "ID", help_heading = "Task")]
    pub(crate) task: Option<InstanceId>,
    /// Name of the service [default: file name of the command]
    #[arg(long, env = "SIDECAR_SERVICE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Task")]
    pub(crate) service: Option<String>,
    /// Host name of the task [default: host name of the system]
    #[arg(long, env = "SIDECAR_HOST", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Task")]
    pub(crate) host: Option<String>,
    /// URL to probe: http://HOST:PORT/PATH succeeds with a 2xx response, tcp://HOST:PORT with a connection
    #[arg(long, env = "SIDECAR_PROBE", value_name = "URL", default_value = "http://127.0.0.1:9090/readyz")]
    #[arg(value_parser = url::parse_probe, help_heading = "Health")]
    pub(crate) probe: Url,
    /// Maximum time for a probe
    #[arg(long, env = "SIDECAR_PROBE_TIMEOUT", value_name = "DURATION", value_parser = positive_duration)]
    #[arg(default_value = "1s", help_heading = "Health")]
    pub(crate) probe_timeout: Duration,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// File with the hub's token, read again for each connection
    #[arg(long, env = "SIDECAR_TOKEN_FILE", value_name = "FILE", help_heading = "Hub")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file with the CA certificates that an https hub's certificate may have, read again for each connection
    #[arg(long, env = "SIDECAR_HUB_CA", value_name = "FILE", help_heading = "Hub")]
    pub(crate) hub_ca: Option<PathBuf>,
    /// Swarm slot of the task
    #[arg(long, env = "SIDECAR_SLOT", value_name = "SLOT", value_parser = NonEmptyStringValueParser::new(), help_heading = "Task")]
    slot: Option<String>,
    /// Swarm node of the task
    #[arg(long, env = "SIDECAR_NODE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Task")]
    node: Option<String>,
    /// Labels of the service, as KEY=VALUE&KEY=VALUE with keys and values escaped as in a URL query
    #[arg(long, env = "SIDECAR_LABELS", value_name = "QUERY", value_parser = Labels::from_urlquery)]
    #[arg(default_value = "", help_heading = "Routing")]
    labels: Labels,
    /// One more label, which overrides --labels; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label, help_heading = "Routing")]
    label: Vec<(String, String)>,
    /// Port of the service
    #[arg(long, env = "SIDECAR_PORT", value_name = "PORT", default_value = "8080", value_parser = parse_port, help_heading = "Routing")]
    port: NonZeroU16,
    /// Address at which routers reach the service [default: local address of the connection to the hub]
    #[arg(long, env = "SIDECAR_ADDRESS", value_name = "IP", value_parser = ip_address)]
    #[arg(help_heading = "Routing")]
    address: Option<IpAddr>,
    /// Time after which the health check of a healthy service succeeds without a route if no router polls the hub
    #[arg(long, env = "SIDECAR_ROUTED_TIMEOUT", value_name = "DURATION", value_parser = bounded_duration)]
    #[arg(default_value = "30s", help_heading = "Routing")]
    pub(crate) routed_timeout: Duration,
    /// Start the service once SERVICE is routed, as the hub knows, or HOST:PORT accepts TCP connections; repeatable
    #[arg(
        long,
        env = "SIDECAR_AFTER",
        value_name = "SERVICE|HOST:PORT",
        value_delimiter = ',',
        help_heading = "Starting"
    )]
    pub(crate) after: Vec<After>,
    /// Time for --after; then the sidecar exits with 1
    #[arg(long, env = "SIDECAR_AFTER_TIMEOUT", value_name = "DURATION", value_parser = bounded_duration)]
    #[arg(default_value = "60s", help_heading = "Starting")]
    pub(crate) after_timeout: Duration,
    /// Time between probes
    #[arg(long, env = "SIDECAR_PROBE_INTERVAL", value_name = "DURATION", value_parser = positive_duration)]
    #[arg(default_value = "1s", help_heading = "Health")]
    pub(crate) probe_interval: Duration,
    /// Time between probes until the service is healthy for the first time
    #[arg(long, env = "SIDECAR_PROBE_START_INTERVAL", value_name = "DURATION", value_parser = positive_duration)]
    #[arg(default_value = "25ms", help_heading = "Health")]
    pub(crate) probe_start_interval: Duration,
    /// Successful probes in a row that make the service healthy
    #[arg(long, env = "SIDECAR_RISE", value_name = "N", default_value = "1", value_parser = parse_count)]
    #[arg(help_heading = "Health")]
    pub(crate) rise: NonZeroU32,
    /// Failed probes in a row that make the service unhealthy
    #[arg(long, env = "SIDECAR_FALL", value_name = "N", default_value = "3", value_parser = parse_count)]
    #[arg(help_heading = "Health")]
    pub(crate) fall: NonZeroU32,
    // The routers of a lost hub have 15 s to poll another one, and its loss is noticed after up to 3 s.
    /// Maximum time for all routers to acknowledge the withdrawal
    #[arg(long, env = "SIDECAR_WITHDRAW_TIMEOUT", value_name = "DURATION", value_parser = bounded_duration)]
    #[arg(default_value = "18s", help_heading = "Stopping")]
    pub(crate) withdraw_timeout: Duration,
    /// Time for the service to exit before it is killed
    #[arg(long, env = "SIDECAR_GRACE", value_name = "DURATION", value_parser = bounded_duration)]
    #[arg(default_value = "11s", help_heading = "Stopping")]
    pub(crate) grace: Duration,
    /// Signal that means stop, besides TERM, INT and QUIT; the service gets it, whichever arrived [default: the one that
    /// arrived]
    #[arg(long, env = "SIDECAR_STOP_SIGNAL", value_name = "SIGNAL", value_parser = signals::parse)]
    #[arg(help_heading = "Stopping")]
    pub(crate) stop_signal: Option<Signal>,
    /// Send signals to the process group of the service, for shell scripts whose children need them too
    #[arg(long, env = "SIDECAR_GROUP", value_parser = parse_bool, help_heading = "Stopping")]
    pub(crate) group: bool,
    /// Command of the service, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
    #[command(flatten, next_help_heading = "Logs")]
    pub(crate) log: LogArgs,
}

impl RunArgs {
    /// Returns the instance ID.
    pub(crate) fn instance(&self) -> Result<InstanceId, Failure> {
        if let Some(task) = &self.service.task {
            return Ok(task.clone());
        }
        let text = format!("{}.{}.{}", self.service_name(), self.host(), std::process::id());
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let id = text.chars().map(safe).collect::<String>().parse();
        id.map_err(|error| Failure::usage(format!("{error}; set --task")))
    }

    /// Returns the registration, with `address` unless --address overrides it.
    pub(crate) fn registration(&self, started: u64, address: IpAddr) -> Registration {
        let mut labels = self.labels.clone();
        labels.0.extend(self.label.iter().cloned());
        Registration {
            service: self.service_name(),
            host: self.host(),
            node: self.node.clone(),
            slot: self.slot.clone(),
            address: self.address.unwrap_or(address),
            port: self.port,
            started,
            age_ms: 0,
            health: Health::Starting,
            labels: labels.into(),
            source: Source::Sidecar,
            published: std::collections::BTreeMap::new(),
            ticket: None,
        }
    }

    /// Returns whether the registration contains the local address of the connection to the hub.
    pub(crate) fn has_no_address(&self) -> bool {
        self.address.is_none()
    }

    /// Returns the ports at which routers connect to the service over TCP: those of labels, or else --port.
    pub(crate) fn tcp_ports(&self) -> Vec<u16> {
        let labels = self.labels.0.iter().chain(self.label.iter().map(|(key, value)| (key, value)));
        let ports: Vec<_> = labels
            .map(|(key, value)| (key.to_ascii_lowercase(), value))
            .filter(|(key, _)| key.starts_with("traefik.") && !key.starts_with("traefik.udp."))
            .filter(|(key, _)| key.rsplit('.').next() == Some("port"))
            .filter_map(|(_, value)| value.trim().parse().ok())
            .collect();
        if ports.is_empty() { vec![self.port.get()] } else { ports }
    }

    fn service_name(&self) -> String {
        self.service.service.clone().unwrap_or_else(|| {
            let command = Path::new(&self.command[0]);
            command.file_name().unwrap_or(command.as_os_str()).to_string_lossy().into_owned()
        })
    }

    fn host(&self) -> String {
        let own = || gethostname::gethostname().to_string_lossy().into_owned();
        self.service.host.clone().unwrap_or_else(own)
    }
}

fn parse_port(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "expected an integer from 1 to 65535")
}

fn parse_count(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse().map_err(|_| "expected an integer of at least 1")
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
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
    fn name_of_the_service_is_that_of_the_command_by_default() {
        let args = parse(&["--", "/bin/ping"]).unwrap();
        let registration = args.registration(7, IpAddr::from([10, 0, 0, 7]));
        assert_eq!((registration.slot, registration.service.as_str()), (None, "ping"));
        assert_eq!((registration.address, registration.started), (IpAddr::from([10, 0, 0, 7]), 7));
    }

    #[test]
    fn default_instance_id_is_safe_in_a_path() {
        let args = parse(&["--service", "a b/é", "--host", "h", "--", "true"]).unwrap();
        assert_eq!(args.instance().unwrap().to_string(), format!("a-b--.h.{}", std::process::id()));
    }

    #[test]
    fn label_flag_overrides_labels() {
        let args = parse(&["--labels", "a=1&b=2", "--label", "a=3=4", "--", "true"]).unwrap();
        let labels = &args.registration(0, IpAddr::from([127, 0, 0, 1])).labels.0;
        assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("3=4", "2"));
    }

    #[test]
    fn tcp_ports_are_those_of_labels_or_else_the_port() {
        let ports = |labels: &str| parse(&["--labels", labels, "--", "true"]).unwrap().tcp_ports();
        assert_eq!(ports("traefik.http.routers.a.rule=x"), [8080]);
        assert_eq!(ports("traefik.udp.services.a.loadbalancer.server.port=53"), [8080]);
        let labels = "traefik.http.services.a.loadBalancer.server.Port=81&traefik.port=82&traefik.a.port=x";
        assert_eq!(ports(labels), [81, 82]);
    }

    #[test]
    fn withdrawal_outlasts_the_wait_for_routers_of_a_lost_hub_and_fits_into_the_grace_period() {
        // Time after which a hub that does not answer counts as lost.
        const LOST_AFTER: Duration = Duration::from_secs(3);
        // `stop_grace_period` in the stack files.
        const GRACE_PERIOD: Duration = Duration::from_secs(30);
        // `SERVICE_GRACE`.
        const SERVICE_GRACE: Duration = Duration::from_secs(10);
        let args = parse(&["--", "true"]).unwrap();
        assert!(args.withdraw_timeout >= crate::answers::MOVE_TIMEOUT + LOST_AFTER);
        assert!(args.grace > SERVICE_GRACE);
        assert!(args.withdraw_timeout + args.grace < GRACE_PERIOD);
    }

    #[test]
    fn bad_usage_names_the_error() {
        for (args, expected) in [
            (&["--labels", "a=1&b", "--", "true"][..], "label 2 (\"b\")"),
            (&["--label", "=x", "--", "true"], "expected KEY=VALUE"),
            (&["--task", "a/b", "--", "true"], "instance ID \"a/b\""),
            (&["--hub", "hub:8080", "--", "true"], "missing scheme"),
            (&["--probe", "udp://a:1", "--", "true"], "scheme \"udp\""),
            (&["--probe-interval", "0s", "--", "true"], "greater than zero"),
            (&["--grace", "9000000d", "--", "true"], "at most 24h"),
            (&["--rise", "0", "--", "true"], "--rise <N>': expected an integer of at least 1"),
            (&["--port", "0", "--", "true"], "--port <PORT>': expected an integer from 1"),
            (&["--address", "here", "--", "true"], "--address"),
            (&["--address", "", "--", "true"], "--address"),
            (&["--slot", "", "--", "true"], "a value is required for '--slot <SLOT>'"),
            (&["--token-file", "", "--", "true"], "a value is required for '--token-file <FILE>'"),
            (&["true"], "unexpected argument"),
            (&[], "required"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }
}
