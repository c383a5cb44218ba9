//! How long to wait before the next attempt. Pure: the random number is passed in.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// Delays that double from 20 ms up to 500 ms, each shortened at random by up to a half, so that the sidecars of a
/// whole swarm do not come back to a restarted hub in one moment.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// The next delay. `random` may be any number; all bits count.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        // The upper half of the bits, as a share of ceiling / 2.
        let share = ceiling / 2 * u32::try_from(random >> 48).unwrap_or(0) / (1 << 16);
        ceiling / 2 + share
    }

    /// From now on the longest delay: what is wrong does not mend itself in milliseconds.
    pub fn slow_down(&mut self) {
        self.ceiling = LONGEST;
    }

    /// From now on the shortest delay again, after a success.
    pub fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(random: u64) -> Vec<u128> {
        let mut backoff = Backoff::default();
        (0..7).map(|_| backoff.next(random).as_millis()).collect()
    }

    #[test]
    fn delays_double_up_to_half_a_second() {
        assert_eq!(delays(0), [10, 20, 40, 80, 160, 250, 250]);
        assert_eq!(delays(u64::MAX), [19, 39, 79, 159, 319, 499, 499]);
    }

    #[test]
    fn a_success_makes_the_next_delay_short_again() {
        let mut backoff = Backoff::default();
        backoff.slow_down();
        assert_eq!(backoff.next(0), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next(0), FIRST / 2);
    }
}
