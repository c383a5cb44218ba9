//! IP addresses of the host.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;

/// Time for which addresses are cached; querying them for each request would dominate its cost.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// Cached addresses of all interfaces, ordered by interface index.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Option<(Instant, Vec<IpAddr>)>>);

impl Addresses {
    /// Returns all addresses, or none if the system call fails.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((since, addresses)) if since.elapsed() < CACHE_TIME => addresses.clone(),
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
    fn loopback_comes_first_without_duplicates() {
        let addresses = Addresses::default();
        let all = addresses.all();
        assert_eq!(all.first(), Some(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(addresses.all(), all);
    }
}
