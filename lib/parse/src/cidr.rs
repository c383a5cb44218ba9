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
    use proptest::prelude::*;

    use super::*;

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
    fn network_contains_addresses_with_its_prefix() {
        let contains = |network: &str, address: &str| cidr(network).contains(address.parse().unwrap());
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
            assert!(invalid.parse::<Cidr>().unwrap_err().contains("10.0.0.0/8"), "{invalid}");
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn formatted_networks_are_read_back(
            // Mapped addresses, which `::/0` does not contain, are as good as impossible.
            address in prop_oneof![
                any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
                any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))),
            ],
            prefix in 0..129_u8,
        ) {
            let max = if address.is_ipv4() { 32 } else { 128 };
            let network = cidr(&format!("{address}/{}", prefix.min(max)));
            prop_assert_eq!(cidr(&network.to_string()), network);
            prop_assert!(network.contains(address), "{} {}", network, address);
        }

        #[test]
        fn arbitrary_text_never_panics(
            letters in prop::collection::vec(
                prop_oneof![19 => prop::sample::select("0123456789.:/f".chars().collect::<Vec<_>>()), 1 => any::<char>()],
                0..40,
            ),
        ) {
            if let Ok(network) = letters.into_iter().collect::<String>().parse::<Cidr>() {
                prop_assert_eq!(cidr(&network.to_string()), network);
            }
        }
    }
}
