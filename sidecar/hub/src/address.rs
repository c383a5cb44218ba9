//! Addresses that a service with a token of its own may register. Pure.

use std::net::IpAddr;

use parse::Cidr;

/// Checks the address of a task that registers over a connection from `peer`; `None` for a Unix socket. It is the peer's own
/// one, or in one of the `allowed` networks. A peer over loopback may register any loopback address.
pub(crate) fn check(peer: Option<IpAddr>, address: IpAddr, allowed: &[Cidr]) -> Result<(), String> {
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
