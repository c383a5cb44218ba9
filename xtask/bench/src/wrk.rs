//! Load from wrk, and wrk's report.

use anyhow::{Context, Result, ensure};

use crate::machine::{Core, core_count};
use crate::programs::{number, source, stdout, version};

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

/// Result of one load. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Report {
    pub(super) requests: f64,
    pub(super) duration: f64,
    /// Errors of connecting, reading, writing and waiting, and responses other than 2xx and 3xx.
    pub(super) errors: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
}

impl Report {
    /// Requests per second.
    pub(super) fn rate(&self) -> f64 {
        self.requests * 1e6 / self.duration
    }
}

/// Parses the line of `wrk.lua`, anywhere in `output`.
fn parse(output: &str) -> Result<Report> {
    let line = output.lines().find_map(|line| line.strip_prefix("report "));
    let line = line.with_context(|| format!("reading wrk's report: no report line in {output:?}"))?;
    let report = serde_json::from_str(line).context("reading wrk's report")?;
    let number = |field| number(&report, field);
    let report = Report {
        requests: number("/requests")?,
        duration: number("/duration")?,
        errors: number("/errors")?,
        p50: number("/p50")?,
        p99: number("/p99")?,
        p99_9: number("/p99.9")?,
    };
    ensure!(report.requests > 0.0 && report.duration > 0.0, "wrk got no response: {line}");
    Ok(report)
}

/// Sends requests to `url` for `seconds`.
pub(super) fn run(from: Source, url: &str, scenario: Scenario, seconds: u16) -> Result<Report> {
    let mut command = from.core.command("wrk");
    command.args(["--latency", "--threads", &from.threads.to_string()]);
    command.args(["--connections", &scenario.connections.to_string(), "--duration", &format!("{seconds}s")]);
    command.arg("--script").arg(source("wrk.lua"));
    if !scenario.keep_alive {
        command.args(["--header", "Connection: close"]);
    }
    parse(&stdout(command.arg(url))?).with_context(|| format!("sending load to {url}"))
}

/// wrk's version, such as `wrk debian/4.1.0-3+b2`.
pub(super) fn wrk_version() -> Result<String> {
    // wrk rejects the flag, but prints its version first.
    let line = version("wrk".as_ref(), &["--version"])?;
    Ok(format!("wrk {}", line.split_whitespace().nth(1).unwrap_or("unknown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_line_is_found_between_other_output() {
        let output = "Running 3s test @ http://127.0.0.1:8080\n  1 threads and 32 connections\n\
            Requests/sec: 1000.0\n\
            report {\"requests\":3000,\"duration\":3000000,\"errors\":2,\"p50\":120,\"p99\":900,\"p99.9\":1800}\n";
        let (requests, duration, errors) = (3000.0, 3e6, 2.0);
        let (p50, p99, p99_9) = (120.0, 900.0, 1800.0);
        assert_eq!(parse(output).unwrap(), Report { requests, duration, errors, p50, p99, p99_9 });
    }

    #[test]
    fn error_names_the_missing_or_invalid_field() {
        let error = |output: &str| format!("{:#}", parse(output).unwrap_err());
        assert!(error("Running\n").starts_with("reading wrk's report: no report line"));
        assert!(error(r#"report {"requests":1,"duration":1}"#).contains("no number at /errors"));
        assert!(error("report many").starts_with("reading wrk's report: "));
        let empty = r#"report {"requests":0,"duration":1,"errors":9,"p50":0,"p99":0,"p99.9":0}"#;
        assert!(error(empty).starts_with("wrk got no response"));
    }
}
