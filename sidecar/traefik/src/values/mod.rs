//! Checks of values that Traefik checks when it builds a router, middleware or service, and bounds for values that would
//! stop, block or exhaust it.
//!
//! Traefik accepts the document with such a value, and then disables the router or fails its requests.

mod address;
mod expression;
mod text;

use crate::rule::go_regex;

/// A set of valid values of an option. All checks except [`Check::Int`] and [`Check::Duration`] accept the empty value,
/// which means "not set".
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// Integer in a range.
    Int(i64, i64),
    /// Duration of at least this number of nanoseconds.
    Duration(i128),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words in any case.
    OneOfFolded(&'static [&'static str]),
    /// IP address or network.
    Network,
    /// Status code that has a name.
    NamedStatus,
    /// Status code or range of status codes.
    StatusRange,
    /// Name of an HTTP header, or a method.
    Token,
    /// Value of an HTTP header.
    HeaderValue,
    /// Absolute URL with one of these schemes.
    Url(&'static [&'static str]),
    /// Path of a request, without scheme and host.
    Path,
    /// Port number.
    Port,
    /// Scheme of a URL.
    Scheme,
    /// Media type such as `text/html`.
    MediaType,
    /// User of basic authentication: name and hash.
    BasicUser,
    /// User of digest authentication: name, realm and hash.
    DigestUser,
    /// Regular expression of Go.
    Regex,
    /// Condition of the circuit breaker.
    BreakerCondition,
    /// Condition of the buffering middleware.
    RetryCondition,
    /// PEM text with a block of this label. Traefik would read a file of any other name.
    Pem(&'static str),
    /// Text with a maximum length in bytes.
    MaxBytes(usize),
}

impl Check {
    /// Returns the reason why Traefik cannot use `value`.
    pub(crate) fn mismatch(self, value: &str) -> Option<String> {
        let expected = |is_valid: bool, expected: &str| {
            (!is_valid).then(|| format!("expected {expected}, got {:?}", text::shortened(value)))
        };
        match self {
            Self::Int(min, max) => {
                let is_valid = value.parse().is_ok_and(|number: i64| (min..=max).contains(&number));
                expected(is_valid, &format!("an integer from {min} to {max}"))
            }
            Self::Duration(min) => {
                let is_valid = text::nanoseconds(value)
                    .is_some_and(|duration| duration >= min && duration <= i64::MAX.into());
                let unit = [(1_000_000, "ms"), (1, "ns")].into_iter().find(|(unit, _)| min % unit == 0);
                let (unit, name) = unit.unwrap_or((1, "ns"));
                expected(is_valid, &format!("a duration of at least {}{name}", min / unit))
            }
            _ if value.is_empty() => None,
            Self::OneOf(words) => expected(words.contains(&value), &text::list(words)),
            Self::OneOfFolded(words) => {
                expected(words.iter().any(|word| word.eq_ignore_ascii_case(value)), &text::list(words))
            }
            Self::Network => {
                expected(address::is_network(value), "an IP address, or a network such as 10.0.0.0/8")
            }
            Self::NamedStatus => expected(text::is_named_status(value), "a status code such as 403"),
            Self::StatusRange => expected(
                text::is_status_range(value),
                "a status code such as 500, or a range such as 500-599",
            ),
            Self::Token => {
                expected(text::is_token(value), "letters, digits or one of !#$%&'*+-.^_`|~ without spaces")
            }
            // The value may be a credential.
            Self::HeaderValue => {
                (!text::is_header_value(value)).then(|| "expected text without control characters".to_owned())
            }
            Self::Url(schemes) => {
                let schemes = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>();
                let is_valid = schemes.iter().any(|scheme| {
                    value.split_at_checked(scheme.len()).is_some_and(|(start, rest)| {
                        start.eq_ignore_ascii_case(scheme) && address::is_authority_and_path(rest)
                    })
                });
                expected(is_valid, &format!("a URL that begins with {}", schemes.join(" or ")))
            }
            Self::Path => expected(address::is_relative(value), "a path such as /health"),
            Self::Port => {
                let is_valid = value.bytes().all(|byte| byte.is_ascii_digit())
                    && value.parse().is_ok_and(|port: u16| port > 0);
                expected(is_valid, "a port from 1 to 65535")
            }
            Self::Scheme => expected(address::is_scheme(value), "a scheme such as https"),
            Self::MediaType => expected(text::is_media_type(value), "a media type such as text/html"),
            Self::BasicUser => text::basic_user(value),
            Self::DigestUser => text::digest_user(value),
            Self::Regex => go_regex::check(value.as_bytes())
                .err()
                .map(|message| format!("invalid regular expression {:?}: {message}", text::shortened(value))),
            Self::BreakerCondition => expression::mismatch(&expression::BREAKER, value),
            Self::RetryCondition => expression::mismatch(&expression::BUFFERING, value),
            Self::Pem(label) => text::pem(label, value),
            Self::MaxBytes(max) => {
                (value.len() > max).then(|| format!("expected at most {max} bytes, got {}", value.len()))
            }
        }
    }

    /// Returns a warning about a value that is valid and has no effect.
    pub(crate) fn warning(self, value: &str) -> Option<&'static str> {
        (matches!(self, Self::BasicUser) && !text::is_known_hash(value)).then_some(
            "no password matches a user's hash of this kind; create it with htpasswd -nB, and write $ as $$ in stack files",
        )
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
