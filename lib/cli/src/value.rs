//! Parsers of values of flags and environment variables.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Parses a boolean.
///
/// clap's own parsers do not fit: one rejects `1` and `yes`, the other adds Unicode tables to the binary.
pub fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "0" | "no" | "false" => Ok(false),
        "1" | "yes" | "true" => Ok(true),
        _ => Err("expected true or false"),
    }
}

/// Returns a parser of an integer in `range`.
pub fn integer<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| match *range.end() {
            u64::MAX => format!("expected an integer of at least {}", range.start()),
            end => format!("expected an integer from {} to {end}", range.start()),
        })
    }
}

/// Parses a port; 0 is allowed.
pub fn port(text: &str) -> Result<u16, String> {
    integer(0..=u64::from(u16::MAX))(text)
}

/// Parses an IP address.
pub fn ip_address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address such as 192.168.2.1 or fd00::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_outside_of_the_range_are_rejected_with_the_range() {
        assert_eq!(integer::<u8>(1..=9)("9"), Ok(9));
        for text in ["0", "10", "-1", "1.5", "many", "", "99999999999999999999"] {
            assert_eq!(integer::<u8>(1..=9)(text).unwrap_err(), "expected an integer from 1 to 9");
        }
        assert_eq!(integer::<u64>(1..=u64::MAX)("0").unwrap_err(), "expected an integer of at least 1");
        assert_eq!(port("65536").unwrap_err(), "expected an integer from 0 to 65535");
    }
}
