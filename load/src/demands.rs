//! What is demanded of a report, and whether it is met.

use std::str::FromStr;
use std::time::Duration;

use crate::figures::{count, percent, time};
use crate::report::{Demand, Report};
use crate::statistics::float;

/// What may be at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Most {
    /// So many.
    Count(u64),
    /// So great a part of all.
    Part(f64),
}

impl FromStr for Most {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = if text.ends_with('%') {
            part(text).ok().map(Self::Part)
        } else {
            text.parse().ok().map(Self::Count)
        };
        parsed.ok_or_else(|| "a number, or a part such as 0.1% is expected".to_owned())
    }
}

/// Parses a part of something, as percent: `10%`.
pub fn part(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let part = number.filter(|number| (0.0..=1e6).contains(number)).map(|number| number / 100.0);
    part.ok_or_else(|| "a part such as 10% is expected".to_owned())
}

/// What is demanded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demands {
    /// How many requests may fail.
    pub max_failed: Option<Most>,
    /// How long a gap may be.
    pub max_gap: Option<Duration>,
    /// What 99 of 100 answers may take.
    pub max_p99: Option<Duration>,
    /// How many instances there must be.
    pub min_instances: Option<u64>,
    /// How far a share may be from an equal one.
    pub max_skew: Option<f64>,
}

impl Demands {
    /// Each of them, with what came of it.
    pub fn check(&self, report: &Report) -> Vec<Demand> {
        let demand = |name: &str, wanted: String, got: String, met: bool| Demand {
            name: name.to_owned(),
            wanted,
            got,
            met,
        };
        let mut demands = Vec::new();
        if let Some(most) = self.max_failed {
            let (wanted, met) = match most {
                Most::Count(most) => (count(most), report.failed <= most),
                Most::Part(most) => (percent(most), float(report.failed) <= most * float(report.requests)),
            };
            demands.push(demand("max-failed", format!("≤ {wanted}"), count(report.failed), met));
        }
        if let Some(most) = self.max_gap.map(|most| most.as_secs_f64()) {
            let longest = report.gaps.longest;
            demands.push(demand("max-gap", format!("≤ {}", time(most)), time(longest), longest <= most));
        }
        if let Some(most) = self.max_p99.map(|most| most.as_secs_f64()) {
            let p99 = report.latency.p99;
            let (got, met) =
                if report.ok > 0 { (time(p99), p99 <= most) } else { ("no good answer".to_owned(), false) };
            demands.push(demand("max-p99", format!("≤ {}", time(most)), got, met));
        }
        if let Some(least) = self.min_instances {
            let named = report.instances.iter().filter(|instance| instance.ok > 0 && instance.name.is_some());
            let got = named.count() as u64;
            demands.push(demand("min-instances", format!("≥ {}", count(least)), count(got), got >= least));
        }
        if let Some(most) = self.max_skew {
            let skew = report.evenness.map_or(0.0, |evenness| evenness.skew);
            demands.push(demand("max-skew", format!("≤ {}", percent(most)), percent(skew), skew <= most));
        }
        demands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_percents() {
        assert_eq!((part("10%"), part("0.5 %")), (Ok(0.1), Ok(0.005)));
        for bad in ["10", "-1%", "NaN%", "%", ""] {
            assert!(part(bad).is_err(), "{bad:?}");
        }
        assert_eq!(("7".parse(), "1%".parse()), (Ok(Most::Count(7)), Ok(Most::Part(0.01))));
        assert!("-7".parse::<Most>().is_err());
    }
}
