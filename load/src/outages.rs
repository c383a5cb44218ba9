//! Outages: times without a successful response.

use std::time::Duration;

use crate::report::{Outage, Outages, seconds};

/// Maximum number of outages that are listed.
const MAX_LISTED: usize = 1000;

/// Collects the gaps between successful responses. Gaps of at least `threshold` are outages.
#[derive(Clone, Debug, Default)]
pub struct OutageLog {
    threshold: Duration,
    longest: Duration,
    longest_at: Duration,
    count: u64,
    total: Duration,
    listed: Vec<(Duration, Duration)>,
}

impl OutageLog {
    /// Creates an empty log.
    pub fn new(threshold: Duration) -> Self {
        Self { threshold, ..Self::default() }
    }

    /// Adds the gap between two successive successful responses.
    pub fn add(&mut self, from: Duration, to: Duration) {
        let gap = to.saturating_sub(from);
        if gap > self.longest {
            (self.longest, self.longest_at) = (gap, from);
        }
        if gap >= self.threshold && !gap.is_zero() {
            self.count += 1;
            self.total += gap;
            if self.listed.len() < MAX_LISTED {
                self.listed.push((from, to));
            }
        }
    }

    /// Adds the gaps of another log.
    pub fn merge(&mut self, other: &Self) {
        if other.longest > self.longest {
            (self.longest, self.longest_at) = (other.longest, other.longest_at);
        }
        self.count += other.count;
        self.total += other.total;
        self.listed.extend_from_slice(&other.listed);
        self.listed.sort_unstable();
        self.listed.truncate(MAX_LISTED);
    }

    /// Returns the outages for the report.
    pub fn report(&self) -> Outages {
        let listed = self.listed.iter();
        Outages {
            longest: seconds(self.longest),
            longest_at: seconds(self.longest_at),
            threshold: seconds(self.threshold),
            count: self.count,
            total: seconds(self.total),
            listed: listed.map(|(from, to)| Outage { from: seconds(*from), to: seconds(*to) }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn outages_reach_the_threshold_and_the_longest_gap_is_known() {
        let mut log = OutageLog::new(MS(250));
        let responses = [0, 10, 20, 269, 270, 520, 521, 900].map(MS);
        responses.windows(2).for_each(|pair| log.add(pair[0], pair[1]));
        let outages = log.report();
        assert_eq!((outages.longest, outages.longest_at), (0.379, 0.521));
        assert_eq!((outages.count, outages.total), (2, 0.629));
        assert_eq!(outages.listed, [Outage { from: 0.27, to: 0.52 }, Outage { from: 0.521, to: 0.9 }]);
    }

    #[test]
    fn list_is_bounded_and_count_is_not() {
        let mut log = OutageLog::new(MS(1));
        (0..1500).for_each(|n| log.add(MS(2 * n), MS(2 * n + 2)));
        let mut other = OutageLog::new(MS(1));
        other.add(MS(1), MS(2));
        log.merge(&other);
        let outages = log.report();
        assert_eq!((outages.count, outages.listed.len()), (1501, MAX_LISTED));
        assert_eq!(outages.listed[1], Outage { from: 0.001, to: 0.002 });
    }
}
