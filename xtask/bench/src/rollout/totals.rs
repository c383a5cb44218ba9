//! Totals of several loads, as table columns.

use std::collections::BTreeMap;

use harness::Report;
use harness::load::{ErrorClass, text, unnamed};

/// Totals of one or more loads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    requests: u64,
    /// Refused, reset, timed out, 5xx, other.
    failed: [u64; 5],
    /// In seconds.
    longest_outage: f64,
}

impl Totals {
    pub(super) const COLUMNS: [&str; 7] =
        ["requests", "refused", "reset", "timeout", "5xx", "other", "longest outage, ms"];

    /// Adds the report of a load; prints it under `name` if a request failed.
    pub(super) fn add(&mut self, name: &str, report: &Report) {
        let wrong = unnamed(report);
        self.requests += report.requests;
        self.add_failures(&report.failures.by_class, wrong);
        self.longest_outage = self.longest_outage.max(report.outages.longest);
        if report.failed + wrong > 0 {
            eprintln!("{name}: {}", text(report));
        }
    }

    /// Adds failed requests, and `wrong`: successful responses without an instance's name.
    fn add_failures(&mut self, by_class: &BTreeMap<ErrorClass, u64>, wrong: u64) {
        for (class, count) in by_class {
            let column = match class {
                ErrorClass::Refused => 0,
                ErrorClass::Reset | ErrorClass::Closed => 1,
                ErrorClass::Timeout => 2,
                ErrorClass::Status5xx => 3,
                _ => 4,
            };
            self.failed[column] += count;
        }
        self.failed[4] += wrong;
    }

    /// Cells for [`Self::COLUMNS`].
    pub(super) fn cells(&self) -> [String; 7] {
        let [refused, reset, timed_out, server, other] = self.failed.map(|count| count.to_string());
        let outage = format!("{:.0}", self.longest_outage * 1e3);
        [self.requests.to_string(), refused, reset, timed_out, server, other, outage]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_class_has_a_column() {
        let by_class = [
            (ErrorClass::Refused, 1),
            (ErrorClass::Reset, 2),
            (ErrorClass::Closed, 10),
            (ErrorClass::Timeout, 3),
            (ErrorClass::Status5xx, 4),
            (ErrorClass::Status4xx, 5),
            (ErrorClass::Unreachable, 20),
        ];
        let mut totals = Totals { requests: 1000, longest_outage: 0.25, ..Totals::default() };
        totals.add_failures(&by_class.into(), 100);
        assert_eq!(totals.cells(), ["1000", "1", "12", "3", "4", "125", "250"]);
        totals.add_failures(&[(ErrorClass::Timeout, 7)].into(), 1);
        assert_eq!(totals.cells(), ["1000", "1", "12", "10", "4", "126", "250"]);
    }
}
