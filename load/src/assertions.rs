//! Assertions on the report.

use std::str::FromStr;
use std::time::Duration;

use parse::bounded_duration;

use crate::format::{count, percent, time as format_time};
use crate::report::{Assertion, Report};
use crate::statistics::float;

/// Heading in the help text.
const HEADING: &str = "Assertions (exit code 1 if one fails)";

/// Assertions on the report, as flags.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
pub struct Assertions {
    /// Maximum number of failed requests, or their percentage
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_FAILED", value_name = "N[%]")]
    pub max_failed: Option<Limit>,
    /// Maximum gap between successful responses
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_GAP", value_name = "DURATION")]
    #[arg(value_parser = bounded_duration)]
    pub max_gap: Option<Duration>,
    /// Maximum 99th percentile of latency; fails without a successful response
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_P99", value_name = "DURATION")]
    #[arg(value_parser = bounded_duration)]
    pub max_p99: Option<Duration>,
    /// Minimum number of instances with successful responses
    #[arg(long, help_heading = HEADING, env = "LOAD_MIN_INSTANCES", value_name = "N")]
    pub min_instances: Option<u64>,
    /// Maximum deviation of an instance from an equal share, relative to that share
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_SKEW", value_name = "N%", value_parser = fraction)]
    pub max_skew: Option<f64>,
}

impl Assertions {
    /// Checks the report. Returns one result for each flag that is set.
    pub fn check(&self, report: &Report) -> Vec<Assertion> {
        let mut results = Vec::new();
        let mut add = |name: &str, wanted: String, got: String, met: bool| {
            results.push(Assertion { name: name.to_owned(), wanted, got, met });
        };
        if let Some(limit) = self.max_failed {
            let (limit, met) = match limit {
                Limit::Count(limit) => (count(limit), report.failed <= limit),
                Limit::Fraction(limit) => {
                    (percent(limit), float(report.failed) <= limit * float(report.requests))
                }
            };
            add("max-failed", format!("≤ {limit}"), count(report.failed), met);
        }
        if let Some(limit) = self.max_gap.map(|limit| limit.as_secs_f64()) {
            let longest = report.outages.longest;
            add("max-gap", format!("≤ {}", format_time(limit)), format_time(longest), longest <= limit);
        }
        if let Some(limit) = self.max_p99.map(|limit| limit.as_secs_f64()) {
            let p99 = report.latency.p99;
            let (got, met) = if report.ok > 0 {
                (format_time(p99), p99 <= limit)
            } else {
                ("no successful response".to_owned(), false)
            };
            add("max-p99", format!("≤ {}", format_time(limit)), got, met);
        }
        if let Some(limit) = self.min_instances {
            let named = report.instances.iter().filter(|instance| instance.ok > 0 && instance.name.is_some());
            let got = named.count() as u64;
            add("min-instances", format!("≥ {}", count(limit)), count(got), got >= limit);
        }
        if let Some(limit) = self.max_skew {
            let imbalance = report.evenness.map_or(0.0, |evenness| evenness.imbalance);
            add("max-skew", format!("≤ {}", percent(limit)), percent(imbalance), imbalance <= limit);
        }
        results
    }
}

/// A maximum, absolute or relative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Absolute maximum.
    Count(u64),
    /// Maximum fraction of all requests.
    Fraction(f64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = if text.ends_with('%') {
            fraction(text).ok().map(Self::Fraction)
        } else {
            text.parse().ok().map(Self::Count)
        };
        parsed.ok_or_else(|| "expected a number such as 5, or a percentage such as 0.1%".to_owned())
    }
}

/// Parses a percentage such as `10%`.
fn fraction(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let fraction = number.filter(|number| (0.0..=1e6).contains(number)).map(|number| number / 100.0);
    fraction.ok_or_else(|| "expected a percentage such as 10%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentage_is_parsed_as_a_fraction() {
        assert_eq!((fraction("10%"), fraction("0.5 %")), (Ok(0.1), Ok(0.005)));
        for invalid in ["10", "-1%", "NaN%", "%", ""] {
            assert!(fraction(invalid).is_err(), "{invalid:?}");
        }
        assert_eq!(("7".parse(), "1%".parse()), (Ok(Limit::Count(7)), Ok(Limit::Fraction(0.01))));
        assert!("-7".parse::<Limit>().is_err());
    }
}
