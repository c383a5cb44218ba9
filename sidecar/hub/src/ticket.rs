//! Tickets: when a hub first saw a service. Clients keep them across restarts of the hub, and hand them to other hubs, so
//! that all hubs order services alike. Pure.

use crate::key::Key;

/// Role of the secret in a ticket.
const ROLE: &str = "ticket";

/// Returns the ticket of a service, `MILLIS.HMAC`. `first_seen` is in milliseconds since the Unix epoch.
pub(crate) fn issue(key: &Key, service: &str, first_seen: u64) -> String {
    format!("{first_seen}.{}", key.derive(ROLE, &format!("{service}/{first_seen}")))
}

/// Returns when the service was first seen, if a hub with this key issued the ticket.
pub(crate) fn read(key: &Key, service: &str, ticket: &str) -> Option<u64> {
    let (first_seen, secret) = ticket.split_once('.')?;
    let first_seen: u64 = first_seen.parse().ok()?;
    key.verify(ROLE, &format!("{service}/{first_seen}"), secret).then_some(first_seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ticket_for_the_same_service_and_time_is_valid() {
        let key = Key::new(b"secret");
        let ticket = issue(&key, "ping", 17);
        assert!(ticket.starts_with("17.") && ticket.len() == 3 + 64, "{ticket}");
        assert_eq!(read(&key, "ping", &ticket), Some(17));
        assert_eq!(read(&key, "hello", &ticket), None);
        assert_eq!(read(&key, "ping", &ticket.replacen("17", "16", 1)), None);
        assert_eq!(read(&Key::new(b"other"), "ping", &ticket), None);
        for text in ["", ".", "17", "17.", "-1.00", "x.00", "99999999999999999999.00"] {
            assert_eq!(read(&key, "ping", text), None, "{text}");
        }
    }
}
