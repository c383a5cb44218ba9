//! Addresses that a service with a token of its own may register. Pure.

use std::net::IpAddr;
use std::str::FromStr;

/// A network such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("expected a network such as 10.0.0.0/8, or an address, got {text:?}");
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(max), str::parse).ok().filter(|bits| *bits <= max).ok_or_else(invalid)?;
        Ok(Self { address, bits })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let bits = |address| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let differing = (bits(self.address) ^ bits(address)).checked_shr(128 - self.bits).unwrap_or(0);
        self.address.is_ipv4() == address.is_ipv4() && differing == 0
    }
}

/// Checks the address of a task that registers over a connection from `peer`; `None` for a Unix socket. It is the peer's own
/// one, or in one of the `allowed` networks. A peer over loopback may register any loopback address.
pub(crate) fn check(peer: Option<IpAddr>, address: IpAddr, allowed: &[Network]) -> Result<(), String> {
    let address = address.to_canonical();
    let is_own = match peer {
        Some(peer) if !peer.is_loopback() => peer == address,
        _ => address.is_loopback(),
    };
    if is_own || allowed.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    let peer = peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.to_string());
    Err(format!(
        "the connection comes from {peer}, and a service's token does not allow to register {address}; if its tasks are on \
         two networks, start the hub with --allow-address {address}, or with their network"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_addresses_with_its_prefix() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        for (network, address, expected) in [
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "fe00::1", true),
            ("::/0", "0.0.0.0", false),
        ] {
            assert_eq!(contains(network, address), expected, "{network} {address}");
        }
        for invalid in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "host"] {
            assert!(invalid.parse::<Network>().unwrap_err().contains("10.0.0.0/8"), "{invalid}");
        }
    }

    #[test]
    fn address_is_the_peers_own_unless_its_network_is_allowed() {
        let allowed = ["10.9.0.0/16".parse().unwrap()];
        for (peer, address, expected) in [
            (Some("10.0.0.1"), "10.0.0.1", true),
            (Some("10.0.0.1"), "::ffff:10.0.0.1", true),
            (Some("10.0.0.1"), "10.0.0.2", false),
            (Some("10.0.0.1"), "127.0.0.1", false),
            (Some("10.0.0.1"), "10.9.1.2", true),
            (Some("fd00::1"), "fd00::1", true),
            (Some("127.0.0.1"), "127.0.0.5", true),
            (Some("::1"), "127.0.0.1", true),
            (Some("127.0.0.1"), "10.0.0.1", false),
            (None, "127.0.0.1", true),
            (None, "10.0.0.1", false),
        ] {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let result = check(peer, address.parse().unwrap(), &allowed);
            assert_eq!(result.is_ok(), expected, "{peer:?} {address}: {result:?}");
        }
    }
}
