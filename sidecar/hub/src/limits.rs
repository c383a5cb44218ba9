//! Bounds on what clients hold: connections, routers, followers of events, and registrations. In total, and for each address,
//! except over loopback and with `--insecure`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cli::LogLimit;
use protocol::InstanceId;
use runtime::{Peer, StatusCode};
use tracing::warn;

use crate::api::ApiError;

/// Maximum number of connections for each address. A small hub gives one address at most half of all.
const CONNECTIONS: usize = 200;
/// Maximum number of routers, in total and for each address.
const ROUTERS: (usize, usize) = (64, 16);
/// Maximum number of followers of events, in total and for each address.
const FOLLOWERS: (usize, usize) = (64, 16);
/// Maximum size of registrations, in bytes, in total and for each address. An address can hold those of 4,000 small instances.
const REGISTRATIONS: (usize, usize) = (128 << 20, 16 << 20);
/// Memory of an instance besides the text of its registration.
const INSTANCE: usize = 4 << 10;

/// The bounds of a hub, and what each connection holds.
pub(crate) struct Limits {
    connections: Arc<Quota>,
    routers: Arc<Quota>,
    followers: Arc<Quota>,
    registrations: Arc<Quota>,
    held: Mutex<BTreeMap<SocketAddr, Held>>,
}

/// Permits that a connection holds while it is open.
struct Held {
    _connection: Permit,
    router: Option<Permit>,
    registrations: BTreeMap<InstanceId, Permit>,
}

impl Limits {
    /// Creates the bounds of a hub that accepts `max_connections`.
    pub(crate) fn new(max_connections: u32, is_insecure: bool) -> Self {
        let quota = |kind, (total, each)| {
            Arc::new(Quota::new(kind, total, if is_insecure { usize::MAX } else { each }))
        };
        let connections = CONNECTIONS.min((max_connections as usize).div_ceil(2));
        Self {
            // The runtime bounds their total.
            connections: quota("connections", (usize::MAX, connections)),
            routers: quota("routers", ROUTERS),
            followers: quota("followers of events", FOLLOWERS),
            registrations: quota("bytes of registrations", REGISTRATIONS),
            held: Mutex::default(),
        }
    }

    /// Counts a new connection.
    pub(crate) fn open(&self, peer: Peer) -> Result<(), ApiError> {
        if let Peer::Tcp(address) = peer {
            let held = Held {
                _connection: self.connections.acquire(peer, 1)?,
                router: None,
                registrations: BTreeMap::new(),
            };
            self.held().insert(address, held);
        }
        Ok(())
    }

    /// Gives back what a connection held.
    pub(crate) fn close(&self, peer: Peer) {
        if let Peer::Tcp(address) = peer {
            // Dropped after the lock.
            let _held = self.held().remove(&address);
        }
    }

    /// Counts the connection as that of a router.
    pub(crate) fn count_router(&self, peer: Peer) -> Result<(), ApiError> {
        let mut all = self.held();
        if let Some(held) = held_by(&mut all, peer)
            && held.router.is_none()
        {
            held.router = Some(self.routers.acquire(peer, 1)?);
        }
        Ok(())
    }

    /// Counts a follower of events, until the permit is dropped.
    pub(crate) fn follower(&self, peer: Peer) -> Result<Permit, ApiError> {
        self.followers.acquire(peer, 1)
    }

    /// Counts a registration whose text has `bytes`, until the permit is dropped.
    pub(crate) fn registration(&self, peer: Peer, bytes: usize) -> Result<Permit, ApiError> {
        self.registrations.acquire(peer, bytes.saturating_add(INSTANCE))
    }

    /// Counts the registration of an instance until it is withdrawn, or the connection closes.
    pub(crate) fn registered(&self, peer: Peer, id: InstanceId, permit: Permit) {
        if let Some(held) = held_by(&mut self.held(), peer) {
            held.registrations.insert(id, permit);
        }
    }

    /// Gives back the registration of an instance.
    pub(crate) fn withdrawn(&self, peer: Peer, id: &InstanceId) {
        if let Some(held) = held_by(&mut self.held(), peer) {
            held.registrations.remove(id);
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held_by(all: &mut BTreeMap<SocketAddr, Held>, peer: Peer) -> Option<&mut Held> {
    let Peer::Tcp(address) = peer else { return None };
    all.get_mut(&address)
}

/// A bound on one kind of thing.
struct Quota {
    kind: &'static str,
    total: usize,
    each: usize,
    used: Mutex<Used>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct Used {
    total: usize,
    /// By address, except for exempt ones.
    each: BTreeMap<IpAddr, usize>,
}

/// A part of a [`Quota`], which is given back on drop.
pub(crate) struct Permit {
    quota: Arc<Quota>,
    ip: Option<IpAddr>,
    amount: usize,
}

impl Quota {
    fn new(kind: &'static str, total: usize, each: usize) -> Self {
        Self { kind, total, each, used: Mutex::default(), log_limit: LogLimit::new() }
    }

    fn acquire(self: &Arc<Self>, peer: Peer, amount: usize) -> Result<Permit, ApiError> {
        let ip = match peer {
            Peer::Tcp(address) if !peer.is_loopback() => Some(address.ip().to_canonical()),
            _ => None,
        };
        let used = &mut *self.used();
        let of_address = ip.map_or(0, |ip| used.each.get(&ip).copied().unwrap_or_default());
        let (status, max, place) = if amount > self.each.saturating_sub(of_address) {
            (StatusCode::TOO_MANY_REQUESTS, self.each, " for one address")
        } else if amount > self.total.saturating_sub(used.total) {
            (StatusCode::SERVICE_UNAVAILABLE, self.total, "")
        } else {
            used.total += amount;
            if let Some(ip) = ip {
                used.each.insert(ip, of_address + amount);
            }
            return Ok(Permit { quota: Arc::clone(self), ip, amount });
        };
        let message = format!("too many {}: the maximum{place} is {max}", self.kind);
        if let Some(more) = self.log_limit.admit() {
            warn!(%peer, more, "client rejected: {message}");
        }
        Err(ApiError::new(status, message))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        used.total -= self.amount;
        if let Some(ip) = self.ip
            && let Some(count) = used.each.get_mut(&ip)
        {
            *count -= self.amount;
            if *count == 0 {
                used.each.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str, port: u16) -> Peer {
        Peer::Tcp(SocketAddr::new(ip.parse().unwrap(), port))
    }

    #[test]
    fn address_holds_at_most_its_share_and_all_at_most_the_total() {
        let quota = Arc::new(Quota::new("things", 5, 3));
        let acquire =
            |ip, count| -> Vec<_> { (0..count).filter_map(|_| quota.acquire(peer(ip, 1), 1).ok()).collect() };
        let mut one = acquire("10.0.0.1", 9);
        assert_eq!(one.len(), 3);
        let error = quota.acquire(peer("::ffff:10.0.0.1", 1), 1).err().unwrap();
        assert_eq!(
            error,
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too many things: the maximum for one address is 3")
        );
        let other = acquire("10.0.0.2", 9);
        assert_eq!(other.len(), 2, "the total");
        let error = quota.acquire(peer("10.0.0.2", 1), 1).err().unwrap();
        assert_eq!(
            error,
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many things: the maximum is 5")
        );
        one.pop();
        assert_eq!(acquire("10.0.0.2", 9).len(), 1);
        drop((one, other));
        let used = quota.used();
        assert_eq!((used.total, used.each.len()), (0, 0));
    }

    #[test]
    fn loopback_has_only_the_total() {
        let quota = Arc::new(Quota::new("things", 5, 3));
        let held: Vec<_> = (0..9).filter_map(|_| quota.acquire(peer("127.1.2.3", 1), 1).ok()).collect();
        assert_eq!(held.len(), 5);
    }

    #[test]
    fn closed_connection_gives_everything_back() {
        let limits = Limits::new(1000, false);
        let (client, id) = (peer("10.0.0.1", 1), "ping.1".parse::<InstanceId>().unwrap());
        limits.open(client).unwrap();
        limits.count_router(client).unwrap();
        limits.count_router(client).unwrap();
        for bytes in [1000, 2000] {
            limits.registered(client, id.clone(), limits.registration(client, bytes).unwrap());
        }
        let used =
            || [&limits.connections, &limits.routers, &limits.registrations].map(|quota| quota.used().total);
        assert_eq!(used(), [1, 1, 2000 + INSTANCE]);
        limits.withdrawn(client, &id);
        assert_eq!(used(), [1, 1, 0]);
        limits.registered(client, id, limits.registration(client, 1).unwrap());
        limits.close(client);
        assert_eq!(used(), [0; 3]);
    }

    #[test]
    fn address_holds_at_most_half_of_the_connections_and_any_number_if_insecure() {
        for (max, is_insecure, expected) in [(1000, false, 200), (188, false, 94), (1000, true, 1000)] {
            let limits = Limits::new(max, is_insecure);
            let accepted = (0..1000).filter(|port| limits.open(peer("10.0.0.1", *port)).is_ok()).count();
            assert_eq!(accepted, expected);
        }
    }
}
