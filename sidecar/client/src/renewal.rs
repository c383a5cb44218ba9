//! Retries and renewals, common to all clients that hold leases.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tracing::{error, warn};

use crate::HubError;

/// Time between heartbeats until the hub has sent a lease's time to live.
pub const INITIAL_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(10);
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_mins(1);

const MIN_DELAY: Duration = Duration::from_millis(20);
const MAX_DELAY: Duration = Duration::from_millis(500);

/// Returns the time between heartbeats for leases with a time to live of `ttl_ms` milliseconds: a third of it, from
/// 10 ms to 1 min.
pub fn heartbeat_interval(ttl_ms: u64) -> Duration {
    (Duration::from_millis(ttl_ms) / 3).clamp(MIN_HEARTBEAT_INTERVAL, MAX_HEARTBEAT_INTERVAL)
}

/// Returns a random number for [`Backoff::next`]. It is the seed that the standard library gives a hash map.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Delays between attempts. They double from 20 ms to 500 ms, and each is shortened at random by up to half, so that
/// the sidecars of a swarm do not all return to a restarted hub at once.
#[derive(Debug)]
pub struct Backoff {
    max_delay: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { max_delay: MIN_DELAY }
    }
}

impl Backoff {
    /// Returns the next delay. `random` is any number; all its bits are used.
    pub fn next(&mut self, random: u64) -> Duration {
        let half = self.max_delay / 2;
        self.max_delay = (self.max_delay * 2).min(MAX_DELAY);
        half + half * u32::try_from(random >> 48).unwrap_or(0) / (1 << 16)
    }

    /// Continues with the longest delay, after an error that a quick retry will not fix.
    pub fn slow_down(&mut self) {
        self.max_delay = MAX_DELAY;
    }

    /// Continues with the shortest delay, after a success.
    pub fn reset(&mut self) {
        self.max_delay = MIN_DELAY;
    }
}

/// Filters repeated messages: logs a message once, until it changes or is cleared.
#[derive(Debug, Default)]
pub struct LogOnce(Option<String>);

impl LogOnce {
    /// Logs an error of a request to `hub`, a [member](crate::Member), unless it was the last message. Returns the message.
    pub fn log(&mut self, hub: impl fmt::Display, error: &HubError) -> String {
        let message = format!("{hub}: {error}");
        match (self.is_new(&message), error.is_permanent()) {
            (true, true) => error!("{message}"),
            (true, false) => warn!("{message}"),
            (false, _) => {}
        }
        message
    }

    /// Returns whether the message differs from the last one, and remembers it.
    pub fn is_new(&mut self, message: &str) -> bool {
        self.0.replace(message.to_owned()).as_deref() != Some(message)
    }

    /// Forgets the message after a success. Returns whether there was one.
    pub fn clear(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeat_interval_is_a_third_of_the_ttl_within_limits() {
        assert_eq!(heartbeat_interval(3000), Duration::from_secs(1));
        assert_eq!(heartbeat_interval(0), MIN_HEARTBEAT_INTERVAL);
        assert_eq!(heartbeat_interval(u64::MAX), MAX_HEARTBEAT_INTERVAL);
    }

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
    fn reset_makes_the_next_delay_short() {
        let mut backoff = Backoff::default();
        backoff.slow_down();
        assert_eq!(backoff.next(0), MAX_DELAY / 2);
        backoff.reset();
        assert_eq!(backoff.next(0), MIN_DELAY / 2);
    }

    #[test]
    fn only_a_different_message_is_new() {
        let mut log_once = LogOnce::default();
        assert_eq!(["a", "a", "b", "a"].map(|message| log_once.is_new(message)), [true, false, true, true]);
        assert!(log_once.clear());
        assert!(log_once.is_new("a"));
    }

    #[test]
    fn error_is_cleared_once() {
        let mut log_once = LogOnce::default();
        assert!(!log_once.clear());
        assert_eq!(
            log_once.log("hub http://hub:8080", &HubError::Timeout),
            "hub http://hub:8080: no response in time"
        );
        assert!(log_once.clear());
        assert!(!log_once.clear());
    }
}
