//! Load from wrk, and wrk's report.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};

use crate::machine::{Core, core_count};
use crate::programs::{source, stdout, version};
use crate::statistics::float;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) connections: u16,
    /// `false` opens a new connection for each request.
    pub(super) keep_alive: bool,
}

impl Scenario {
    pub(super) fn name(self) -> String {
        let connections = self.connections;
        if self.keep_alive {
            format!("{connections} keep-alive connections")
        } else {
            format!("one request per connection, {connections} at a time")
        }
    }
}

/// Where wrk runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    core: Core,
    threads: usize,
}

impl Source {
    /// One thread on `core`.
    pub(super) fn one_thread(core: Core) -> Self {
        Self { core, threads: 1 }
    }

    /// One thread per two cores of the machine; the kernel places them.
    pub(super) fn half_of_all_cores() -> Self {
        Self { core: Core::ANY, threads: (core_count() / 2).max(1) }
    }
}

/// Result of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) requests: u64,
    pub(super) duration: Duration,
    /// Errors of connecting, reading, writing and waiting, and responses other than 2xx and 3xx.
    pub(super) errors: u64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) p99_9: Duration,
}

impl Report {
    /// Requests per second.
    pub(super) fn rate(&self) -> f64 {
        float(self.requests) / self.duration.as_secs_f64()
    }
}

impl FromStr for Report {
    type Err = Error;

    /// Parses the line of `wrk.lua`, anywhere in `output`.
    fn from_str(output: &str) -> Result<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix("report "));
        let line = line.with_context(|| format!("reading wrk's report: no report line in {output:?}"))?;
        let count = |name: &str| {
            let value = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            let value = value.with_context(|| format!("reading wrk's report: no {name} in {line:?}"))?;
            value.parse::<u64>().with_context(|| format!("reading wrk's report: {name}={value}"))
        };
        let time = |name| count(name).map(Duration::from_micros);
        let report = Self {
            requests: count("requests")?,
            duration: time("duration")?,
            errors: count("errors")?,
            p50: time("p50")?,
            p99: time("p99")?,
            p99_9: time("p99.9")?,
        };
        ensure!(report.requests > 0 && !report.duration.is_zero(), "wrk got no response: {line}");
        Ok(report)
    }
}

/// Sends requests to `url` for `seconds`.
pub(super) fn run(wrk: &Path, from: Source, url: &str, scenario: Scenario, seconds: u16) -> Result<Report> {
    let mut command = from.core.command(wrk);
    command.args(["--latency", "--threads", &from.threads.to_string()]);
    command.args(["--connections", &scenario.connections.to_string(), "--duration", &format!("{seconds}s")]);
    command.arg("--script").arg(source("wrk.lua"));
    if !scenario.keep_alive {
        command.args(["--header", "Connection: close"]);
    }
    stdout(command.arg(url))?.parse().with_context(|| format!("sending load to {url}"))
}

/// wrk's version, such as `wrk debian/4.1.0-3+b2`.
pub(super) fn wrk_version(wrk: &Path) -> Result<String> {
    // wrk rejects the flag, but prints its version first.
    let line = version(wrk, &["--version"])?;
    Ok(format!("wrk {}", line.split_whitespace().nth(1).unwrap_or("unknown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_line_is_found_between_other_output() {
        let output = "Running 3s test @ http://127.0.0.1:8080\n  1 threads and 32 connections\n\
            Requests/sec: 1000.0\n\
            report requests=3000 duration=3000100 errors=2 p50=120 p99=900 p99.9=1800\n";
        let report: Report = output.parse().unwrap();
        assert_eq!((report.requests, report.errors), (3000, 2));
        assert_eq!(report.duration, Duration::from_micros(3_000_100));
        assert_eq!([report.p50, report.p99, report.p99_9].map(|time| time.as_micros()), [120, 900, 1800]);
    }

    #[test]
    fn error_names_the_missing_or_invalid_field() {
        let error = |output: &str| output.parse::<Report>().unwrap_err().to_string();
        assert!(error("Running\n").starts_with("reading wrk's report: no report line"));
        assert!(error("report requests=1 duration=1 p50=1 p99=1 p99.9=1").contains("no errors in"));
        assert!(error("report requests=many").contains("requests=many"));
        let empty = "report requests=0 duration=1 errors=9 p50=0 p99=0 p99.9=0";
        assert!(error(empty).starts_with("wrk got no response"));
    }
}
