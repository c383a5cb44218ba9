//! Leases: the connection that holds each one, and its end. Pure: callers pass the time in.
//!
//! All operations on one lease or one connection take logarithmic time, since each sidecar renews its lease every few seconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use protocol::InstanceId;

/// The leases of all instances.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: HashMap<InstanceId, Lease>,
    /// Instances by the connection that holds their leases.
    held: BTreeMap<u64, BTreeSet<InstanceId>>,
    /// Times at which a lease may end. Renewals leave them alone: [`Leases::expired`] finds out that a lease lasts longer.
    due: BTreeSet<(Instant, InstanceId)>,
}

#[derive(Debug)]
struct Lease {
    /// Connection that last renewed it, while it is open.
    connection: Option<u64>,
    expires: Instant,
}

impl Leases {
    /// Grants or renews a lease, and binds it to `connection`.
    pub(crate) fn renew(&mut self, id: &InstanceId, connection: u64, expires: Instant) {
        let before = if let Some(lease) = self.by_id.get_mut(id) {
            lease.connection.replace(connection)
        } else {
            self.by_id.insert(id.clone(), Lease { connection: Some(connection), expires });
            self.due.insert((expires, id.clone()));
            None
        };
        self.set_end(id, expires);
        if before != Some(connection) {
            self.unbind(id, before);
            self.held.entry(connection).or_default().insert(id.clone());
        }
    }

    /// Returns the instances whose leases `connection` holds.
    pub(crate) fn held_by(&self, connection: u64) -> Vec<InstanceId> {
        self.held.get(&connection).into_iter().flatten().cloned().collect()
    }

    /// Unbinds the leases of a connection that closed, and returns their instances with the ends of the leases.
    pub(crate) fn disconnected(&mut self, connection: u64) -> Vec<(InstanceId, Instant)> {
        let held = self.held.remove(&connection).unwrap_or_default();
        let end = |id: InstanceId| {
            let lease = self.by_id.get_mut(&id)?;
            lease.connection = None;
            Some((id, lease.expires))
        };
        held.into_iter().filter_map(end).collect()
    }

    /// Changes the end of a lease.
    pub(crate) fn set_end(&mut self, id: &InstanceId, expires: Instant) {
        let Some(lease) = self.by_id.get_mut(id) else { return };
        if expires < lease.expires {
            self.due.insert((expires, id.clone()));
        }
        lease.expires = expires;
    }

    /// Ends a lease.
    pub(crate) fn remove(&mut self, id: &InstanceId) {
        if let Some(lease) = self.by_id.remove(id) {
            self.unbind(id, lease.connection);
        }
    }

    /// Returns whether the connection that last renewed the lease is open.
    pub(crate) fn is_connected(&self, id: &InstanceId) -> bool {
        self.by_id.get(id).is_some_and(|lease| lease.connection.is_some())
    }

    /// Moves the ends of all leases by `gap`.
    pub(crate) fn postpone(&mut self, gap: Duration) {
        self.by_id.values_mut().for_each(|lease| lease.expires += gap);
        self.due = std::mem::take(&mut self.due).into_iter().map(|(at, id)| (at + gap, id)).collect();
    }

    /// Removes the leases that have expired by `now`, and returns their instances.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<InstanceId> {
        let mut expired = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.due.pop_first() else { break };
            match self.by_id.get(&id).map(|lease| lease.expires) {
                Some(end) if end > now => drop(self.due.insert((end, id))),
                Some(_) => {
                    self.remove(&id);
                    expired.push(id);
                }
                None => {}
            }
        }
        expired
    }

    /// Returns the next time at which a lease may end.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn unbind(&mut self, id: &InstanceId, connection: Option<u64>) {
        let Some(connection) = connection else { return };
        let Some(held) = self.held.get_mut(&connection) else { return };
        held.remove(id);
        if held.is_empty() {
            self.held.remove(&connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(text: &str) -> InstanceId {
        text.parse().unwrap()
    }

    #[test]
    fn lease_ends_at_its_latest_expiry() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.renew(&id("a"), 1, now + SECOND);
        leases.renew(&id("b"), 2, now + SECOND);
        leases.renew(&id("a"), 1, now + SECOND * 3);
        assert_eq!(leases.next_end(), Some(now + SECOND));
        assert_eq!(leases.expired(now + SECOND), [id("b")]);
        assert_eq!(leases.next_end(), Some(now + SECOND * 3));
        leases.set_end(&id("a"), now + SECOND * 2);
        assert_eq!(leases.next_end(), Some(now + SECOND * 2));
        leases.postpone(SECOND);
        assert_eq!(leases.expired(now + SECOND * 2), []);
        assert_eq!(leases.expired(now + SECOND * 3), [id("a")]);
        assert_eq!(leases.expired(now + SECOND * 9), []);
        assert_eq!(leases.next_end(), None);
    }

    #[test]
    fn lease_belongs_to_the_connection_that_renewed_it_last() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.renew(&id("a"), 1, now);
        leases.renew(&id("b"), 1, now);
        leases.renew(&id("a"), 2, now);
        assert_eq!(leases.held_by(1), [id("b")]);
        assert_eq!(leases.disconnected(1), [(id("b"), now)]);
        assert!(leases.is_connected(&id("a")) && !leases.is_connected(&id("b")));
        leases.remove(&id("a"));
        assert_eq!(leases.disconnected(2), []);
        assert!(leases.held.is_empty() && leases.by_id.len() == 1);
    }
}
