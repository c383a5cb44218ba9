//! Values of flags and environment variables. An empty value means "not set": templates in stack files expand to an empty
//! text where there is nothing to insert.

use std::fmt::Display;
use std::str::FromStr;

/// An optional value; an empty text is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvOption<T>(pub Option<T>);

impl<T: FromStr<Err: Display>> FromStr for EnvOption<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        env_option_with(str::parse)(text)
    }
}

/// Returns a parser of an optional value, which passes a text that is not empty to `parse`.
pub fn env_option_with<T, E: Display>(
    parse: impl Fn(&str) -> Result<T, E> + Clone,
) -> impl Fn(&str) -> Result<EnvOption<T>, String> + Clone {
    move |text| match text {
        "" => Ok(EnvOption(None)),
        text => parse(text).map(|value| EnvOption(Some(value))).map_err(|error| error.to_string()),
    }
}

/// Parses a boolean; an empty text is false.
///
/// clap's own parsers do not fit: one rejects an empty text, the other adds Unicode tables to the binary.
pub fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "" | "0" | "no" | "false" => Ok(false),
        "1" | "yes" | "true" => Ok(true),
        _ => Err("expected true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_value_is_not_set() {
        assert_eq!("".parse(), Ok(EnvOption::<u16>(None)));
        assert_eq!("7".parse(), Ok(EnvOption(Some(7_u16))));
        assert!("x".parse::<EnvOption<u16>>().is_err());
        assert_eq!(env_option_with(str::parse::<u8>)("2"), Ok(EnvOption(Some(2))));
        assert_eq!(parse_bool(""), Ok(false));
    }
}
