//! The host's own addresses.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;

/// For how long they are taken to be the same: a network may come and go, but asking for them at each request would be
/// most of what the request costs.
const FRESH: Duration = Duration::from_secs(1);

/// The addresses of all interfaces, in the order of the interfaces' numbers and of each one's addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Option<(Instant, Vec<IpAddr>)>>);

impl Addresses {
    /// All of them; none, if the system does not tell.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((since, addresses)) if since.elapsed() < FRESH => addresses.clone(),
            _ => {
                let addresses = addresses();
                *known = Some((Instant::now(), addresses.clone()));
                addresses
            }
        }
    }
}

fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<_> = interfaces
        .filter_map(|interface| {
            let address = ip(&interface.address?)?;
            Some((if_nametoindex(interface.interface_name.as_str()).unwrap_or_default(), address))
        })
        .collect();
    addresses.sort_by_key(|(index, _)| *index);
    addresses.into_iter().map(|(_, address)| address).collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn loopback_comes_first_and_nothing_twice() {
        let addresses = Addresses::default();
        let all = addresses.all();
        assert_eq!(all.first(), Some(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(addresses.all(), all);
    }
}
