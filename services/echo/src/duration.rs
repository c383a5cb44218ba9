//! Durations as Go writes them, which is what whoami's clients send: `300ms`, `1.5s`, `1h2m`.

use std::fmt::{Display, Write};
use std::time::Duration;

/// More than that Go does not count: 2⁶³-1 nanoseconds.
const MOST: u128 = i64::MAX as u128;

/// What is said of a text that is none.
pub(crate) const EXPECTED: &str = "a duration such as 10ms, 1.5s or 1m30s is expected";

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads one: numbers, each with its unit, are added up; `0` needs none. One below zero is no time at all, as it is to
/// Go's `Sleep`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let nanoseconds = if rest == "0" { Some(0) } else { sum(rest) };
    match nanoseconds {
        Some(_) if negative => Ok(Duration::ZERO),
        Some(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        None => Err(format!("{text:?}: {EXPECTED}")),
    }
}

fn sum(mut text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u128;
    while !text.is_empty() {
        let (whole, rest) = digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        sum += u128::from(whole) * u128::from(size) + part(fraction, size);
        if sum > MOST {
            return None;
        }
        text = rest;
    }
    u64::try_from(sum).ok()
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// So much of a unit as comes behind the point; digits that no unit here is large enough for do not count.
fn part(fraction: &str, size: u64) -> u128 {
    let mut part = 0_u128;
    let mut scale = 1_u128;
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    part * u128::from(size) / scale
}

/// Writes one, as short as [`parse`] reads it again: `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn format(duration: Duration) -> String {
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
    for (size, unit) in [(3_600, "h"), (60, "m")] {
        let count = if size == 60 { seconds / 60 % 60 } else { seconds / size };
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

fn decimal(whole: impl Display, fraction: u32, places: usize) -> String {
    let text = format!("{whole}.{fraction:0places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn what_go_reads_is_read_alike() {
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
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_by_name() {
        for text in [
            "",
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
            "9223372036854775808ns",
            "99999999h",
        ] {
            assert_eq!(parse(text), Err(format!("{text:?}: {EXPECTED}")));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let duration = Duration::from_nanos((random.next() >> 1) >> random.below(63));
            let text = format(duration);
            assert_eq!(parse(&text), Ok(duration), "{text}");
        }
        assert_eq!(format(Duration::from_millis(90_500)), "1m30.5s");
        assert_eq!(format(Duration::from_hours(2)), "2h");
        assert_eq!(format(Duration::from_micros(1_500)), "1.5ms");
    }

    #[test]
    fn no_text_is_too_strange() {
        let mut random = Random::new(2);
        for _ in 0..20_000 {
            let text = gibberish(&mut random, "0123456789.-+nsuhm\u{b5} ");
            if let Ok(duration) = parse(&text) {
                assert_eq!(parse(&format(duration)), Ok(duration), "{text}");
            }
        }
    }
}
