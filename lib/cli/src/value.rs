//! Values of flags and variables. An empty one means "not given", since that is what the templates of a stack file leave
//! where there is nothing to say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A value that may be left out or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvOption<T>(pub Option<T>);

/// Parses a value that may be empty.
pub fn env_option<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<EnvOption<T>, String> {
    env_option_with(|text| text.parse().map_err(|error: T::Err| error.to_string()))(text)
}

/// Parses a value that may be empty, and otherwise is for `parse`.
pub fn env_option_with<T>(
    parse: impl Fn(&str) -> Result<T, String> + Clone,
) -> impl Fn(&str) -> Result<EnvOption<T>, String> + Clone {
    move |text| Ok(EnvOption(if text.is_empty() { None } else { Some(parse(text)?) }))
}

/// More than a day is a slip of the pen, and far enough from what a clock can hold.
const LONGEST_TIME: Duration = Duration::from_hours(24);

/// Parses a time of at most a day.
pub fn time(text: &str) -> Result<Duration, String> {
    match crate::duration(text)? {
        time if time > LONGEST_TIME => Err("at most 24h is expected".to_owned()),
        time => Ok(time),
    }
}

/// Parses a time of at most a day that is not none.
pub fn nonzero(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("more than no time is expected".to_owned()),
        time => Ok(time),
    }
}

/// Parses a yes or no, which may be empty.
///
/// Not clap's own parsers: of those one refuses an empty value, and the other brings Unicode's tables along.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "" | "0" | "no" | "false" => Ok(false),
        "1" | "yes" | "true" => Ok(true),
        _ => Err("true or false is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_none() {
        assert_eq!(env_option::<u16>(""), Ok(EnvOption(None)));
        assert_eq!(env_option::<u16>("7"), Ok(EnvOption(Some(7))));
        assert!(env_option::<u16>("x").is_err());
        assert_eq!(env_option_with(time)("2s"), Ok(EnvOption(Some(Duration::from_secs(2)))));
        assert_eq!(parse_bool(""), Ok(false));
    }

    #[test]
    fn times_have_bounds() {
        assert!(time("25h").unwrap_err().contains("at most 24h"));
        assert!(nonzero("0s").unwrap_err().contains("more than no time"));
        assert_eq!(nonzero("24h"), Ok(LONGEST_TIME));
    }
}
