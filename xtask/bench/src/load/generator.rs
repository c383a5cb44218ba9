//! Who sends load, and what it says of it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::programs::Programs;
use crate::cores::Core;
use crate::services::wrk::{self, Scenario, Source};
use crate::statistics::float;

/// Who sends load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generator {
    Load,
    Oha,
    Hey,
    Wrk,
    /// An epoll loop in C.
    Loop,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    /// In microseconds.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Where it says so.
    pub(super) p999: Option<f64>,
    /// Of the processor's time for each request. It is filled in by who watches.
    pub(super) cpu_micros: f64,
    /// The part of requests that were sent late, where it says so.
    pub(super) late: Option<f64>,
}

/// Connections of all of them.
pub(super) const CONNECTIONS: u16 = 64;

impl Generator {
    /// Those that send as fast as they are answered.
    pub(super) const CLOSED: [Self; 4] = [Self::Load, Self::Oha, Self::Hey, Self::Wrk];

    /// Those that send at a rate, and count from when requests were due.
    pub(super) const OPEN: [Self; 3] = [Self::Load, Self::Oha, Self::Loop];

    /// Those that are held against each other at the same time.
    pub(super) const PAIRED: [Self; 2] = [Self::Load, Self::Loop];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Oha => "oha",
            Self::Hey => "hey",
            Self::Wrk => "wrk",
            Self::Loop => "C epoll loop",
        }
    }

    /// Sends for so many seconds, at a rate if one is given, from `core` alone.
    pub(super) fn send(
        self,
        programs: &Programs,
        core: Core,
        to: SocketAddr,
        seconds: u16,
        rate: Option<u32>,
    ) -> Result<Figures> {
        let (url, time, connections) =
            (format!("http://{to}/"), format!("{seconds}s"), CONNECTIONS.to_string());
        let rate = rate.map(|rate| rate.to_string());
        match self {
            Self::Wrk => {
                let scenario = Scenario { connections: CONNECTIONS, keep_alive: true };
                let report = wrk::load(&programs.wrk, Source::one(core), &url, scenario, seconds)?;
                ensure!(report.errors == 0, "wrk had {} errors", report.errors);
                let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
                let per_second = float(report.requests) / report.duration.as_secs_f64();
                Ok(Figures {
                    per_second,
                    p50: micros(report.p50),
                    p99: micros(report.p99),
                    p999: Some(micros(report.p99_9)),
                    cpu_micros: 0.0,
                    late: None,
                })
            }
            Self::Load => {
                let mut command = core.command(&programs.load);
                command.args([&url, "--for", &time, "--connections", &connections, "--quiet", "--json", "-"]);
                of_load(&json(command.args(rate.iter().flat_map(|rate| ["--rate", rate])))?)
            }
            Self::Oha => {
                let mut command = core.command(&programs.oha);
                command.args(["--no-tui", "--output-format", "json", "-z", &time, "-c", &connections]);
                if let Some(rate) = &rate {
                    command.args(["-q", rate, "--latency-correction"]);
                }
                of_oha(&json(command.arg(&url))?)
            }
            Self::Hey => {
                let mut command = core.command(&programs.hey);
                of_hey(&said(command.args(["-z", &time, "-c", &connections, "-cpus", "1", &url]))?)
            }
            Self::Loop => {
                let rate = rate.context("the loop sends at a rate only")?;
                let (ip, port) = (to.ip().to_string(), to.port().to_string());
                let mut command = core.command(&programs.rate);
                of_loop(&said(command.args([&ip, &port, &connections, &rate, &seconds.to_string()]))?, &rate)
            }
        }
    }
}

fn of_load(report: &Value) -> Result<Figures> {
    let figure = |pointer| number(report, pointer);
    ensure!(
        report["failed"] == 0,
        "load had {} failures: {}",
        report["failed"],
        report["failures"]["by_class"]
    );
    let late = report.pointer("/late/count").and_then(Value::as_f64);
    Ok(Figures {
        per_second: figure("/rate")?,
        p50: figure("/latency/p50")? * 1e6,
        p99: figure("/latency/p99")? * 1e6,
        p999: Some(figure("/latency/p999")? * 1e6),
        cpu_micros: 0.0,
        late: late.map(|late| late / report["requests"].as_f64().unwrap_or(1.0)),
    })
}

fn of_oha(report: &Value) -> Result<Figures> {
    let figure = |pointer| number(report, pointer);
    Ok(Figures {
        per_second: figure("/summary/requestsPerSec")?,
        p50: figure("/latencyPercentiles/p50")? * 1e6,
        p99: figure("/latencyPercentiles/p99")? * 1e6,
        p999: None,
        cpu_micros: 0.0,
        late: None,
    })
}

fn number(report: &Value, pointer: &str) -> Result<f64> {
    let number = report.pointer(pointer).and_then(Value::as_f64);
    number.with_context(|| format!("reading a report: no number at {pointer}"))
}

fn of_hey(text: &str) -> Result<Figures> {
    ensure!(!text.contains("Error distribution"), "hey had errors:\n{text}");
    let behind = |label: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(label));
        let first = found.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        first.with_context(|| format!("reading hey's report: no {label} in\n{text}"))
    };
    // It writes latencies with four digits after the point, so to 100 µs.
    Ok(Figures {
        per_second: behind("Requests/sec:")?,
        p50: behind("50% in")? * 1e6,
        p99: behind("99% in")? * 1e6,
        p999: None,
        cpu_micros: 0.0,
        late: None,
    })
}

fn of_loop(text: &str, rate: &str) -> Result<Figures> {
    let field = |name: &str| {
        let value = text.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<f64>().ok()).with_context(|| format!("no {name} in {text:?}"))
    };
    Ok(Figures {
        per_second: rate.parse()?,
        p50: field("p50")?,
        p99: field("p99")?,
        p999: Some(field("p99.9")?),
        cpu_micros: 0.0,
        late: None,
    })
}

fn json(command: &mut Command) -> Result<Value> {
    serde_json::from_str(&said(command)?).context("reading a report as JSON")
}

fn said(command: &mut Command) -> Result<String> {
    let name = format!("{:?}", command.get_args().collect::<Vec<_>>());
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {name}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{name}: {}: {}", output.status, text(&output.stderr));
    Ok(text(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_print_is_understood() {
        let hey = "Summary:\n  Requests/sec:\t12345.6\nLatency distribution:\n  50% in 0.0002 secs\n  99% in 0.0011 secs\n";
        let figures = of_hey(hey).unwrap();
        let shown =
            |figures: Figures| format!("{:.1} {:.0} {:.0}", figures.per_second, figures.p50, figures.p99);
        assert_eq!(shown(figures), "12345.6 200 1100");
        assert!(of_hey("Requests/sec: 1").unwrap_err().to_string().contains("no 50% in"));

        let figures = of_loop("report requests=10 p50=80 p99=210 p99.9=400\n", "5").unwrap();
        assert_eq!((shown(figures).as_str(), figures.p999), ("5.0 80 210", Some(400.0)));

        let oha = serde_json::json!({"summary": {"requestsPerSec": 5.5}, "latencyPercentiles": {"p50": 0.5, "p99": 1}});
        assert_eq!(of_oha(&oha).unwrap().per_second.to_string(), "5.5");
    }

    #[test]
    fn whoever_failed_has_no_figures() {
        let failed = serde_json::json!({"failed": 2, "failures": {"by_class": {"reset": 2}}});
        assert!(of_load(&failed).unwrap_err().to_string().starts_with("load had 2 failures"));
        assert!(of_hey("Error distribution:\n").is_err());
    }
}
