//! The addresses of a lab.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::{Result, ensure};

use super::ip;

/// Where the registry listens.
pub(super) const REGISTRY_PORT: u16 = 5000;

/// Most hosts of a lab.
pub const MOST_NODES: u8 = 9;

/// 256 addresses: hosts from .1 on, the registry at .254, the machine that the lab is on at .253.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet([u8; 3]);

impl Default for Subnet {
    /// The article's.
    fn default() -> Self {
        Self([192, 168, 2])
    }
}

impl Subnet {
    /// The address of host `number`, from 1 on.
    pub fn node(self, number: u8) -> Ipv4Addr {
        self.at(number)
    }

    /// The address of the registry.
    pub fn registry(self) -> Ipv4Addr {
        self.at(254)
    }

    /// The address of the machine that the lab is on, for its hosts.
    pub fn machine(self) -> Ipv4Addr {
        self.at(253)
    }

    /// `address` as `ip address add` wants it.
    pub(super) fn with_length(address: Ipv4Addr) -> String {
        format!("{address}/24")
    }

    fn at(self, last: u8) -> Ipv4Addr {
        let Self([a, b, c]) = self;
        Ipv4Addr::new(a, b, c, last)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::with_length(self.at(0)))
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let address = text.strip_suffix("/24").and_then(|address| address.parse::<Ipv4Addr>().ok());
        match address.map(|address| (address, address.octets())) {
            Some((address, [a, b, c, 0])) if address.is_private() => Ok(Self([a, b, c])),
            _ => Err("a private network of 256 addresses is wanted, such as 192.168.2.0/24".to_owned()),
        }
    }
}

/// Fails if this machine has a way to any address of `subnet` other than its way to everywhere.
pub(super) fn ensure_unused(subnet: Subnet) -> Result<()> {
    let subnet = subnet.to_string();
    for which in ["root", "match"] {
        let routes = ip(&["-4", "route", "show", which, &subnet])?;
        let taken = routes.lines().find(|route| !route.starts_with("default"));
        ensure!(
            taken.is_none(),
            "this machine has a route to {subnet} already: {}",
            taken.unwrap_or_default().trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_a_private_network_of_256_addresses() {
        let subnet: Subnet = "10.9.8.0/24".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.9.8.0/24");
        assert_eq!(subnet.node(2).to_string(), "10.9.8.2");
        assert_eq!(Subnet::default().to_string(), "192.168.2.0/24");
        for bad in ["10.9.8.0", "10.9.8.1/24", "10.9.8.0/16", "8.8.8.0/24", "fd00::/24", ""] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
