//! Flags and environment, and the plan that they make.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Parser};
use cli::{Failure, parse_bool, reason};
use http::{HeaderName, HeaderValue, Method};
use parse::{bounded_duration, positive_duration};

use crate::demands::{Demands, Most, part};
use crate::instance::Key;
use crate::pace::turns;
use crate::plan::{Http, Plan};
use crate::target::Target;
use crate::tls;

/// Sends load, and says which instance answered, how evenly, and for how long nobody did
#[derive(Parser, Clone, Debug)]
#[command(name = "load", version, after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Args {
    /// Where to send requests; of several, each with its part of them before it, as in 3:http://swarm/ping
    #[arg(required = true, env = "LOAD_URL", value_name = "[WEIGHT:]URL", value_delimiter = ' ')]
    pub urls: Vec<Target>,
    /// Requests in each second, sent when they are due; without it each connection sends as soon as it has its answer
    #[arg(long, env = "LOAD_RATE", value_name = "N", value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// For how long to send [default: 10s, unless --requests is given]
    #[arg(long = "for", env = "LOAD_FOR", value_name = "TIME", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// How many requests to send
    #[arg(long, env = "LOAD_REQUESTS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// How many connections there may be at a time, to each host
    #[arg(long, env = "LOAD_CONNECTIONS", value_name = "N", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
    /// How many requests there may be at a time on each connection, with HTTP/2
    #[arg(long, env = "LOAD_STREAMS", value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub streams: u32,
    /// For how long the rate rises from nothing, or connections come one after the other
    #[arg(long, env = "LOAD_RAMP", value_name = "TIME", default_value = "0s", value_parser = bounded_duration)]
    pub ramp: Duration,
    /// Within what time a request must have its whole answer
    #[arg(long, env = "LOAD_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub timeout: Duration,
    /// Make a connection for each request
    #[arg(long, env = "LOAD_NO_KEEP_ALIVE", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub no_keep_alive: bool,
    /// 1.1, or 2, with or without TLS [default: what the server prefers by TLS, and 1.1 without]
    #[arg(long, env = "LOAD_HTTP", value_name = "VERSION", value_parser = http)]
    pub http: Option<Http>,
    /// The requests' method
    #[arg(long, env = "LOAD_METHOD", value_name = "METHOD", default_value = "GET", value_parser = method)]
    pub method: Method,
    /// A header field of the requests; several are possible
    #[arg(long = "header", env = "LOAD_HEADER", value_name = "NAME: VALUE", value_parser = field)]
    pub fields: Vec<(String, String)>,
    /// The requests' body
    #[arg(long, env = "LOAD_BODY", value_name = "TEXT", conflicts_with = "body_file")]
    pub body: Option<String>,
    /// The file that has it
    #[arg(long, env = "LOAD_BODY_FILE", value_name = "PATH")]
    pub body_file: Option<PathBuf>,
    /// Who is believed on whose certificate is whose, as PEM [default: /etc/ssl/certs/ca-certificates.crt]
    #[arg(long, env = "LOAD_CA", value_name = "PATH", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, env = "LOAD_INSECURE", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub insecure: bool,
    /// What tells instances apart: header:NAME, or body:EXPRESSION, of which the first group is the name
    #[arg(long, env = "LOAD_INSTANCE", value_name = "KEY", default_value = "header:x-served-by")]
    pub instance: Key,
    /// Times without a good answer are listed from this on
    #[arg(long, env = "LOAD_GAP", value_name = "TIME", default_value = "250ms", value_parser = positive_duration)]
    pub gap: Duration,
    /// Threads that send
    #[arg(long, env = "LOAD_THREADS", value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Start though a host cannot be connected to
    #[arg(long, env = "LOAD_UNCHECKED", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub unchecked: bool,
    /// How often to say on stderr how it goes
    #[arg(long, env = "LOAD_EVERY", value_name = "TIME", default_value = "1s", value_parser = positive_duration)]
    pub every: Duration,
    /// Say nothing on stderr until the end
    #[arg(long, env = "LOAD_QUIET", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub quiet: bool,
    /// Write the report as JSON to this file, or with - to stdout, instead of text
    #[arg(long, env = "LOAD_JSON", value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// Write the report as a page for a browser to this file as well
    #[arg(long, env = "LOAD_HTML", value_name = "PATH")]
    pub html: Option<PathBuf>,
    /// What is demanded.
    #[command(flatten)]
    pub demands: DemandArgs,
}

/// What is demanded.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Demands, with exit code 1 if one is not met")]
pub struct DemandArgs {
    /// The most requests that may fail: a number, or a part of all such as 0.1%
    #[arg(long, env = "LOAD_MAX_FAILED", value_name = "N[%]")]
    pub max_failed: Option<Most>,
    /// The longest time without a good answer
    #[arg(long, env = "LOAD_MAX_GAP", value_name = "TIME", value_parser = bounded_duration)]
    pub max_gap: Option<Duration>,
    /// What 99 of 100 good answers may take; there has to be one
    #[arg(long, env = "LOAD_MAX_P99", value_name = "TIME", value_parser = bounded_duration)]
    pub max_p99: Option<Duration>,
    /// The least number of instances that give good answers
    #[arg(long, env = "LOAD_MIN_INSTANCES", value_name = "N")]
    pub min_instances: Option<u64>,
    /// How far an instance's share may be from an equal one, as a part of that, such as 10%
    #[arg(long, env = "LOAD_MAX_SKEW", value_name = "N%", value_parser = part)]
    pub max_skew: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  load http://swarm/ping --rate 2000 --for 60s --max-failed 0 --max-gap 250ms
  load http://swarm/ping --connections 64 --requests 100000 --json report.json
  load http://swarm/ping --rate 500 --for 10m --html report.html
  load 3:http://swarm/ping 1:http://swarm/hello/viktor --rate 500 --ramp 10s
  load http://swarm/ --instance 'body:(?m)^Hostname: (.*)$'
  load https://swarm/ping --ca ca.pem --http 2 --streams 10

Ctrl-C ends it with the report, and a second one without waiting for answers.

Exit code: 0, or 1 if a demand is not met, and 64 on bad usage, which includes a host that cannot be connected to.";

/// For so long it is sent if nothing is said.
const USUAL: Duration = Duration::from_secs(10);

/// What no generator comes near to.
const FASTEST: f64 = 10_000_000.0;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= FASTEST);
    rate.ok_or_else(|| format!("more than 0 requests in each second are expected, and at most {FASTEST}"))
}

fn http(text: &str) -> Result<Http, String> {
    match text {
        "1" | "1.1" => Ok(Http::One),
        "2" => Ok(Http::Two),
        _ => Err("1.1 or 2 is expected".to_owned()),
    }
}

fn method(text: &str) -> Result<Method, String> {
    match text.parse() {
        Ok(Method::CONNECT) => Err("it would need a proxy".to_owned()),
        Ok(method) => Ok(method),
        Err(_) => Err("a method such as GET is expected".to_owned()),
    }
}

/// Fields that are the program's own affair.
const OWN: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("NAME: VALUE is expected")?;
    let (name, value) = (name.trim(), value.trim());
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header's name"))?;
    if OWN.contains(&parsed.as_str()) {
        return Err(format!("{parsed} is what the body and --no-keep-alive make it"));
    }
    HeaderValue::from_str(value).map_err(|_| format!("{value:?} is no header's value"))?;
    if value.is_ascii() {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("{value:?} is not ASCII"))
    }
}

impl Args {
    /// The plan, or what is wrong with it. Files are read, and nothing is connected to.
    pub fn plan(&self) -> Result<Plan, Failure> {
        if self.streams > 1 && self.http != Some(Http::Two) {
            return Err(Failure::usage("--streams is for HTTP/2 only: give --http 2 with it"));
        }
        if self.streams > 1 && self.no_keep_alive {
            return Err(Failure::usage("--streams and --no-keep-alive exclude each other"));
        }
        if self.threads > self.connections {
            let (threads, connections) = (self.threads, self.connections);
            return Err(Failure::usage(format_args!(
                "--threads {threads} cannot share --connections {connections}: each needs one at least"
            )));
        }
        let duration = match (self.duration, self.requests) {
            (None, None) => Some(USUAL),
            (duration, _) => duration,
        };
        if let Some(duration) = duration
            && self.ramp > duration
        {
            return Err(Failure::usage("--ramp is longer than --for"));
        }
        let body = match (&self.body, &self.body_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => fs::read(path).map_err(|error| {
                Failure::usage(format_args!("reading body file {}: {}", path.display(), reason(&error)))
            })?,
            (None, None) => Vec::new(),
        };
        let (origins, origin_of) = Plan::origins(&self.urls);
        let is_tls = origins.iter().any(|origin| origin.tls);
        let tls = is_tls.then(|| tls::config(self.ca.as_deref(), self.insecure)).transpose()?;
        Ok(Plan {
            turns: turns(&self.urls.iter().map(|target| target.weight).collect::<Vec<_>>()),
            targets: self.urls.clone(),
            origins,
            origin_of,
            method: self.method.clone(),
            fields: self.fields.clone(),
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
            instance: self.instance.clone(),
            gap: self.gap,
            tls: tls.map(Arc::new),
        })
    }

    /// What is demanded of the report.
    pub fn demands(&self) -> Demands {
        let DemandArgs { max_failed, max_gap, max_p99, min_instances, max_skew } = self.demands.clone();
        Demands { max_failed, max_gap, max_p99, min_instances, max_skew }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["load"], args].concat())
    }

    fn fault(args: &[&str]) -> String {
        match read(args) {
            Err(error) => error.to_string(),
            Ok(args) => args.plan().unwrap_err().to_string(),
        }
    }

    #[test]
    fn without_time_and_number_it_ends_after_a_while() {
        let duration = |args: &[&str]| read(args).unwrap().plan().unwrap().duration;
        assert_eq!(duration(&["http://a/"]), Some(USUAL));
        assert_eq!(duration(&["http://a/", "--requests", "5"]), None);
        assert_eq!(duration(&["http://a/", "--requests", "5", "--for", "1m"]), Some(Duration::from_mins(1)));
    }

    #[test]
    fn several_urls_have_their_weights_and_hosts() {
        let plan = read(&["3:http://a/x", "http://a/y", "2:http://b/"]).unwrap().plan().unwrap();
        assert_eq!((plan.origins.len(), plan.origin_of.as_slice(), plan.turns.len()), (2, &[0, 0, 1][..], 6));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (args, expected) in [
            (&[][..], "[WEIGHT:]URL"),
            (&["swarm"][..], "it does not begin with http:// or https://"),
            (&["http://a/", "--rate", "0"], "more than 0 requests"),
            (&["http://a/", "--rate", "-1"], "more than 0 requests"),
            (&["http://a/", "--rate", "NaN"], "more than 0 requests"),
            (&["http://a/", "--rate", "inf"], "more than 0 requests"),
            (&["http://a/", "--for", "0s"], "greater than zero"),
            (&["http://a/", "--for", "5"], "missing unit after 5"),
            (&["http://a/", "--requests", "0"], "0 is not in 1.."),
            (&["http://a/", "--connections", "0"], "0 is not in 1.."),
            (&["http://a/", "--http", "3"], "1.1 or 2 is expected"),
            (&["http://a/", "--method", "G T"], "a method such as GET"),
            (&["http://a/", "--method", "CONNECT"], "it would need a proxy"),
            (&["http://a/", "--header", "x"], "NAME: VALUE is expected"),
            (&["http://a/", "--header", "x y: z"], "\"x y\" is no header's name"),
            (&["http://a/", "--header", "Connection: close"], "connection is what"),
            (&["http://a/", "--instance", "body:("], "\"(\" is no regular expression"),
            (&["http://a/", "--body", "x", "--body-file", "y"], "cannot be used with"),
            (&["http://a/", "--body-file", "/nowhere"], "reading body file /nowhere: no such file"),
            (&["http://a/", "--streams", "2"], "--streams is for HTTP/2 only"),
            (&["http://a/", "--http", "2", "--streams", "2", "--no-keep-alive"], "exclude each other"),
            (&["http://a/", "--threads", "2", "--connections", "1"], "each needs one at least"),
            (&["http://a/", "--ramp", "20s"], "--ramp is longer than --for"),
            (&["http://a/", "--max-skew", "10"], "a part such as 10%"),
            (&["http://a/", "--max-failed", "few"], "a number, or a part such as 0.1%"),
            (&["https://a/", "--ca", "/nowhere"], "reading root certificates /nowhere: no such file"),
        ] {
            let error = fault(args);
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }

    #[test]
    fn fields_are_taken_apart() {
        assert_eq!(field("Host:  a:80 "), Ok(("Host".to_owned(), "a:80".to_owned())));
        assert!(field("x: a\r\ny: b").is_err());
    }
}
