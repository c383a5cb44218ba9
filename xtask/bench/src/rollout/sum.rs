//! What came of loads, all together, as the columns that both tables have.

use std::collections::BTreeMap;

use harness::Report;
use harness::load::{Class, text, unnamed};

/// What came of one load or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    requests: u64,
    /// Refused, reset, timed out, 5xx, and all others.
    failed: [u64; 5],
    /// In seconds.
    longest_gap: f64,
}

impl Sum {
    /// The columns' names.
    pub(super) const COLUMNS: [&str; 7] =
        ["requests", "refused", "reset", "time-out", "5xx", "other", "longest gap, ms"];

    /// Adds a load, called `name`, and says what failed.
    pub(super) fn add(&mut self, name: &str, report: &Report) {
        let wrong = unnamed(report);
        self.requests += report.requests;
        self.fail(&report.failures.by_class, wrong);
        self.longest_gap = self.longest_gap.max(report.gaps.longest);
        if report.failed + wrong > 0 {
            eprintln!("{name}: {}", text(report));
        }
    }

    /// Adds failures by class, and good answers that were not what was asked for.
    fn fail(&mut self, by_class: &BTreeMap<Class, u64>, wrong: u64) {
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
            self.failed[column] += count;
        }
        self.failed[4] += wrong;
    }

    /// The columns.
    pub(super) fn cells(&self) -> [String; 7] {
        let [refused, reset, timed_out, server, other] = self.failed.map(|count| count.to_string());
        let (requests, gap) = (self.requests.to_string(), format!("{:.0}", self.longest_gap * 1e3));
        [requests, refused, reset, timed_out, server, other, gap]
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
        let mut sum = Sum { requests: 1000, longest_gap: 0.25, ..Sum::default() };
        sum.fail(&by_class.into(), 100);
        assert_eq!(sum.cells(), ["1000", "1", "12", "3", "4", "125", "250"]);
        sum.fail(&[(Class::Timeout, 7)].into(), 1);
        assert_eq!(sum.cells(), ["1000", "1", "12", "10", "4", "126", "250"]);
    }
}
