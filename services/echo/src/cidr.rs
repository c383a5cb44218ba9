//! IP networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network, such as `10.0.0.0/8` or `fd00::/8`. IPv4-mapped IPv6 addresses are treated as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// First address of the network.
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether the network contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?}: expected a network such as 10.0.0.0/8 or fd00::/8, or an address");
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let max_prefix: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max_prefix,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= max_prefix).ok_or_else(error)?
            }
            Some(_) => return Err(error()),
        };
        let (address, prefix) = match address.to_canonical() {
            IpAddr::V4(mapped) if address.is_ipv6() => match prefix.checked_sub(96) {
                Some(prefix) => (mapped.into(), prefix),
                None => (address, prefix),
            },
            _ => (address, prefix),
        };
        Ok(Self { address: masked(address, prefix), prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn network_contains_only_its_addresses() {
        for (network, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "9.255.255.255"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "fe80::1", "127.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::1", "::1", "::2"),
            ("192.168.2.0/31", "192.168.2.1", "192.168.2.2"),
        ] {
            assert!(cidr(network).contains(within.parse().unwrap()), "{network} {within}");
            assert!(!cidr(network).contains(without.parse().unwrap()), "{network} {without}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert!(cidr("10.0.0.0/8").contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(cidr("::ffff:10.0.0.0/104").contains("10.1.2.3".parse().unwrap()));
        assert_eq!(cidr("::ffff:10.1.2.3").to_string(), "10.1.2.3/32");
        assert_eq!(cidr("::ffff:10.1.2.3/64").to_string(), "::/64");
    }

    #[test]
    fn invalid_networks_are_reported() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "a/8",
            " ::1",
            "::1/8/8",
        ] {
            let error = text.parse::<Cidr>().unwrap_err();
            assert!(error.starts_with(&format!("{text:?}: expected a network such as")), "{error}");
        }
    }

    #[test]
    fn formatted_networks_are_read_back() {
        let mut random = Random::new(4);
        for _ in 0..20_000 {
            let address = match random.below(2) {
                0 => IpAddr::from(Ipv4Addr::from_bits(u32::try_from(random.next() >> 32).unwrap())),
                _ => IpAddr::from(Ipv6Addr::from_bits(
                    u128::from(random.next()) << 64 | u128::from(random.next()),
                )),
            };
            let network =
                cidr(&format!("{address}/{}", random.below(if address.is_ipv4() { 33 } else { 129 })));
            assert_eq!(cidr(&network.to_string()), network);
            assert!(network.contains(address), "{network} {address}");
        }
    }

    #[test]
    fn arbitrary_text_never_panics() {
        let mut random = Random::new(5);
        for _ in 0..20_000 {
            let text = gibberish(&mut random, "0123456789.:/f");
            if let Ok(network) = text.parse::<Cidr>() {
                assert_eq!(cidr(&network.to_string()), network);
            }
        }
    }
}
