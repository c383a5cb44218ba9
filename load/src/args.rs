//! Flags and environment variables, and the plan that they define.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, str};

use clap::{ArgAction, Parser, Subcommand};
use cli::{Failure, integer, parse_bool, reason};
use http::{HeaderName, HeaderValue, Method};
use parse::{bounded_duration, positive_duration};

use crate::assertions::{Assertions, fraction};
use crate::compare::{self, Comparison};
use crate::instance::InstanceKey;
use crate::plan::{HttpVersion, Plan};
use crate::statuses::Statuses;
use crate::target::{Resolve, Target};
use crate::tls;

/// Load tester for routers: throughput and latency, and the share, outages and handovers of each instance
#[derive(Parser, Clone, Debug)]
#[command(name = "load", version, after_help = EXAMPLES)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Args {
    /// Target URLs; each gets a share of the requests in proportion to its weight
    #[arg(required_unless_present = "url_file", env = "LOAD_URL", value_name = "[WEIGHT:]URL")]
    #[arg(value_delimiter = ' ')]
    pub urls: Vec<Target>,
    /// File with more target URLs, one per line, or - for stdin
    #[arg(long, env = "LOAD_URL_FILE", value_name = "FILE")]
    pub url_file: Option<PathBuf>,

    /// Duration of the run [default: 10s, unless --requests is given]
    #[arg(short = 'z', long, env = "LOAD_FOR", value_name = "DURATION", value_parser = positive_duration)]
    #[arg(help_heading = LOAD)]
    pub duration: Option<Duration>,
    /// Number of requests
    #[arg(short = 'n', long, env = "LOAD_REQUESTS", value_name = "N", help_heading = LOAD)]
    #[arg(value_parser = integer::<u64>(1..=u64::MAX))]
    pub requests: Option<u64>,
    /// Requests per second, independent of response times (open loop); without it, each connection sends its next request
    /// after a response (closed loop)
    #[arg(short = 'q', long, env = "LOAD_RATE", value_name = "N", help_heading = LOAD)]
    #[arg(value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// Time over which the rate, or the number of connections, rises from zero
    #[arg(long, env = "LOAD_RAMP", value_name = "DURATION", default_value = "0s", help_heading = LOAD)]
    #[arg(value_parser = bounded_duration)]
    pub ramp: Duration,
    /// Maximum number of connections per host
    #[arg(short = 'c', long, env = "LOAD_CONNECTIONS", value_name = "N", default_value = "64")]
    #[arg(value_parser = integer::<u32>(1..=65_536), help_heading = LOAD)]
    pub connections: u32,
    /// Maximum number of concurrent requests per connection; needs --http 2
    #[arg(long, env = "LOAD_STREAMS", value_name = "N", default_value = "1", help_heading = LOAD)]
    #[arg(value_parser = integer::<u32>(1..=1000))]
    pub streams: u32,
    /// Number of threads
    #[arg(long, env = "LOAD_THREADS", value_name = "N", default_value = "1", help_heading = LOAD)]
    #[arg(value_parser = integer::<u32>(1..=256))]
    pub threads: u32,

    /// Request method
    #[arg(short = 'm', long, env = "LOAD_METHOD", value_name = "METHOD", default_value = "GET")]
    #[arg(value_parser = method, help_heading = REQUESTS)]
    pub method: Method,
    /// Request header; repeatable
    #[arg(short = 'H', long = "header", env = "LOAD_HEADER", value_name = "NAME: VALUE")]
    #[arg(value_parser = header, help_heading = REQUESTS)]
    pub headers: Vec<(String, String)>,
    /// Request body
    #[arg(short = 'd', long, env = "LOAD_BODY", value_name = "TEXT", conflicts_with = "body_file")]
    #[arg(help_heading = REQUESTS)]
    pub body: Option<String>,
    /// File with the request body, or - for stdin
    #[arg(long, env = "LOAD_BODY_FILE", value_name = "FILE", help_heading = REQUESTS)]
    pub body_file: Option<PathBuf>,
    /// Addresses of a host in place of a lookup; repeatable
    #[arg(long, env = "LOAD_RESOLVE", value_name = "HOST:PORT:ADDRESS[,ADDRESS]", help_heading = REQUESTS)]
    pub resolve: Vec<Resolve>,
    /// Unix socket to connect to in place of the hosts
    #[arg(long, env = "LOAD_UNIX_SOCKET", value_name = "PATH", help_heading = REQUESTS)]
    pub unix_socket: Option<PathBuf>,
    /// Statuses of successful responses, such as 200,404 or 2xx,3xx
    #[arg(long, env = "LOAD_EXPECT", value_name = "STATUS,...", default_value = "2xx", help_heading = REQUESTS)]
    pub expect: Statuses,
    /// Maximum time for a request, including connecting
    #[arg(short = 't', long, env = "LOAD_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = positive_duration, help_heading = REQUESTS)]
    pub timeout: Duration,
    /// HTTP version: 1.1 or 2 [default: the server's preference over TLS, 1.1 without TLS]
    #[arg(long, env = "LOAD_HTTP", value_name = "VERSION", value_parser = http, help_heading = REQUESTS)]
    pub http: Option<HttpVersion>,
    /// Open a new connection for each request
    #[arg(long, env = "LOAD_NO_KEEP_ALIVE", action = ArgAction::SetTrue, value_parser = parse_bool)]
    #[arg(help_heading = REQUESTS)]
    pub no_keep_alive: bool,
    /// PEM file with trusted CA certificates [default: /etc/ssl/certs/ca-certificates.crt]
    #[arg(long, env = "LOAD_CA", value_name = "FILE", conflicts_with = "insecure", help_heading = REQUESTS)]
    pub ca: Option<PathBuf>,
    /// Accept any server certificate
    #[arg(long, env = "LOAD_INSECURE", action = ArgAction::SetTrue, value_parser = parse_bool)]
    #[arg(help_heading = REQUESTS)]
    pub insecure: bool,
    /// Start even if a host cannot be reached
    #[arg(long, env = "LOAD_UNCHECKED", action = ArgAction::SetTrue, value_parser = parse_bool)]
    #[arg(help_heading = REQUESTS)]
    pub unchecked: bool,

    /// Source of the instance name in a response: header:NAME (the first of several that it has) or body:REGEX (first group,
    /// or the whole match)
    #[arg(long, env = "LOAD_INSTANCE", value_name = "KEY", default_value_t)]
    #[arg(help_heading = REPORT)]
    pub instance: InstanceKey,
    /// Report outages at least this long
    #[arg(long, env = "LOAD_GAP", value_name = "DURATION", default_value = "250ms", help_heading = REPORT)]
    #[arg(value_parser = positive_duration)]
    pub gap: Duration,
    /// JSON report file, or - for stdout instead of the text report
    #[arg(long, env = "LOAD_JSON", value_name = "FILE", help_heading = REPORT)]
    pub json: Option<PathBuf>,
    /// HTML report file
    #[arg(long, env = "LOAD_HTML", value_name = "FILE", help_heading = REPORT)]
    pub html: Option<PathBuf>,
    /// Interval of progress updates on stderr
    #[arg(long, env = "LOAD_EVERY", value_name = "DURATION", default_value = "1s", help_heading = REPORT)]
    #[arg(value_parser = positive_duration)]
    pub every: Duration,
    /// Do not show progress on stderr
    #[arg(long, env = "LOAD_QUIET", action = ArgAction::SetTrue, value_parser = parse_bool)]
    #[arg(help_heading = REPORT)]
    pub quiet: bool,

    /// Assertions on the report.
    #[command(flatten)]
    pub assertions: Assertions,

    /// Other tasks than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Other tasks than a run.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Compare two JSON reports; exit code 1 if the new one is worse
    Compare(CompareArgs),
}

/// Flags of `load compare`.
#[derive(clap::Args, Clone, Debug)]
pub struct CompareArgs {
    /// JSON report of the earlier run
    #[arg(value_name = "OLD.json")]
    pub old: PathBuf,
    /// JSON report of the later run
    #[arg(value_name = "NEW.json")]
    pub new: PathBuf,
    /// Tolerated change for the worse of the rate of successful responses and of p50 to p99
    #[arg(long, env = "LOAD_THRESHOLD", value_name = "N%", default_value = "10%", value_parser = fraction)]
    pub threshold: f64,
}

impl CompareArgs {
    /// Reads both reports, and compares them.
    pub fn compare(&self) -> Result<Comparison, Failure> {
        let report = |path: &Path| {
            let invalid = |error| Failure::usage(format_args!("report {}: {error}", path.display()));
            compare::parse(&read("report", path)?).map_err(invalid)
        };
        Ok(compare::compare(&report(&self.old)?, &report(&self.new)?, self.threshold))
    }
}

const LOAD: &str = "Load";
const REQUESTS: &str = "Requests";
const REPORT: &str = "Report";

const EXAMPLES: &str = "\
Examples:
  load http://swarm/ping -q 2000 -z 60s --max-failed 0 --max-gap 250ms
  load http://swarm/ping -c 64 -n 100000 --json report.json
  load http://swarm/ping -q 500 -z 10m --html report.html
  load 3:http://swarm/ping 1:http://swarm/hello/viktor -q 500 --ramp 10s
  load http://swarm/ --instance 'body:(?m)^Hostname: (.*)$'
  load https://swarm/ping --ca ca.pem --http 2 --streams 10
  load compare old.json new.json --threshold 5%

Ctrl-C ends the run with a report; a second one abandons requests in flight.

Exit codes:
  0   success
  1   an assertion is not met or not assessable, or a regression
  64  invalid usage, or a host cannot be reached";

/// Duration of a run without --duration and --requests.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Maximum rate in requests per second, beyond the reach of any load generator.
const MAX_RATE: f64 = 10_000_000.0;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= MAX_RATE);
    rate.ok_or_else(|| format!("expected a number greater than 0, and at most {MAX_RATE}"))
}

fn http(text: &str) -> Result<HttpVersion, &'static str> {
    match text {
        "1" | "1.1" => Ok(HttpVersion::Http1),
        "2" => Ok(HttpVersion::Http2),
        _ => Err("expected 1.1 or 2"),
    }
}

fn method(text: &str) -> Result<Method, &'static str> {
    match text.parse() {
        Ok(Method::CONNECT) => Err("CONNECT is not supported"),
        Ok(method) => Ok(method),
        Err(_) => Err("expected a method such as GET"),
    }
}

/// Headers that depend on other flags.
const RESERVED: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("invalid header name {name:?}"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(format!("{parsed} is set by load: see --body and --no-keep-alive"));
    }
    if HeaderValue::from_str(value).is_err() || !value.is_ascii() {
        return Err(format!("invalid header value {value:?}"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads a file, or stdin if it is called `-`.
fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    let failed =
        |error| Failure::usage(format_args!("reading {what} {}: {}", path.display(), reason(&error)));
    done.map(|_| bytes).map_err(failed)
}

impl Args {
    /// The URLs of the command line and of the file.
    fn targets(&self) -> Result<Vec<Target>, Failure> {
        let mut targets = self.urls.clone();
        let Some(path) = &self.url_file else { return Ok(targets) };
        let invalid = |line: usize, error: &dyn fmt::Display| {
            Failure::usage(format_args!("URL file {}, line {line}: {error}", path.display()))
        };
        let text = read("URL file", path)?;
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)) {
            if text.is_empty() || text[0] == b'#' {
                continue;
            }
            let url = str::from_utf8(text).map_err(|error| invalid(line, &error))?;
            targets.push(url.parse().map_err(|error: String| invalid(line, &error))?);
        }
        if targets.is_empty() {
            return Err(Failure::usage(format_args!("URL file {} has no URL", path.display())));
        }
        Ok(targets)
    }

    /// Validates the flags, and reads the files that they name.
    pub fn plan(&self) -> Result<Plan, Failure> {
        if self.streams > 1 && self.http != Some(HttpVersion::Http2) {
            return Err(Failure::usage("--streams needs HTTP/2; add --http 2"));
        }
        if self.streams > 1 && self.no_keep_alive {
            return Err(Failure::usage("--streams cannot be used with --no-keep-alive"));
        }
        if self.threads > self.connections {
            let (threads, connections) = (self.threads, self.connections);
            return Err(Failure::usage(format_args!(
                "--threads {threads} exceeds --connections {connections}: each thread needs a connection"
            )));
        }
        let duration = self.duration.or(self.requests.is_none().then_some(DEFAULT_DURATION));
        if let Some(duration) = duration.filter(|duration| self.ramp > *duration) {
            let ramp = self.ramp;
            return Err(Failure::usage(format_args!("--ramp {ramp:?} exceeds --duration {duration:?}")));
        }
        if [&self.url_file, &self.body_file].iter().all(|file| file.as_deref() == Some(Path::new("-"))) {
            return Err(Failure::usage("--url-file and --body-file cannot both be stdin"));
        }
        let body = match (&self.body, &self.body_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => read("body file", path)?,
            (None, None) => Vec::new(),
        };
        let plan = Plan {
            method: self.method.clone(),
            headers: self.headers.clone(),
            body,
            http: self.http,
            keep_alive: !self.no_keep_alive,
            connections: self.connections,
            streams: self.streams,
            threads: self.threads,
            rate: self.rate,
            ramp: self.ramp,
            duration,
            requests: self.requests,
            timeout: self.timeout,
            resolve: self.resolve.clone(),
            unix_socket: self.unix_socket.clone(),
            expect: self.expect.clone(),
            instance: self.instance.clone(),
            outage_threshold: self.gap,
            ..Plan::new(self.targets()?)
        };
        let tls = plan.uses_tls().then(|| tls::config(self.ca.as_deref(), self.insecure)).transpose()?;
        Ok(Plan { tls: tls.map(Arc::new), ..plan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["load"], args].concat())
    }

    #[test]
    fn run_without_duration_and_number_takes_the_default_duration() {
        let duration = |args: &[&str]| parse(args).unwrap().plan().unwrap().duration;
        assert_eq!(duration(&["http://a/"]), Some(DEFAULT_DURATION));
        assert_eq!(duration(&["http://a/", "--requests", "5"]), None);
        assert_eq!(duration(&["http://a/", "-n", "5", "--duration", "1m"]), Some(Duration::from_mins(1)));
    }

    #[test]
    fn short_flags_are_those_of_similar_tools() {
        let args = parse(&[
            "http://a/",
            "-z",
            "5s",
            "-n",
            "7",
            "-q",
            "9",
            "-c",
            "3",
            "-t",
            "2s",
            "-m",
            "PUT",
            "-H",
            "a: b",
            "-d",
            "x",
        ]);
        let plan = args.unwrap().plan().unwrap();
        assert_eq!((plan.duration, plan.requests), (Some(Duration::from_secs(5)), Some(7)));
        assert_eq!((plan.rate, plan.connections, plan.timeout), (Some(9.0), 3, Duration::from_secs(2)));
        assert_eq!((plan.method, plan.body.as_slice()), (Method::PUT, &b"x"[..]));
        assert_eq!(plan.headers, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn urls_are_grouped_by_host_and_ordered_by_weight() {
        let plan = parse(&["3:http://a/x", "http://a/y", "2:http://b/"]).unwrap().plan().unwrap();
        assert_eq!((plan.hosts(), plan.origin_of.as_slice(), plan.order.len()), (2, &[0, 0, 1][..], 6));
    }

    #[test]
    fn urls_of_a_file_are_added() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        io::Write::write_all(&mut file, b"http://a/\n\n# comment\n 2:http://b/\r\nhttp://a/c").unwrap();
        let plan = parse(&["http://z/", "--url-file", &path]).unwrap().plan().unwrap();
        let urls: Vec<_> = plan.targets.iter().map(|target| (target.weight, target.url.as_str())).collect();
        assert_eq!(urls, [(1, "http://z/"), (1, "http://a/"), (2, "http://b/"), (1, "http://a/c")]);
        io::Write::write_all(&mut file, b"\nftp://a/\n").unwrap();
        let error = parse(&["--url-file", &path]).unwrap().plan().unwrap_err().to_string();
        assert!(error.ends_with(", line 6: the URL must start with http:// or https://"), "{error}");
    }

    #[test]
    fn invalid_flags_are_rejected_with_the_reason() {
        for (args, expected) in [
            (&[][..], "[WEIGHT:]URL"),
            (&["swarm"][..], "the URL must start with http:// or https://"),
            (&["http://a/", "--rate", "0"], "expected a number greater than 0"),
            (&["http://a/", "--rate", "-1"], "expected a number greater than 0"),
            (&["http://a/", "--rate", "NaN"], "expected a number greater than 0"),
            (&["http://a/", "--rate", "inf"], "expected a number greater than 0"),
            (&["http://a/", "--duration", "0s"], "greater than zero"),
            (&["http://a/", "--duration", "5"], "missing unit after 5"),
            (&["http://a/", "--requests", "0"], "expected an integer of at least 1"),
            (&["http://a/", "--connections", "0"], "expected an integer from 1 to 65536"),
            (&["http://a/", "--http", "3"], "expected 1.1 or 2"),
            (&["http://a/", "--expect", "200,ok"], "such as 200,404 or 2xx,3xx"),
            (&["http://a/", "--method", "G T"], "expected a method such as GET"),
            (&["http://a/", "--method", "CONNECT"], "CONNECT is not supported"),
            (&["http://a/", "--header", "x"], "expected NAME: VALUE"),
            (&["http://a/", "--header", "x y: z"], "invalid header name \"x y\""),
            (&["http://a/", "--header", "x: é"], "invalid header value \"é\""),
            (&["http://a/", "--header", "Connection: close"], "connection is set by load"),
            (&["http://a/", "--instance", "body:("], "invalid regular expression \"(\""),
            (&["http://a/", "--body", "x", "--body-file", "y"], "cannot be used with"),
            (&["http://a/", "--body-file", "/nowhere"], "reading body file /nowhere: no such file"),
            (&["--url-file", "/nowhere"], "reading URL file /nowhere: no such file"),
            (&["--url-file", "/dev/null"], "URL file /dev/null has no URL"),
            (&["--url-file", "-", "--body-file", "-"], "cannot both be stdin"),
            (&["http://a/", "--streams", "2"], "--streams needs HTTP/2"),
            (&["http://a/", "--http", "2", "--streams", "2", "--no-keep-alive"], "cannot be used with"),
            (&["http://a/", "--threads", "2", "--connections", "1"], "each thread needs a connection"),
            (&["http://a/", "--ramp", "20s"], "--ramp 20s exceeds --duration 10s"),
            (&["http://a/", "--max-skew", "10"], "expected a percentage such as 10%"),
            (&["http://a/", "--max-failed", "few"], "or a percentage such as 0.1%"),
            (&["https://a/", "--ca", "/nowhere"], "/nowhere: no such file"),
        ] {
            let error = match parse(args) {
                Err(error) => error.to_string(),
                Ok(args) => args.plan().unwrap_err().to_string(),
            };
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }

    #[test]
    fn header_is_split_and_trimmed() {
        assert_eq!(header("Host:  a:80 "), Ok(("Host".to_owned(), "a:80".to_owned())));
        assert!(header("x: a\r\ny: b").is_err());
    }
}
