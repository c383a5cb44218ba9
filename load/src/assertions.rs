//! Assertions on the report.

use std::str::FromStr;
use std::time::Duration;

use parse::bounded_duration;

use crate::format::{count, percent, rate, time as format_time};
use crate::report::{Assertion, EndReason, Report, Verdict};
use crate::statistics::float;
use crate::text::progress;

/// Heading in the help text.
const HEADING: &str = "Assertions (exit code 1 unless all are met)";

/// Assertions on the report, as flags.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
pub struct Assertions {
    /// Maximum number of failed and unsent requests, or their percentage
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_FAILED", value_name = "N[%]")]
    pub max_failed: Option<Limit>,
    /// Maximum gap between successful responses
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_GAP", value_name = "DURATION")]
    #[arg(value_parser = bounded_duration)]
    pub max_gap: Option<Duration>,
    /// Maximum 95th percentile of latency
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_P95", value_name = "DURATION")]
    #[arg(value_parser = bounded_duration)]
    pub max_p95: Option<Duration>,
    /// Maximum 99th percentile of latency
    #[arg(long, help_heading = HEADING, env = "LOAD_MAX_P99", value_name = "DURATION")]
    #[arg(value_parser = bounded_duration)]
    pub max_p99: Option<Duration>,
    /// Minimum number of successful responses per second
    #[arg(long, help_heading = HEADING, env = "LOAD_MIN_RATE", value_name = "N", value_parser = positive_rate)]
    pub min_rate: Option<f64>,
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
        let incomplete = if report.ended == EndReason::Interrupted {
            Some(progress(report))
        } else {
            (report.ok == 0).then(|| "no successful response".to_owned())
        };
        let mut add = |name: &str, wanted: String, got: String, is_met: bool, unknown: Option<String>| {
            let (verdict, got) = match unknown.or_else(|| incomplete.clone()) {
                _ if !is_met => (Verdict::NotMet, got),
                Some(reason) => (Verdict::NotAssessable, reason),
                None => (Verdict::Met, got),
            };
            results.push(Assertion { name: name.to_owned(), wanted, got, verdict });
        };
        if let Some(limit) = self.max_failed {
            let (limit, met) = match limit {
                Limit::Count(limit) => (count(limit), report.failed <= limit),
                Limit::Fraction(limit) => {
                    (percent(limit), float(report.failed) <= limit * float(report.requests))
                }
            };
            add("max-failed", format!("≤ {limit}"), count(report.failed), met, None);
        }
        if let Some(limit) = self.max_gap.map(|limit| limit.as_secs_f64()) {
            let longest = report.outages.longest;
            add("max-gap", format!("≤ {}", format_time(limit)), format_time(longest), longest <= limit, None);
        }
        let latency = &report.latency;
        for (name, limit, got) in
            [("max-p95", self.max_p95, latency.p95), ("max-p99", self.max_p99, latency.p99)]
        {
            if let Some(limit) = limit.map(|limit| limit.as_secs_f64()) {
                add(name, format!("≤ {}", format_time(limit)), format_time(got), got <= limit, None);
            }
        }
        if let Some(limit) = self.min_rate {
            add(
                "min-rate",
                format!("≥ {}", rate(limit)),
                rate(report.ok_rate),
                report.ok_rate >= limit,
                None,
            );
        }
        if let Some(limit) = self.min_instances {
            let failing = report
                .instances
                .iter()
                .filter(|instance| instance.ok == 0 && instance.name.is_some())
                .count();
            let got = report.instances_found - failing as u64;
            add("min-instances", format!("≥ {}", count(limit)), count(got), got >= limit, None);
        }
        if let Some(limit) = self.max_skew {
            let imbalance = report.evenness.map(|evenness| evenness.imbalance);
            let unknown = report.no_evenness.clone();
            let imbalance = imbalance.unwrap_or(0.0);
            add("max-skew", format!("≤ {}", percent(limit)), percent(imbalance), imbalance <= limit, unknown);
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

fn positive_rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or("expected a number greater than 0")
}

/// Parses a percentage such as `10%`.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let fraction = number.filter(|number| (0.0..=1e6).contains(number)).map(|number| number / 100.0);
    fraction.ok_or_else(|| "expected a percentage such as 10%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    /// Verdicts for the flags, and the values or reasons.
    fn verdicts(flags: &Assertions, report: &Report) -> Vec<(Verdict, String)> {
        flags.check(report).into_iter().map(|one| (one.verdict, one.got)).collect()
    }

    #[test]
    fn nothing_is_met_without_evidence() {
        let all = Assertions {
            max_failed: Some(Limit::Count(5)),
            max_gap: Some(Duration::from_mins(1)),
            max_p95: Some(Duration::from_secs(1)),
            max_p99: Some(Duration::from_secs(1)),
            min_rate: Some(10.0),
            min_instances: Some(1),
            max_skew: Some(0.1),
        };
        let mut report = sample();
        let mut found: Vec<_> = verdicts(&all, &report).into_iter().map(|(verdict, _)| verdict).collect();
        assert_eq!(found.pop(), Some(Verdict::NotAssessable), "the sample has no evenness");
        assert_eq!(found, [Verdict::Met; 6]);

        report.ended = EndReason::Interrupted;
        report.seconds = 3.0;
        for (verdict, reason) in verdicts(&all, &report).into_iter().take(6) {
            assert_eq!((verdict, reason.as_str()), (Verdict::NotAssessable, "interrupted after 3 s of 10 s"));
        }
        let broken = Assertions { max_failed: Some(Limit::Count(0)), ..Assertions::default() };
        assert_eq!(verdicts(&broken, &report), [(Verdict::NotMet, "1".to_owned())], "it stays broken");

        report = Report::default();
        let none = "no successful response";
        let gap = Assertions { min_rate: None, min_instances: None, max_skew: None, ..all };
        assert_eq!(verdicts(&gap, &report), vec![(Verdict::NotAssessable, none.to_owned()); 4]);
    }

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
