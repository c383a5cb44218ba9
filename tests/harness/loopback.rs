//! Addresses that parallel tests do not share.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// An address of 127.0.0.0/8 of one's own, and ports on it.
///
/// Connections to it start from 127.0.0.1, so that the system never takes one of its ports for the near end of a
/// connection: a port that was found free stays free.
pub struct Loopback {
    ip: IpAddr,
    given: Mutex<HashSet<u16>>,
}

impl Loopback {
    /// Picks an address that neither another thread nor another process has picked.
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let [.., a, b, c] = RandomState::new().hash_one((process::id(), count)).to_be_bytes();
        // Never 127.0.0.x, where everybody else is, and no first or last address of a network.
        let ip = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)).into();
        Self::at(ip)
    }

    /// Ports on `ip`, which others may use too.
    pub fn at(ip: IpAddr) -> Self {
        Self { ip, given: Mutex::default() }
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// A free port, not given before.
    pub fn free(&self) -> Result<SocketAddr> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        // Held until one is found, or the system would offer a port that was given before again and again.
        let mut taken = Vec::new();
        loop {
            let listener = TcpListener::bind((self.ip, 0));
            let listener = listener.with_context(|| format!("looking for a free port on {}", self.ip))?;
            let address = listener.local_addr().context("reading a listener's address")?;
            if given.insert(address.port()) {
                return Ok(address);
            }
            taken.push(listener);
        }
    }
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
    fn no_address_and_no_port_is_given_twice() {
        let (one, other) = (Loopback::new(), Loopback::new());
        assert_ne!(one.ip(), other.ip());
        assert!(one.ip().is_loopback());
        let ports: HashSet<_> = (0..500).map(|_| one.free().unwrap()).collect();
        assert_eq!(ports.len(), 500);
    }
}
