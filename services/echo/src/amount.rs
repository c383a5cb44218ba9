//! How many, how much and how long, as paths and queries have it.

use std::fmt::Display;
use std::time::Duration;

use parse::{format_go_duration, go_duration};

/// A whole number of at most `most`; `what` says of what, and which flag bounds it, if any does.
pub fn count(text: &str, most: u64, what: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && *number <= most);
    number.ok_or_else(|| refusal(text, &format_args!("a number of {what} from 0 to {most}")))
}

/// Any number.
pub fn seed(text: &str) -> Result<u64, String> {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| refusal(text, &"a whole number"))
}

/// A size in bytes of at most `most`, with or without a unit: `10`, `10KB`, `10mb`.
pub fn size(text: &str, most: u64) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let size =
        number.parse::<u64>().ok().zip(factor(unit)).and_then(|(number, unit)| number.checked_mul(unit));
    size.filter(|size| *size <= most).ok_or_else(|| {
        refusal(text, &format_args!("a size such as 10, 10KB or 1MB of at most {most} bytes (--max-bytes)"))
    })
}

/// How many bytes a unit has.
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

/// A time of at most `most`.
pub fn time(text: &str, most: Duration) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > most { Err(refusal(text, &at_most(most))) } else { Ok(time) }
}

/// A time, or two with a dash between for any time from the one to the other.
pub fn times(text: &str, most: Duration) -> Result<(Duration, Duration), String> {
    match text.split_once('-').filter(|(first, _)| !first.is_empty()) {
        None => time(text, most).map(|time| (time, time)),
        Some((first, last)) => {
            let (first, last) = (time(first, most)?, time(last, most)?);
            if first > last {
                return Err(refusal(text, &"the shorter time first"));
            }
            Ok((first, last))
        }
    }
}

/// Seconds, or a time with its unit.
pub fn seconds(text: &str, most: Duration) -> Result<Duration, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number {
        time(&format!("{text}s"), most)
            .map_err(|_| refusal(text, &format_args!("seconds, or {}", at_most(most))))
    } else {
        time(text, most)
    }
}

/// What is expected of a time.
pub fn at_most(most: Duration) -> String {
    format!("a time of at most {} (--max-delay)", format_go_duration(most))
}

fn refusal(text: &str, expected: &dyn Display) -> String {
    format!("{text:?}: {expected} is expected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn sizes_have_units_of_1024_or_none() {
        for (text, expected) in [("0", 0), ("10", 10), ("1KB", 1024), ("2mb", 2 << 20), ("1Tb", 1 << 40)] {
            assert_eq!(size(text, u64::MAX), Ok(expected), "{text}");
        }
        for text in ["", "KB", "-1", "+1", "1 KB", "1KiB", "99999999999999999999", "16777216TB"] {
            assert!(
                size(text, u64::MAX).unwrap_err().starts_with(&format!("{text:?}: a size such as")),
                "{text}"
            );
        }
        assert_eq!(
            size("11", 10).unwrap_err(),
            "\"11\": a size such as 10, 10KB or 1MB of at most 10 bytes (--max-bytes) is expected"
        );
    }

    #[test]
    fn times_are_one_or_from_one_to_another() {
        assert_eq!(times("10ms", MINUTE), Ok((Duration::from_millis(10), Duration::from_millis(10))));
        assert_eq!(times("2s-5s", MINUTE), Ok((Duration::from_secs(2), Duration::from_secs(5))));
        for (text, named) in [
            ("5s-2s", "\"5s-2s\": the shorter time first"),
            ("2-5s", "\"2\": expected a duration such as"),
            ("2s-", "\"\": expected a duration such as"),
            ("1s-61s", "\"61s\": a time of at most 1m (--max-delay)"),
            ("", "\"\": expected a duration such as"),
        ] {
            let fault = times(text, MINUTE).unwrap_err();
            assert!(fault.starts_with(named), "{text}: {fault}");
        }
    }

    #[test]
    fn seconds_need_no_unit() {
        assert_eq!(seconds("1.5", MINUTE), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds("10ms", MINUTE), Ok(Duration::from_millis(10)));
        for text in ["", ".", "1.2.3", "61"] {
            let fault = seconds(text, MINUTE).unwrap_err();
            assert!(fault.starts_with(&format!("{text:?}: seconds, or a time of at most 1m")), "{fault}");
        }
    }

    #[test]
    fn counts_have_digits_and_a_limit() {
        assert_eq!(count("10", 10, "lines"), Ok(10));
        for text in ["", "11", "-1", "+1", "1.0"] {
            let expected = format!("{text:?}: a number of lines from 0 to 10 is expected");
            assert_eq!(count(text, 10, "lines"), Err(expected));
        }
    }

    #[test]
    fn no_text_is_too_strange() {
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
