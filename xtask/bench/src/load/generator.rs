//! The load generators and their reports.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Programs;
use crate::machine::Core;
use crate::programs::{number, stdout};
use crate::wrk::{self, Scenario, Source};

/// A load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generator {
    Load,
    Oha,
    Hey,
    Wrk,
    /// An epoll loop in C, `rate.c`.
    Loop,
}

/// One report of a generator. Latencies are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Requests per second.
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// `None` for generators that do not report it.
    pub(super) p99_9: Option<f64>,
    /// Processor time per request, in microseconds; set by the caller.
    pub(super) cpu_micros: f64,
    /// Fraction of requests sent late. `None` for generators that do not report it.
    pub(super) late: Option<f64>,
}

/// Connections of every generator.
pub(super) const CONNECTIONS: u16 = 64;

impl Generator {
    /// Generators that send as fast as the server answers.
    pub(super) const CLOSED_LOOP: [Self; 4] = [Self::Load, Self::Oha, Self::Hey, Self::Wrk];

    /// Generators that send at a rate, with latency counted from the time at which a request was due.
    pub(super) const OPEN_LOOP: [Self; 3] = [Self::Load, Self::Oha, Self::Loop];

    /// Generators that run at the same time, so that both meet the same disturbances.
    pub(super) const SIDE_BY_SIDE: [Self; 2] = [Self::Load, Self::Loop];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Oha => "oha",
            Self::Hey => "hey",
            Self::Wrk => "wrk",
            Self::Loop => "C epoll loop",
        }
    }

    /// Sends requests to `server` for `seconds` from `core`, at `rate` per second or else in a closed loop.
    ///
    /// # Errors
    ///
    /// Fails if the generator cannot be run, reports errors, or does not support the mode.
    pub(super) fn send(
        self,
        programs: &Programs,
        core: Core,
        server: SocketAddr,
        seconds: u16,
        rate: Option<u32>,
    ) -> Result<Sample> {
        let (url, time) = (format!("http://{server}/"), format!("{seconds}s"));
        let (connections, rate) = (CONNECTIONS.to_string(), rate.map(|rate| rate.to_string()));
        let json = |program: &Path, arguments: &[&str], rate: &[&str]| -> Result<Value> {
            let report = stdout(core.command(program).args(arguments).args(rate))?;
            serde_json::from_str(&report).with_context(|| format!("reading the report of {}", self.name()))
        };
        match self {
            Self::Wrk => {
                let scenario = Scenario { connections: CONNECTIONS, keep_alive: true };
                let report = wrk::run(Source::one_thread(core), &url, scenario, seconds)?;
                ensure!(report.errors == 0.0, "wrk reported {} errors", report.errors);
                let (p50, p99, p99_9) = (report.p50, report.p99, Some(report.p99_9));
                Ok(Sample { rate: report.rate(), p50, p99, p99_9, ..Sample::default() })
            }
            Self::Load => {
                let flags =
                    [&url, "--duration", &time, "--connections", &connections, "--quiet", "--json", "-"];
                let rate: Vec<_> = rate.iter().flat_map(|rate| ["--rate", rate]).collect();
                parse_load(&json(&programs.load, &flags, &rate)?)
            }
            Self::Oha => {
                let flags = ["--no-tui", "--output-format", "json", "-z", &time, "-c", &connections, &url];
                let rate: Vec<_> =
                    rate.iter().flat_map(|rate| ["-q", rate, "--latency-correction"]).collect();
                parse_oha(&json(&programs.oha, &flags, &rate)?)
            }
            Self::Hey => {
                let mut command = core.command("hey");
                parse_hey(&stdout(command.args(["-z", &time, "-c", &connections, "-cpus", "1", &url]))?)
            }
            Self::Loop => {
                let rate = rate.context("the C epoll loop needs a rate")?;
                let (ip, port, seconds) =
                    (server.ip().to_string(), server.port().to_string(), seconds.to_string());
                let arguments = [&ip, &port, &connections, &rate, &seconds].map(String::as_str);
                parse_loop(&json(&programs.epoll_loop, &arguments, &[])?, &rate)
            }
        }
    }
}

fn parse_load(report: &Value) -> Result<Sample> {
    let failed = &report["failed"];
    ensure!(*failed == 0, "load reported {failed} failed requests: {}", report["failures"]["by_class"]);
    let late = report.pointer("/late/count").and_then(Value::as_f64);
    Ok(Sample {
        rate: number(report, "/rate")?,
        p50: number(report, "/latency/p50")? * 1e6,
        p99: number(report, "/latency/p99")? * 1e6,
        p99_9: Some(number(report, "/latency/p999")? * 1e6),
        late: late.map(|late| late / report["requests"].as_f64().unwrap_or(1.0)),
        ..Sample::default()
    })
}

fn parse_oha(report: &Value) -> Result<Sample> {
    Ok(Sample {
        rate: number(report, "/summary/requestsPerSec")?,
        p50: number(report, "/latencyPercentiles/p50")? * 1e6,
        p99: number(report, "/latencyPercentiles/p99")? * 1e6,
        ..Sample::default()
    })
}

/// Parses hey's summary; its latencies have a resolution of 100 µs.
fn parse_hey(text: &str) -> Result<Sample> {
    ensure!(!text.contains("Error distribution"), "hey reported errors:\n{text}");
    let after = |label: &str| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(label));
        let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        number.with_context(|| format!("reading hey's report: no {label} in\n{text}"))
    };
    let (rate, p50, p99) = (after("Requests/sec:")?, after("50% in")? * 1e6, after("99% in")? * 1e6);
    Ok(Sample { rate, p50, p99, ..Sample::default() })
}

fn parse_loop(report: &Value, rate: &str) -> Result<Sample> {
    let (p50, p99) = (number(report, "/p50")?, number(report, "/p99")?);
    let p99_9 = Some(number(report, "/p99.9")?);
    Ok(Sample { rate: rate.parse()?, p50, p99, p99_9, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_of_other_generators_are_parsed() {
        let hey = "Summary:\n  Requests/sec:\t12345.6\nLatency distribution:\n  50% in 0.0002 secs\n  99% in 0.0011 secs\n";
        let shown = |sample: Sample| format!("{:.1} {:.0} {:.0}", sample.rate, sample.p50, sample.p99);
        assert_eq!(shown(parse_hey(hey).unwrap()), "12345.6 200 1100");
        assert!(parse_hey("Requests/sec: 1").unwrap_err().to_string().contains("no 50% in"));

        let sample = parse_loop(&json!({"p50": 80, "p99": 210, "p99.9": 400}), "5").unwrap();
        assert_eq!((shown(sample).as_str(), sample.p99_9), ("5.0 80 210", Some(400.0)));

        let oha = json!({"summary": {"requestsPerSec": 5.5}, "latencyPercentiles": {"p50": 0.5, "p99": 1}});
        assert_eq!(parse_oha(&oha).unwrap().rate.to_string(), "5.5");
    }

    #[test]
    fn report_with_failed_requests_is_an_error() {
        let failed = json!({"failed": 2, "failures": {"by_class": {"reset": 2}}});
        let error = parse_load(&failed).unwrap_err().to_string();
        assert!(error.starts_with("load reported 2 failed requests"), "{error}");
        assert!(parse_hey("Error distribution:\n").is_err());
    }
}
