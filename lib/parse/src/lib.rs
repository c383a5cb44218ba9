//! Parsers shared by the programs: pure functions from text to values.
//!
//! - [`duration`], [`bounded_duration`], [`positive_duration`]: durations of flags and of the hub's API, such as `100ms`
//!   or `1m 30s`;
//! - [`go_duration`], [`format_go_duration`], [`go_bool`]: values as Go programs read and write them, for compatibility
//!   with Traefik and whoami;
//! - [`query_pairs`], [`percent_decode`], [`percent_decode_strict`], [`form_decode`]: parts of URLs;
//! - [`Cidr`]: IP networks.

mod cidr;
mod duration;
mod query;

pub use cidr::Cidr;
pub use duration::{
    DurationError, bounded_duration, duration, format_go_duration, go_duration, positive_duration,
};
pub use query::{form_decode, percent_decode, percent_decode_strict, query_pairs};

/// Parses a boolean as Go's `strconv.ParseBool` does.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::go_bool;

    #[test]
    fn booleans_have_the_spellings_of_go() {
        for (text, expected) in [
            ("1", Some(true)),
            ("t", Some(true)),
            ("True", Some(true)),
            ("0", Some(false)),
            ("F", Some(false)),
            ("false", Some(false)),
            ("tRue", None),
            ("yes", None),
            (" true", None),
            ("", None),
        ] {
            assert_eq!(go_bool(text), expected, "{text:?}");
        }
    }
}
