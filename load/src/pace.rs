//! When requests are due.

use std::time::Duration;

use crate::statistics::float;

/// The times of requests at a rate, however long answers take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: f64,
    ramp: f64,
}

impl Pace {
    /// So many in each second, after the rate has risen from nothing for the time of `ramp`.
    pub fn new(rate: f64, ramp: Duration) -> Self {
        Self { rate, ramp: ramp.as_secs_f64() }
    }

    /// When request number `number` is due, from 0, since the load's start. Up to any time there are never more due than
    /// the rate allows.
    pub fn due(self, number: u64) -> Duration {
        // The rate at time t of the ramp is rate·t/ramp, so that rate·t²/(2·ramp) are due until then.
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

/// How many of the requests `first`, `first + step` and so on are due before `end`, and have numbers below `most`.
pub fn due_before(pace: Pace, first: u64, step: u64, most: u64, end: Duration) -> u64 {
    // Due times ascend: the first that is not is found by halving.
    let is_due = |turn: u64| {
        let number = turn.checked_mul(step).and_then(|more| more.checked_add(first));
        number.is_some_and(|number| number < most && pace.due(number) < end)
    };
    let (mut low, mut high) = (0, 1 << 40);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_due(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// When connection `number` of `count` begins, where each sends as fast as it is answered: one after the other over the
/// time of the ramp.
pub fn begin(number: u32, count: u32, ramp: Duration) -> Duration {
    ramp.mul_f64(f64::from(number) / f64::from(count.max(1)))
}

/// The order in which URLs of these weights have their turn: each as often as its weight has it, and as far from each
/// other as that allows. It is repeated.
pub fn turns(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let sum: i64 = weights.iter().sum();
    // Each gains its weight in each turn; whoever has most has its turn, and pays for it what all have gained.
    let mut credits = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..sum {
        credits.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let mut most = 0;
        for place in 1..credits.len() {
            if credits[place] > credits[most] {
                most = place;
            }
        }
        credits[most] -= sum;
        turns.push(most);
    }
    turns
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn at_a_rate_each_request_has_its_time() {
        let pace = Pace::new(2000.0, Duration::ZERO);
        assert_eq!(
            [0, 1, 2000, 120_000].map(|n| pace.due(n)),
            [Duration::ZERO, Duration::from_micros(500), S(1), S(60)]
        );
        assert_eq!(Pace::new(0.5, Duration::ZERO).due(3), S(6));
    }

    #[test]
    fn in_a_ramp_half_of_the_rate_is_sent() {
        let pace = Pace::new(100.0, S(10));
        assert_eq!(pace.due(500), S(10));
        assert_eq!(pace.due(125), S(5), "a quarter until the middle");
        assert_eq!(pace.due(600), S(11));
        let dues: Vec<_> = (0..700).map(|n| pace.due(n)).collect();
        assert!(dues.is_sorted());
    }

    #[test]
    fn no_more_is_due_than_the_rate_allows() {
        for rate in [0.3, 3.0, 7.7, 1234.5, 33_333.0] {
            let pace = Pace::new(rate, Duration::ZERO);
            for second in 1..20 {
                let due = (0..u64::MAX).take_while(|n| pace.due(*n) < S(second)).count();
                assert!(float(due as u64) <= rate * float(second) + 1.0, "{rate}: {due} in {second} s");
            }
        }
    }

    #[test]
    fn what_is_due_can_be_counted() {
        let pace = Pace::new(100.0, Duration::ZERO);
        assert_eq!(due_before(pace, 0, 1, u64::MAX, S(2)), 200);
        assert_eq!(due_before(pace, 190, 3, u64::MAX, S(2)), 4, "190, 193, 196, 199");
        assert_eq!(due_before(pace, 0, 1, 150, S(2)), 150);
        assert_eq!(due_before(pace, 200, 1, u64::MAX, S(2)), 0);
    }

    #[test]
    fn connections_begin_one_after_the_other() {
        assert_eq!([0, 1, 3].map(|n| begin(n, 4, S(8))), [S(0), S(2), S(6)]);
        assert_eq!(begin(3, 4, S(0)), S(0));
    }

    #[test]
    fn urls_have_their_turns_by_weight_and_spread_out() {
        assert_eq!(turns(&[1]), [0]);
        assert_eq!(turns(&[2, 2]), [0, 1]);
        assert_eq!(turns(&[3, 1]), [0, 0, 1, 0]);
        let turns = turns(&[50, 10, 20]);
        assert_eq!(turns.len(), 8);
        assert_eq!([0, 1, 2].map(|url| turns.iter().filter(|turn| **turn == url).count()), [5, 1, 2]);
    }
}
