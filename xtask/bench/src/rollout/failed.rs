//! What failed, in as many classes as a table has columns.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use swarmlings_harness::Report;
use swarmlings_harness::load::{Class, unnamed};

/// Counts of requests that were not answered as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failed([u64; 5]);

impl Failed {
    /// The names of the classes.
    pub(super) const CLASSES: [&str; 5] = ["refused", "reset", "time-out", "5xx", "other"];

    /// Those of one load.
    pub(super) fn of(report: &Report) -> Self {
        Self::sorted(&report.failures.by_class, unnamed(report))
    }

    /// Failures by class, and good answers that were not what was asked for.
    fn sorted(by_class: &BTreeMap<Class, u64>, wrong: u64) -> Self {
        let mut counts = [0, 0, 0, 0, wrong];
        for (class, count) in by_class {
            let column = match class {
                Class::Refused => 0,
                Class::Reset | Class::Closed => 1,
                Class::Timeout => 2,
                Class::Status5xx => 3,
                Class::Status4xx
                | Class::Dns
                | Class::Tls
                | Class::Protocol
                | Class::Unreachable
                | Class::Local => 4,
            };
            counts[column] += count;
        }
        Self(counts)
    }

    /// All of them.
    pub(super) fn all(self) -> u64 {
        self.0.iter().sum()
    }

    /// As cells, in the order of the classes.
    pub(super) fn cells(self) -> [String; 5] {
        self.0.map(|count| count.to_string())
    }
}

impl AddAssign for Failed {
    fn add_assign(&mut self, other: Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_failure_has_its_column() {
        let by_class = [
            (Class::Refused, 1),
            (Class::Reset, 2),
            (Class::Closed, 10),
            (Class::Timeout, 3),
            (Class::Status5xx, 4),
            (Class::Status4xx, 5),
            (Class::Unreachable, 20),
        ];
        let mut failed = Failed::sorted(&by_class.into(), 100);
        assert_eq!(failed.cells(), ["1", "12", "3", "4", "125"]);
        assert_eq!(failed.all(), 145);
        failed += Failed::sorted(&[(Class::Timeout, 7)].into(), 1);
        assert_eq!(failed.cells(), ["1", "12", "10", "4", "126"]);
    }
}
