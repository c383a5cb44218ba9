//! Durations: one grammar for flags, and Go's.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::time::Duration;

/// Maximum number of digits of a number in a flag's duration.
const MAX_DIGITS: usize = 9;

/// Maximum length of a flag's duration in bytes. With [`MAX_DIGITS`] it keeps every sum far below the limits of
/// [`Duration`] and `Instant`.
const MAX_BYTES: usize = 64;

/// Maximum of [`bounded_duration`] and [`positive_duration`].
const MAX: Duration = Duration::from_hours(24);

/// Maximum Go duration in nanoseconds: Go counts them in an `int64`.
const GO_MAX: u128 = i64::MAX as u128;

/// Units and their lengths in nanoseconds.
const UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Error of the duration parsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Empty text.
    Empty,
    /// More than 64 bytes.
    TooLong,
    /// A number with more than 9 digits.
    TooManyDigits(String),
    /// Text where a number should be.
    MissingNumber(String),
    /// A number with a decimal point.
    Fraction(String),
    /// A number without a unit.
    MissingUnit(String),
    /// A word that is not a unit.
    UnknownUnit(String),
    /// Zero, where a positive duration is expected.
    Zero,
    /// More than 24 hours.
    AboveMaximum,
    /// Not a duration that Go accepts.
    NotGo,
}

impl Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty value")?,
            Self::TooLong => write!(f, "more than {MAX_BYTES} bytes")?,
            Self::TooManyDigits(number) => write!(f, "{number} has more than {MAX_DIGITS} digits")?,
            Self::MissingNumber(rest) => write!(f, "missing number before {rest:?}")?,
            Self::Fraction(number) => {
                write!(f, "{number} is a fraction (use whole numbers and smaller units, as in 1s 500ms)")?;
            }
            Self::MissingUnit(number) => write!(f, "missing unit after {number}")?,
            Self::UnknownUnit(name) => {
                write!(f, "unknown unit {name:?} (use ns, us, ms, s, m, h or d)")?;
            }
            Self::Zero => return f.write_str("must be greater than zero"),
            Self::AboveMaximum => return f.write_str("must be at most 24h"),
            Self::NotGo => return f.write_str("expected a duration such as 10ms, 1.5s or 1m30s"),
        }
        f.write_str("; expected a duration such as 100ms, 4s or 1m 30s")
    }
}

impl Error for DurationError {}

/// Parses a duration of a flag or a query parameter: `100ms`, `4s`, `1m 30s`.
///
/// The value is the sum of whole numbers of up to 9 digits, each with a unit: `ns`, `us`, `ms`, `s`, `m`, `h` or `d`.
/// Spaces are allowed around numbers and units. The maximum length is 64 bytes.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    if text.len() > MAX_BYTES {
        return Err(DurationError::TooLong);
    }
    let mut rest = text.trim_start_matches(' ');
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (digits, after) = split_digits(rest);
        if digits.len() > MAX_DIGITS {
            return Err(DurationError::TooManyDigits(digits.to_owned()));
        }
        let count: u32 = digits.parse().map_err(|_| DurationError::MissingNumber(rest.to_owned()))?;
        if let Some(fraction) = after.strip_prefix('.') {
            return Err(DurationError::Fraction(format!("{digits}.{}", split_digits(fraction).0)));
        }
        let after = after.trim_start_matches(' ');
        let (name, after) = split_while(after, |c| c.is_ascii_alphabetic());
        let unit = match unit(name) {
            Some(unit) => Duration::from_nanos(unit),
            None if name.is_empty() => return Err(DurationError::MissingUnit(digits.to_owned())),
            None => return Err(DurationError::UnknownUnit(name.to_owned())),
        };
        sum = sum.saturating_add(unit.saturating_mul(count));
        rest = after.trim_start_matches(' ');
    }
    Ok(sum)
}

/// Parses a [`duration`] of at most 24 hours.
pub fn bounded_duration(text: &str) -> Result<Duration, DurationError> {
    let duration = duration(text)?;
    if duration > MAX { Err(DurationError::AboveMaximum) } else { Ok(duration) }
}

/// Parses a [`duration`] of at most 24 hours that is not zero.
pub fn positive_duration(text: &str) -> Result<Duration, DurationError> {
    let duration = bounded_duration(text)?;
    if duration.is_zero() { Err(DurationError::Zero) } else { Ok(duration) }
}

/// Parses a duration as Go's `time.ParseDuration` does: `300ms`, `1.5s`, `1h2m`, `0`.
///
/// A negative duration becomes zero, since Go's `Sleep` treats both alike.
pub fn go_duration(text: &str) -> Result<Duration, DurationError> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let nanoseconds = if rest == "0" { Some(0) } else { go_nanoseconds(rest) };
    let nanoseconds = nanoseconds.ok_or(DurationError::NotGo)?;
    Ok(Duration::from_nanos(if negative { 0 } else { nanoseconds }))
}

/// Writes a duration in Go's form, as short as [`go_duration`] reads it back: `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn format_go_duration(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanoseconds {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanoseconds}ns"),
            1_000..1_000_000 => decimal(nanoseconds / 1_000, nanoseconds % 1_000, 3) + "us",
            _ => decimal(nanoseconds / 1_000_000, nanoseconds % 1_000_000, 6) + "ms",
        };
    }
    let mut text = String::new();
    for (count, unit) in [(seconds / 3_600, "h"), (seconds / 60 % 60, "m")] {
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    if seconds % 60 > 0 || nanoseconds > 0 {
        text += &decimal(seconds % 60, nanoseconds, 9);
        text += "s";
    }
    text
}

fn go_nanoseconds(mut text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u128;
    while !text.is_empty() {
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (name, rest) = split_while(rest, |c| c != '.' && !c.is_ascii_digit());
        let unit = u128::from(unit(name).filter(|_| name != "d")?);
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        sum += u128::from(whole) * unit + fraction_of(unit, fraction);
        if sum > GO_MAX {
            return None;
        }
        text = rest;
    }
    u64::try_from(sum).ok()
}

/// Computes `0.fraction` of `unit`. Digits after the 18th are too small to count in any unit.
fn fraction_of(unit: u128, fraction: &str) -> u128 {
    let (mut value, mut scale) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

fn unit(name: &str) -> Option<u64> {
    UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, nanoseconds)| *nanoseconds)
}

fn split_digits(text: &str) -> (&str, &str) {
    split_while(text, |c| c.is_ascii_digit())
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn decimal(whole: impl Display, fraction: u32, places: usize) -> String {
    let text = format!("{whole}.{fraction:0places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_with_or_without_spaces() {
        for (text, expected) in [
            ("0s", Duration::ZERO),
            ("1ns", Duration::from_nanos(1)),
            ("007us", Duration::from_micros(7)),
            ("100ms", Duration::from_millis(100)),
            ("1m 30s", Duration::from_secs(90)),
            ("1m30s", Duration::from_secs(90)),
            (" 1 m  30 s ", Duration::from_secs(90)),
            ("1s 1s", Duration::from_secs(2)),
            ("2h", Duration::from_hours(2)),
            ("1d", Duration::from_hours(24)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected_with_the_cause_and_an_example() {
        for (text, cause) in [
            ("", "empty value"),
            ("  ", "empty value"),
            ("5", "missing unit after 5"),
            ("5 parsecs", "unknown unit \"parsecs\" (use ns, us, ms, s, m, h or d)"),
            ("1 2s", "missing unit after 1"),
            ("5S", "unknown unit \"S\""),
            ("1.5s", "1.5 is a fraction (use whole numbers and smaller units, as in 1s 500ms)"),
            ("2m 0.25h", "0.25 is a fraction"),
            ("-1s", "missing number before \"-1s\""),
            ("s", "missing number before \"s\""),
            ("1s,2s", "missing number before \",2s\""),
            ("1\u{b5}s", "missing unit after 1"),
            ("1s\n", "missing number before \"\\n\""),
            ("1234567890s", "1234567890 has more than 9 digits"),
        ] {
            let error = duration(text).unwrap_err().to_string();
            assert!(error.starts_with(cause), "{text:?}: {error}");
            assert!(error.ends_with("; expected a duration such as 100ms, 4s or 1m 30s"), "{error}");
        }
    }

    #[test]
    fn longest_duration_can_be_added_to_a_clock() {
        let longest = duration(&"999999999d".repeat(6)).unwrap();
        assert!(std::time::Instant::now().checked_add(longest).is_some(), "{longest:?}");
        assert_eq!(duration(&"9d".repeat(33)), Err(DurationError::TooLong));
        assert!(duration("18446744073709551615s 1000ms").is_err(), "more seconds than u64 holds");
    }

    #[test]
    fn bounds_are_checked() {
        assert_eq!(bounded_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(bounded_duration("25h"), Err(DurationError::AboveMaximum));
        assert_eq!(positive_duration("24h"), Ok(MAX));
        assert_eq!(positive_duration("0s"), Err(DurationError::Zero));
        assert_eq!(positive_duration("24h 1ns"), Err(DurationError::AboveMaximum));
    }

    #[test]
    fn go_durations_have_the_values_of_go() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("+5s", 5_000_000_000),
            ("-5s", 0),
            ("5.0s", 5_000_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1s.5s", 1_500_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("-2us", 0),
            ("1.5h", 5_400_000_000_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("2562047h", 2_562_047 * 3_600_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(go_duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn durations_that_go_rejects_are_rejected() {
        for text in [
            "",
            "1",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 s",
            "1s ",
            "1s2",
            "1sm",
            "s1",
            "1.2.3s",
            "2562048h",
            "99999999h",
            "99999999999999999999s",
            "9223372036854775808ns",
            "9223372036854775807ns1ns",
        ] {
            assert_eq!(go_duration(text), Err(DurationError::NotGo), "{text}");
        }
    }

    #[test]
    fn formatted_go_durations_are_read_back() {
        let mut nanoseconds = 1_u64;
        for step in 0..10_000_u64 {
            nanoseconds = nanoseconds.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(step);
            let duration = Duration::from_nanos((nanoseconds >> 1) >> (step % 63));
            let text = format_go_duration(duration);
            assert_eq!(go_duration(&text), Ok(duration), "{text}");
        }
        assert_eq!(format_go_duration(Duration::from_millis(90_500)), "1m30.5s");
        assert_eq!(format_go_duration(Duration::from_hours(2)), "2h");
        assert_eq!(format_go_duration(Duration::from_micros(1_500)), "1.5ms");
    }
}
