//! Times without a good answer.

use std::time::Duration;

use crate::report::{Gap, Gaps};
use crate::seconds::seconds;

/// How many gaps are listed.
const LISTED: usize = 1000;

/// Collects the times between good answers. The answers themselves are not kept.
#[derive(Clone, Debug)]
pub struct GapLog {
    threshold: Duration,
    longest: Duration,
    longest_at: Duration,
    count: u64,
    total: Duration,
    listed: Vec<(Duration, Duration)>,
}

impl GapLog {
    /// Lists what is at least `threshold` long.
    pub fn new(threshold: Duration) -> Self {
        Self {
            threshold,
            longest: Duration::ZERO,
            longest_at: Duration::ZERO,
            count: 0,
            total: Duration::ZERO,
            listed: Vec::new(),
        }
    }

    /// There was no good answer between these times.
    pub fn add(&mut self, from: Duration, to: Duration) {
        let gap = to.saturating_sub(from);
        if gap > self.longest {
            (self.longest, self.longest_at) = (gap, from);
        }
        if gap >= self.threshold && !gap.is_zero() {
            self.count += 1;
            self.total += gap;
            if self.listed.len() < LISTED {
                self.listed.push((from, to));
            }
        }
    }

    /// Takes in what another one has collected, of other gaps.
    pub fn merge(&mut self, other: &Self) {
        if other.longest > self.longest {
            (self.longest, self.longest_at) = (other.longest, other.longest_at);
        }
        self.count += other.count;
        self.total += other.total;
        self.listed.extend_from_slice(&other.listed);
        self.listed.sort_unstable();
        self.listed.truncate(LISTED);
    }

    /// What it comes to.
    pub fn report(&self) -> Gaps {
        Gaps {
            longest: seconds(self.longest),
            longest_at: seconds(self.longest_at),
            threshold: seconds(self.threshold),
            count: self.count,
            total: seconds(self.total),
            listed: self
                .listed
                .iter()
                .map(|(from, to)| Gap { from: seconds(*from), to: seconds(*to) })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn only_gaps_of_the_threshold_are_listed_but_the_longest_is_known() {
        let mut log = GapLog::new(MS(250));
        let answers = [0, 10, 20, 269, 270, 520, 521, 900].map(MS);
        answers.windows(2).for_each(|pair| log.add(pair[0], pair[1]));
        let gaps = log.report();
        assert_eq!((gaps.longest, gaps.longest_at), (0.379, 0.521));
        assert_eq!((gaps.count, gaps.total), (2, 0.629));
        assert_eq!(gaps.listed, [Gap { from: 0.27, to: 0.52 }, Gap { from: 0.521, to: 0.9 }]);
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let mut log = GapLog::new(MS(1));
        (0..1500).for_each(|n| log.add(MS(2 * n), MS(2 * n + 2)));
        let mut other = GapLog::new(MS(1));
        other.add(MS(1), MS(2));
        log.merge(&other);
        let gaps = log.report();
        assert_eq!((gaps.count, gaps.listed.len()), (1501, LISTED));
        assert_eq!(gaps.listed[1], Gap { from: 0.001, to: 0.002 });
    }
}
