//! Integers in JSON: accepts `8080.0` as well as `8080`, since JSON does not distinguish them but serde does.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an integer from 0 to 18446744073709551615")]
enum Number {
    Integer(u64),
    Negative(i64),
    Float(f64),
}

/// Deserializes an integer.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    /// 2^64, the first number that does not fit.
    const END: f64 = 18_446_744_073_709_551_616.0;
    let unexpected = match Number::deserialize(deserializer)? {
        Number::Integer(number) => return Ok(number),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        Number::Float(number) if number.fract() == 0.0 && (0.0..END).contains(&number) => {
            return Ok(number as u64);
        }
        Number::Negative(number) => Unexpected::Signed(number),
        Number::Float(number) => Unexpected::Float(number),
    };
    Err(D::Error::invalid_value(unexpected, &"an integer from 0 to 18446744073709551615"))
}

/// Deserializes a port.
pub(crate) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU16, D::Error> {
    let number = integer(deserializer)?;
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(number), &"a port from 1 to 65535"))
}

/// Deserializes ports by name.
pub(crate) fn ports<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, NonZeroU16>, D::Error> {
    #[derive(Deserialize)]
    struct Port(#[serde(deserialize_with = "port")] NonZeroU16);
    let ports = BTreeMap::<String, Port>::deserialize(deserializer)?;
    Ok(ports.into_iter().map(|(name, Port(port))| (name, port)).collect())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Both {
        #[serde(deserialize_with = "integer")]
        integer: u64,
        #[serde(deserialize_with = "port")]
        port: NonZeroU16,
    }

    fn read(integer: &str, port: &str) -> Result<(u64, u16), String> {
        let text = format!("{{\"integer\": {integer}, \"port\": {port}}}");
        let both: Both = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok((both.integer, both.port.get()))
    }

    #[test]
    fn integer_with_a_zero_fraction_is_accepted() {
        assert_eq!(read("246", "8080"), Ok((246, 8080)));
        assert_eq!(read("246.0", "8.08e3"), Ok((246, 8080)));
        assert_eq!(read("-0.0", "65535"), Ok((0, 65535)));
        assert_eq!(read("18446744073709551615", "1"), Ok((u64::MAX, 1)));
    }

    #[test]
    fn ports_by_name_are_ports() {
        #[derive(Deserialize)]
        struct Ports(#[serde(deserialize_with = "ports")] BTreeMap<String, NonZeroU16>);
        let read = |text: &str| serde_json::from_str::<Ports>(text).map(|ports| ports.0);
        assert_eq!(read(r#"{"a": 81.0}"#).unwrap()["a"].get(), 81);
        assert!(read(r#"{"a": 0}"#).is_err());
    }

    #[test]
    fn invalid_integer_or_port_is_rejected() {
        for bad in
            ["-1", "0.5", "-1.0", "18446744073709551616", "18446744073709551616.0", "1e300", "\"1\"", "null"]
        {
            let error = read(bad, "1").unwrap_err();
            assert!(error.contains("an integer from 0 to"), "{bad}: {error}");
        }
        assert!(read("-1", "1").unwrap_err().contains("integer `-1`"), "a number is shown as it was sent");
        for bad in ["0", "65536", "0.0"] {
            assert!(read("1", bad).unwrap_err().contains("a port from 1 to 65535"), "{bad}");
        }
    }
}
