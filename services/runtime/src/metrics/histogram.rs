//! How long requests take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::exposition::sample;

/// Upper bounds, in microseconds, and how they are written in seconds: from what a service takes that has its answer ready
/// to what a client waits for at most.
const BOUNDS: [(u32, &str); 16] = [
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (10_000_000, "10.0"),
];

/// Counts of durations.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Each of what is above the bound before it; the last of what is above all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// In nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|&(bound, _)| nanoseconds <= u64::from(bound) * 1000);
        self.counts[place.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Adds another's counts.
    pub(super) fn add(&self, other: &Self) {
        for (count, others) in self.counts.iter().zip(&other.counts) {
            count.fetch_add(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Appends it as the family `name`, with `labels` such as `route="/"`.
    pub(super) fn render(&self, name: &str, labels: &str, out: &mut String) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|&(_, bound)| bound).chain(["+Inf"]);
        for (own, bound) in self.counts.iter().zip(bounds) {
            count += own.load(Ordering::Relaxed);
            sample(out, &format!("{name}_bucket{{{labels},le=\"{bound}\"}}"), count);
        }
        let sum = Duration::from_nanos(self.sum.load(Ordering::Relaxed));
        let sum = format_args!("{}.{:09}", sum.as_secs(), sum.subsec_nanos());
        sample(out, &format!("{name}_sum{{{labels}}}"), sum);
        sample(out, &format!("{name}_count{{{labels}}}"), count);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let histogram = Histogram::default();
        for microseconds in [0, 50, 51, 1_000_000, 20_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let mut out = String::new();
        histogram.render("t", "route=\"/\"", &mut out);
        for line in [
            "t_bucket{route=\"/\",le=\"0.00005\"} 2",
            "t_bucket{route=\"/\",le=\"0.0001\"} 3",
            "t_bucket{route=\"/\",le=\"0.5\"} 3",
            "t_bucket{route=\"/\",le=\"1.0\"} 4",
            "t_bucket{route=\"/\",le=\"10.0\"} 4",
            "t_bucket{route=\"/\",le=\"+Inf\"} 5",
            "t_sum{route=\"/\"} 21.000101000",
            "t_count{route=\"/\"} 5",
        ] {
            assert!(out.lines().any(|found| found == line), "{line} is not in\n{out}");
        }
    }

    #[test]
    fn bounds_are_written_as_what_they_are() {
        for (microseconds, seconds) in BOUNDS {
            let difference = seconds.parse::<f64>().unwrap() - f64::from(microseconds) / 1e6;
            assert!(difference.abs() < 1e-9, "{seconds}");
        }
    }

    #[test]
    fn what_is_added_is_all_there() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.observe(Duration::from_millis(1));
        other.observe(Duration::from_millis(1));
        other.observe(Duration::MAX);
        assert!(!other.is_empty() && Histogram::default().is_empty());
        let sum = Histogram::default();
        sum.add(&one);
        sum.add(&other);
        let mut out = String::new();
        sum.render("t", "a=\"b\"", &mut out);
        assert!(out.contains("t_count{a=\"b\"} 3\n"), "{out}");
    }
}
