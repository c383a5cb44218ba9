//! What all who keep leases do alike.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tracing::{error, warn};

use crate::{Hub, HubError};

/// The time between heartbeats until the hub has said how long a lease lives.
pub const FIRST_HEARTBEAT: Duration = Duration::from_secs(1);
/// The least time between heartbeats, whatever the hub says.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(10);
/// The longest time between heartbeats, whatever the hub says.
const LONGEST_HEARTBEAT: Duration = Duration::from_mins(1);

/// The time between heartbeats for leases that hold for `ttl_ms` milliseconds.
pub fn heartbeat(ttl_ms: u64) -> Duration {
    (Duration::from_millis(ttl_ms) / 3).clamp(LEAST_HEARTBEAT, LONGEST_HEARTBEAT)
}

/// A number that differs between processes and calls, for back-offs: the standard library seeds its hash maps so.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What was complained of last, so that it is logged only once.
#[derive(Debug, Default)]
pub struct Complaint(Option<String>);

impl Complaint {
    /// Logs why `hub` could not be told, unless that is what was said last. Returns what there is to say.
    pub fn log(&mut self, hub: &Hub, error: &HubError) -> &str {
        let (is_news, complaint) = self.take(format!("hub {}: {error}", hub.url));
        match (is_news, error.is_lasting()) {
            (true, true) => error!("{complaint}"),
            (true, false) => warn!("{complaint}"),
            (false, _) => {}
        }
        complaint
    }

    /// Whether it is something else than what was said last, and what it is.
    fn take(&mut self, complaint: String) -> (bool, &str) {
        let is_news = self.0.as_ref() != Some(&complaint);
        (is_news, self.0.insert(complaint))
    }

    /// All is well. Tells whether there was something to complain of.
    pub fn settle(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_heartbeats_in_a_leases_life_within_reason() {
        assert_eq!(heartbeat(3000), Duration::from_secs(1));
        assert_eq!(heartbeat(0), LEAST_HEARTBEAT);
        assert_eq!(heartbeat(u64::MAX), LONGEST_HEARTBEAT);
    }

    #[test]
    fn only_another_complaint_than_the_last_one_is_news() {
        let mut complaint = Complaint::default();
        let mut is_news = |text: &str| complaint.take(text.to_owned()).0;
        assert_eq!(["a", "a", "b", "a"].map(&mut is_news), [true, false, true, true]);
        assert!(complaint.settle());
        assert!(complaint.take("a".to_owned()).0);
    }

    #[test]
    fn a_complaint_is_settled_once() {
        let hub = Hub { url: "http://hub:8080".parse().unwrap(), token_file: None };
        let mut complaint = Complaint::default();
        assert!(!complaint.settle());
        assert_eq!(complaint.log(&hub, &HubError::Late), "hub http://hub:8080: no answer in time");
        assert!(complaint.settle());
        assert!(!complaint.settle());
    }
}
