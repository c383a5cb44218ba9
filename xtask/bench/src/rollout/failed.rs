//! What failed, in as many classes as a table has columns.

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
        let mut counts = [0; 5];
        for (class, count) in &report.failures.by_class {
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
        counts[4] += unnamed(report);
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
