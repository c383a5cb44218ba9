//! Parameters of paths and queries: counts, sizes and durations.

use std::fmt::Display;
use std::time::Duration;

use parse::{format_go_duration, go_duration};

/// Parses a number of at most `max`; `what` names what it counts in errors.
pub fn count(text: &str, max: u64, what: &str) -> Result<u64, String> {
    number(text)
        .filter(|number| *number <= max)
        .ok_or_else(|| invalid(text, &format_args!("a number of {what} from 0 to {max}")))
}

/// Parses digits; the standard parser accepts a sign, too.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Parses a seed: any `u64`.
pub fn seed(text: &str) -> Result<u64, String> {
    number(text).ok_or_else(|| invalid(text, &"a whole number"))
}

/// Parses a size of at most `max` bytes, with an optional unit: `10`, `10KB`, `10mb`.
pub fn size(text: &str, max: u64) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let size = number(digits).zip(factor(unit)).and_then(|(number, unit)| number.checked_mul(unit));
    size.filter(|size| *size <= max).ok_or_else(|| {
        invalid(text, &format_args!("a size such as 10, 10KB or 1MB of at most {max} bytes (--max-bytes)"))
    })
}

/// Returns the number of bytes of a unit.
pub fn factor(unit: &str) -> Option<u64> {
    ["", "kb", "mb", "gb", "tb"]
        .iter()
        .position(|name| unit.eq_ignore_ascii_case(name))
        .and_then(|place| u32::try_from(place).ok())
        .map(|place| 1 << (10 * place))
}

/// Parses a duration in Go's form.
pub fn duration(text: &str) -> Result<Duration, String> {
    go_duration(text).map_err(|error| format!("{text:?}: {error}"))
}

/// Parses a duration of at most `max`.
pub fn time(text: &str, max: Duration) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > max { Err(invalid(text, &at_most(max))) } else { Ok(time) }
}

/// Parses [seconds], or a range of them such as `2s-5s`.
pub fn times(text: &str, max: Duration) -> Result<(Duration, Duration), String> {
    match text.split_once('-').filter(|(first, _)| !first.is_empty()) {
        None => seconds(text, max).map(|time| (time, time)),
        Some((first, last)) => {
            let (first, last) = (seconds(first, max)?, seconds(last, max)?);
            if first > last {
                return Err(invalid(text, &"the shorter duration first"));
            }
            Ok((first, last))
        }
    }
}

/// Parses seconds without a unit, or a duration.
pub fn seconds(text: &str, max: Duration) -> Result<Duration, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number {
        time(&format!("{text}s"), max)
            .map_err(|_| invalid(text, &format_args!("seconds, or {}", at_most(max))))
    } else {
        time(text, max)
    }
}

/// Describes the expected duration in errors.
pub fn at_most(max: Duration) -> String {
    format!("a duration of at most {} (--max-delay)", format_go_duration(max))
}

fn invalid(text: &str, expected: &dyn Display) -> String {
    format!("{text:?}: expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn sizes_have_optional_binary_units() {
        for (text, expected) in [("0", 0), ("10", 10), ("1KB", 1024), ("2mb", 2 << 20), ("1Tb", 1 << 40)] {
            assert_eq!(size(text, u64::MAX), Ok(expected), "{text}");
        }
        for text in ["", "KB", "-1", "+1", "1 KB", "1KiB", "99999999999999999999", "16777216TB"] {
            assert!(
                size(text, u64::MAX).unwrap_err().starts_with(&format!("{text:?}: expected a size such as")),
                "{text}"
            );
        }
        assert_eq!(
            size("11", 10).unwrap_err(),
            "\"11\": expected a size such as 10, 10KB or 1MB of at most 10 bytes (--max-bytes)"
        );
    }

    #[test]
    fn durations_may_be_ranges() {
        assert_eq!(times("10ms", MINUTE), Ok((Duration::from_millis(10), Duration::from_millis(10))));
        assert_eq!(times("2s-5s", MINUTE), Ok((Duration::from_secs(2), Duration::from_secs(5))));
        assert_eq!(times("0.5-1", MINUTE), Ok((Duration::from_millis(500), Duration::from_secs(1))));
        for (text, named) in [
            ("5s-2s", "\"5s-2s\": expected the shorter duration first"),
            ("2x-5s", "\"2x\": expected a duration such as"),
            ("2s-", "\"\": expected seconds, or a duration of at most 1m"),
            ("1s-61s", "\"61s\": expected a duration of at most 1m (--max-delay)"),
            ("", "\"\": expected seconds, or a duration of at most 1m"),
        ] {
            let error = times(text, MINUTE).unwrap_err();
            assert!(error.starts_with(named), "{text}: {error}");
        }
    }

    #[test]
    fn seconds_have_an_optional_unit() {
        assert_eq!(seconds("1.5", MINUTE), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds("10ms", MINUTE), Ok(Duration::from_millis(10)));
        for text in ["", ".", "1.2.3", "61"] {
            let error = seconds(text, MINUTE).unwrap_err();
            assert!(
                error.starts_with(&format!("{text:?}: expected seconds, or a duration of at most 1m")),
                "{error}"
            );
        }
    }

    #[test]
    fn counts_have_a_maximum() {
        assert_eq!(count("10", 10, "lines"), Ok(10));
        for text in ["", "11", "-1", "+1", "1.0"] {
            let expected = format!("{text:?}: expected a number of lines from 0 to 10");
            assert_eq!(count(text, 10, "lines"), Err(expected));
        }
    }

    #[test]
    fn arbitrary_text_never_panics() {
        let mut random = Random::new(11);
        for _ in 0..20_000 {
            let text = gibberish(&mut random, "0123456789-.smhkbKB");
            assert!(
                times(&text, MINUTE).is_ok_and(|(first, last)| first <= last && last <= MINUTE)
                    || times(&text, MINUTE).is_err()
            );
            assert!(size(&text, 1000).unwrap_or(0) <= 1000);
            assert!(seconds(&text, MINUTE).unwrap_or_default() <= MINUTE);
        }
    }
}
