//! W3C Trace Context.

use std::fmt;

use http::HeaderMap;

/// Name of the header that carries a [`TraceParent`].
pub const TRACEPARENT: &str = "traceparent";

/// Trace context of a request: the trace that it belongs to, and the span that sent it, as in
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads a request's headers. `None` if the header is missing, malformed or repeated.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    /// Parses a header value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(55)?;
        let mut parts = known.split(|&byte| byte == b'-');
        let mut number = |digits| hexadecimal(parts.next()?, digits);
        let (version, trace, parent, flags) = (number(2)?, number(32)?, number(16)?, number(2)?);
        // Later versions may have more fields, after another hyphen.
        let is_known = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|&byte| byte == b'-'),
        };
        (is_known && trace != 0 && parent != 0).then_some(())?;
        Some(Self { trace, parent: u64::try_from(parent).ok()?, flags: u8::try_from(flags).ok()? })
    }
}

/// Parses exactly `digits` lower-case hexadecimal digits.
fn hexadecimal(text: &[u8], digits: usize) -> Option<u128> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.iter().all(is_digit)).then_some(())?;
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, parent, flags } = self;
        write!(f, "00-{trace:032x}-{parent:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn display_is_the_inverse_of_parse() {
        assert_eq!(TraceParent::parse(EXAMPLE.as_bytes()).unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn later_versions_may_have_more_fields() {
        for more in ["", "-", "-more"] {
            let text = format!("cc{}{more}", &EXAMPLE[2..]);
            assert_eq!(
                TraceParent::parse(text.as_bytes()).map(|it| it.to_string()).as_deref(),
                Some(EXAMPLE)
            );
        }
        assert_eq!(TraceParent::parse(format!("cc{}.", &EXAMPLE[2..]).as_bytes()), None);
    }

    #[test]
    fn malformed_values_are_rejected() {
        for bad in [
            "",
            "00",
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-"),
            &format!("ff{}", &EXAMPLE[2..]),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "+"),
            &EXAMPLE.replacen("00-4", "00-+", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7a-01",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn repeated_headers_are_rejected() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert!(TraceParent::from_headers(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert!(TraceParent::from_headers(&headers).is_none());
    }
}
