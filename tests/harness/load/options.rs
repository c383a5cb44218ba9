//! How load is made.

use std::num::NonZeroU32;
use std::time::Duration;

/// How many clients load at a rate has, unless it is told otherwise.
const CROWD: usize = 64;

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A client's next request is due this long after its previous one was, or when that has ended, if that is later: who
    /// waits for an answer asks less, and does not catch up.
    Closed(Duration),
    /// So many requests per second are due, of all clients together, evenly, whether or not earlier ones have been
    /// answered. What falls behind catches up as soon as a client is free.
    Open(NonZeroU32),
}

impl Pace {
    /// When a request is due, since the start of the load: the load's request number `ticket`, from 0, by a client
    /// whose last one was due at `previous`, and who is free `now`.
    pub(super) fn due(self, ticket: u64, previous: Option<Duration>, now: Duration) -> Duration {
        match self {
            Self::Closed(interval) => previous.map_or(now, |previous| (previous + interval).max(now)),
            Self::Open(per_second) => {
                let rate = u64::from(per_second.get());
                Duration::from_secs(ticket / rate)
                    + Duration::from_nanos(ticket % rate * 1_000_000_000 / rate)
            }
        }
    }
}

/// How load is made.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Clients at a time, each with its own connections: the most requests that can be under way.
    pub threads: usize,
    /// When requests are due.
    pub pace: Pace,
    /// Whether a client keeps its connection, or makes a new one for each request.
    pub keep_alive: bool,
    /// After this a request has failed.
    pub timeout: Duration,
    /// What a body must begin with.
    pub body: &'static str,
    /// Load that is not stopped ends after so many requests, and counts as cut short.
    pub most_requests: u64,
    /// Load that is not stopped ends after this time, and counts as cut short.
    pub longest: Duration,
}

impl Default for LoadOptions {
    /// Four clients that ask ping 200 times a second each.
    fn default() -> Self {
        Self {
            threads: 4,
            pace: Pace::Closed(Duration::from_millis(5)),
            keep_alive: true,
            timeout: Duration::from_secs(2),
            body: "Pong from ",
            most_requests: 1_000_000,
            longest: Duration::from_mins(5),
        }
    }
}

impl LoadOptions {
    /// Each client asks once in `interval`, but waits for its answer: [`Pace::Closed`].
    pub fn every(interval: Duration) -> Self {
        Self { pace: Pace::Closed(interval), ..Self::default() }
    }

    /// All clients together ask so often, whatever the answers take: [`Pace::Open`], with clients enough for answers that
    /// take 64 times as long as the time between two requests.
    pub fn per_second(rate: NonZeroU32) -> Self {
        Self { pace: Pace::Open(rate), threads: CROWD, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn at_a_rate_requests_are_due_evenly_whatever_clients_do() {
        let due = |per_second: u32, ticket| {
            Pace::Open(NonZeroU32::new(per_second).unwrap()).due(ticket, Some(millis(7)), millis(9000))
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(|ticket| due(4, ticket)),
            [0, 250, 500, 750, 1000, 2250].map(millis)
        );
        assert_eq!(due(7, 6), Duration::from_nanos(857_142_857));
        assert_eq!(
            due(3, 3_000_000_000_000),
            Duration::from_secs(1_000_000_000_000),
            "nothing is lost by rounding"
        );
        assert_eq!(due(u32::MAX, u64::from(u32::MAX)), Duration::from_secs(1));
    }

    #[test]
    fn a_client_that_waits_for_its_answers_does_not_catch_up() {
        let due = |previous, now| Pace::Closed(millis(20)).due(5, previous, now);
        assert_eq!(due(None, millis(3)), millis(3), "the first one is due at once");
        assert_eq!(due(Some(millis(100)), millis(104)), millis(120));
        assert_eq!(due(Some(millis(100)), millis(500)), millis(500));
    }
}
