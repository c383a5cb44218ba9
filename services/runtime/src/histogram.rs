//! Histogram of request durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::exposition::sample;

/// Upper bounds of the buckets, in microseconds and as Prometheus label, in seconds. They range from a response that is ready
/// in memory to the longest time a client usually waits.
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

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Observations per bucket, not cumulative. The last bucket has no upper bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Sum of all observations, in nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|&(bound, _)| nanoseconds <= u64::from(bound) * 1000);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Adds another histogram's observations to this one.
    pub(crate) fn add(&self, other: &Self) {
        for (count, other) in self.buckets.iter().zip(&other.buckets) {
            count.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Appends the samples of this histogram, for one route, to the metric family `name`.
    pub(crate) fn render(&self, name: &str, route: &str, out: &mut String) {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|&(_, bound)| bound).chain(["+Inf"]);
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count += bucket.load(Ordering::Relaxed);
            sample(out, &format!("{name}_bucket"), &[("route", route), ("le", bound)], count);
        }
        let sum = Duration::from_nanos(self.sum.load(Ordering::Relaxed));
        let sum = format_args!("{}.{:09}", sum.as_secs(), sum.subsec_nanos());
        sample(out, &format!("{name}_sum"), &[("route", route)], sum);
        sample(out, &format!("{name}_count"), &[("route", route)], count);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_include_their_bound() {
        let histogram = Histogram::default();
        for microseconds in [0, 50, 51, 1_000_000, 20_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let mut out = String::new();
        histogram.render("t", "/", &mut out);
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
    fn bounds_in_seconds_match_bounds_in_microseconds() {
        for (microseconds, seconds) in BOUNDS {
            let difference = seconds.parse::<f64>().unwrap() - f64::from(microseconds) / 1e6;
            assert!(difference.abs() < 1e-9, "{seconds}");
        }
    }

    #[test]
    fn add_sums_observations() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.observe(Duration::from_millis(1));
        other.observe(Duration::from_millis(1));
        other.observe(Duration::MAX);
        assert!(!other.is_empty() && Histogram::default().is_empty());
        let sum = Histogram::default();
        sum.add(&one);
        sum.add(&other);
        let mut out = String::new();
        sum.render("t", "b", &mut out);
        assert!(out.contains("t_count{route=\"b\"} 3\n"), "{out}");
    }
}
