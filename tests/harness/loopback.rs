//! Loopback addresses, one for each of several parallel tests.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// An address in 127.0.0.0/8 for one test, with free ports.
///
/// Connections to it start from 127.0.0.1, so the kernel never takes one of its ports as the local port of a connection: a free
/// port remains free.
pub struct Loopback {
    ip: IpAddr,
    returned: Mutex<HashSet<u16>>,
}

impl Loopback {
    /// Chooses an address that no other thread or process has chosen.
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let [.., a, b, c] = RandomState::new().hash_one((process::id(), count)).to_be_bytes();
        // Not 127.0.0.x, which other programs use, and not the first or last address of a network.
        let ip = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)).into();
        Self::at(ip)
    }

    /// Free ports on `ip`, which others may use too.
    pub fn at(ip: IpAddr) -> Self {
        Self { ip, returned: Mutex::default() }
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Returns a free port that it has not returned before.
    pub fn free(&self) -> Result<SocketAddr> {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept open during the search, since the kernel would otherwise offer the same port again.
        let mut rejected = Vec::new();
        loop {
            let listener = TcpListener::bind((self.ip, 0));
            let listener = listener.with_context(|| format!("looking for a free port on {}", self.ip))?;
            let address = listener.local_addr().context("reading a listener's address")?;
            if returned.insert(address.port()) {
                return Ok(address);
            }
            rejected.push(listener);
        }
    }
}

/// Returns a free port on 127.0.0.1, the address from which connections to every [`Loopback`] start. The kernel does not take it
/// as the local port of a connection.
pub fn free_at_source() -> Result<SocketAddr> {
    for _ in 0..100 {
        // Below the range of local ports, which starts at 32768.
        let port = 10_000 + RandomState::new().hash_one(process::id()) % 20_000;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), u16::try_from(port)?);
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("found no free port on 127.0.0.1 between 10000 and 30000");
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_unique() {
        let (one, other) = (Loopback::new(), Loopback::new());
        assert_ne!(one.ip(), other.ip());
        assert!(one.ip().is_loopback());
        let ports: HashSet<_> = (0..500).map(|_| one.free().unwrap()).collect();
        assert_eq!(ports.len(), 500);
    }
}
