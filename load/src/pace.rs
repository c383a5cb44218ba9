//! Due times of requests, and the order of URLs.

use std::time::Duration;

use crate::statistics::float;

/// Due times of an open loop: a fixed rate, independent of response times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: f64,
    ramp: f64,
}

impl Pace {
    /// Sends `rate` requests per second, after a linear rise from zero during `ramp`.
    pub(crate) fn new(rate: f64, ramp: Duration) -> Self {
        Self { rate, ramp: ramp.as_secs_f64() }
    }

    /// Due time of request `number` (from 0), since the start of the run. At any time, the number of due requests is at
    /// most the integral of the rate, plus one.
    pub(crate) fn due(self, number: u64) -> Duration {
        // During the ramp the rate at time t is rate·t/ramp, so rate·t²/(2·ramp) requests are due by then.
        let in_ramp = self.rate * self.ramp / 2.0;
        let number = float(number);
        let seconds = if number < in_ramp {
            (2.0 * number * self.ramp / self.rate).sqrt()
        } else {
            self.ramp + (number - in_ramp) / self.rate
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Counts the requests `first`, `first + step`, ... that are numbered below `limit` and due before `end`.
pub(crate) fn due_before(pace: Pace, first: u64, step: u64, limit: u64, end: Duration) -> u64 {
    let is_due = |index: u64| {
        let number = index.checked_mul(step).and_then(|offset| offset.checked_add(first));
        number.is_some_and(|number| number < limit && pace.due(number) < end)
    };
    // Due times ascend, so a binary search finds the first one that is not before the end.
    let (mut low, mut high) = (0, 1 << 40);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_due(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// Start time of connection `number` of `count` in a closed loop: starts are spread evenly over the ramp.
pub(crate) fn connection_start(number: u32, count: u32, ramp: Duration) -> Duration {
    ramp.mul_f64(f64::from(number) / f64::from(count.max(1)))
}

/// Order of URLs with these weights (smooth weighted round robin): each URL appears as often as its weight says, and its
/// occurrences are spread out. The order repeats.
pub(crate) fn interleave(weights: &[u32]) -> Vec<usize> {
    if weights.iter().all(|weight| *weight == weights[0]) {
        return (0..weights.len()).collect();
    }
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let sum: i64 = weights.iter().sum();
    // In each step all URLs gain their weight as credit; the one with the most credit is chosen and pays the sum.
    let mut credits = vec![0; weights.len()];
    let mut order = Vec::new();
    for _ in 0..sum {
        credits.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let mut chosen = 0;
        for index in 1..credits.len() {
            if credits[index] > credits[chosen] {
                chosen = index;
            }
        }
        credits[chosen] -= sum;
        order.push(chosen);
    }
    order
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn requests_at_a_rate_are_due_at_equal_intervals() {
        let pace = Pace::new(2000.0, Duration::ZERO);
        assert_eq!(
            [0, 1, 2000, 120_000].map(|n| pace.due(n)),
            [Duration::ZERO, Duration::from_micros(500), S(1), S(60)]
        );
        assert_eq!(Pace::new(0.5, Duration::ZERO).due(3), S(6));
    }

    #[test]
    fn ramp_sends_half_the_rate_on_average() {
        let pace = Pace::new(100.0, S(10));
        assert_eq!(pace.due(500), S(10));
        assert_eq!(pace.due(125), S(5), "a quarter of them in the first half");
        assert_eq!(pace.due(600), S(11));
        let due_times: Vec<_> = (0..700).map(|n| pace.due(n)).collect();
        assert!(due_times.is_sorted());
    }

    #[test]
    fn due_requests_never_exceed_the_rate() {
        for rate in [0.3, 3.0, 7.7, 1234.5, 33_333.0] {
            let pace = Pace::new(rate, Duration::ZERO);
            for second in 1..20 {
                let due = (0..u64::MAX).take_while(|n| pace.due(*n) < S(second)).count();
                assert!(float(due as u64) <= rate * float(second) + 1.0, "{rate}: {due} in {second} s");
            }
        }
    }

    #[test]
    fn due_requests_are_counted() {
        let pace = Pace::new(100.0, Duration::ZERO);
        assert_eq!(due_before(pace, 0, 1, u64::MAX, S(2)), 200);
        assert_eq!(due_before(pace, 190, 3, u64::MAX, S(2)), 4, "190, 193, 196, 199");
        assert_eq!(due_before(pace, 0, 1, 150, S(2)), 150);
        assert_eq!(due_before(pace, 200, 1, u64::MAX, S(2)), 0);
    }

    #[test]
    fn connection_starts_are_spread_over_the_ramp() {
        assert_eq!([0, 1, 3].map(|n| connection_start(n, 4, S(8))), [S(0), S(2), S(6)]);
        assert_eq!(connection_start(3, 4, S(0)), S(0));
    }

    #[test]
    fn urls_are_interleaved_by_weight() {
        assert_eq!(interleave(&[1]), [0]);
        assert_eq!(interleave(&[2, 2]), [0, 1]);
        assert_eq!(interleave(&[3, 1]), [0, 0, 1, 0]);
        let order = interleave(&[50, 10, 20]);
        assert_eq!(order.len(), 8);
        assert_eq!([0, 1, 2].map(|url| order.iter().filter(|one| **one == url).count()), [5, 1, 2]);
    }
}
