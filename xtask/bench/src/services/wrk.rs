//! The load: wrk, and what it says.

use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use xtask::build::root;

use crate::cores::{self, Core};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) connections: u16,
    /// Otherwise each request has a connection of its own.
    pub(crate) keep_alive: bool,
}

/// The crowd: most connections, for which memory has its bar.
pub(super) const CROWD: Scenario = Scenario { connections: 256, keep_alive: true };

/// All that is sent, in this order.
pub(super) const SCENARIOS: [Scenario; 3] =
    [Scenario { connections: 32, keep_alive: true }, CROWD, Scenario { connections: 32, keep_alive: false }];

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

/// What wrk counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) duration: Duration,
    /// Of connecting, reading, writing, waiting, and other answers than 2xx and 3xx.
    pub(crate) errors: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p99_9: Duration,
}

impl FromStr for Report {
    type Err = Error;

    /// Reads the line that `report.lua` prints, wherever in `output` it is.
    fn from_str(output: &str) -> Result<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix("report "));
        let line = line.with_context(|| format!("reading wrk's report: there is none in {output:?}"))?;
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
        ensure!(report.requests > 0 && !report.duration.is_zero(), "wrk got no answer: {line}");
        Ok(report)
    }
}

/// Where the load comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) core: Core,
    pub(crate) threads: usize,
}

impl Source {
    /// One thread on a core.
    pub(crate) fn one(core: Core) -> Self {
        Self { core, threads: 1 }
    }

    /// As many threads as half the machine has cores, wherever the kernel puts them.
    pub(super) fn half() -> Self {
        Self { core: Core::ANY, threads: (cores::count() / 2).max(1) }
    }
}

/// Sends requests to `url` for so many seconds.
pub(crate) fn load(
    wrk: &Path,
    source: Source,
    url: &str,
    scenario: Scenario,
    seconds: u16,
) -> Result<Report> {
    let mut command = source.core.command(wrk);
    command.args(["--latency", "--threads", &source.threads.to_string()]);
    command.args(["--connections", &scenario.connections.to_string(), "--duration", &format!("{seconds}s")]);
    command.arg("--script").arg(root().join("xtask/bench/src/services/report.lua"));
    if !scenario.keep_alive {
        command.args(["--header", "Connection: close"]);
    }
    let output = command.arg(url).stdin(Stdio::null()).output().context("running wrk")?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "wrk {url}: {}: {}", output.status, said(&output.stderr));
    said(&output.stdout).parse().with_context(|| format!("sending load to {url}"))
}

/// Its version, as it says.
pub(crate) fn version(wrk: &Path) -> Result<String> {
    // It takes the question for a mistake, but answers it first.
    let output = Command::new(wrk).arg("--version").output().context("running wrk --version")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_found_among_what_wrk_says_to_people() {
        let output = "Running 3s test @ http://127.0.0.1:8080\n  1 threads and 32 connections\n\
            Requests/sec: 1000.0\n\
            report requests=3000 duration=3000100 errors=2 p50=120 p99=900 p99.9=1800\n";
        let report: Report = output.parse().unwrap();
        assert_eq!((report.requests, report.errors), (3000, 2));
        assert_eq!(report.duration, Duration::from_micros(3_000_100));
        assert_eq!([report.p50, report.p99, report.p99_9].map(|time| time.as_micros()), [120, 900, 1800]);
    }

    #[test]
    fn what_is_missing_or_no_number_is_named() {
        let error = |output: &str| output.parse::<Report>().unwrap_err().to_string();
        assert!(error("Running\n").starts_with("reading wrk's report: there is none"));
        assert!(error("report requests=1 duration=1 p50=1 p99=1 p99.9=1").contains("no errors in"));
        assert!(error("report requests=many").contains("requests=many"));
        assert!(
            error("report requests=0 duration=1 errors=9 p50=0 p99=0 p99.9=0")
                .starts_with("wrk got no answer")
        );
    }
}
