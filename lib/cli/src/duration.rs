//! Durations as people write them.

use std::time::Duration;

/// Most digits that a number may have, and ...
const DIGITS: usize = 9;

/// ... most bytes of the whole. So no sum comes near to what a [`Duration`], or a clock that one is added to, can hold.
const BYTES: usize = 64;

const UNITS: [(&str, Duration); 7] = [
    ("ns", Duration::from_nanos(1)),
    ("us", Duration::from_micros(1)),
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_mins(1)),
    ("h", Duration::from_hours(1)),
    ("d", Duration::from_hours(24)),
];

/// Parses a duration with its unit, for clap and for query parameters: `100ms`, `4s`, `1m 30s`.
///
/// Whole numbers of up to 9 digits, each with `ns`, `us`, `ms`, `s`, `m`, `h` or `d`, are added up; spaces may stand
/// around both. The text has at most 64 bytes.
pub fn duration(text: &str) -> Result<Duration, String> {
    sum(text).map_err(|why| format!("{why}; a duration has a unit, such as 100ms, 4s or 1m 30s"))
}

fn sum(text: &str) -> Result<Duration, String> {
    if text.len() > BYTES {
        return Err(format!("it is longer than {BYTES} bytes"));
    }
    let mut rest = trimmed(text);
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        if digits.len() > DIGITS {
            return Err(format!("{digits} has more than {DIGITS} digits"));
        }
        let number: u32 = digits.parse().map_err(|_| format!("a number is missing before {rest:?}"))?;
        let (name, after) = split(trimmed(after), |c| c.is_ascii_alphabetic());
        let Some((_, unit)) = UNITS.iter().find(|(unit, _)| *unit == name) else {
            let units = UNITS.map(|(unit, _)| unit).join(", ");
            return Err(format!("{name:?} behind {digits} is none of the units {units}"));
        };
        sum = sum.saturating_add(unit.saturating_mul(number));
        rest = trimmed(after);
    }
    Ok(sum)
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches(' ')
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
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
    fn what_is_wrong_is_said_with_an_example_of_what_is_right() {
        for (text, fault) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("5", "\"\" behind 5 is none of the units ns, us"),
            ("5 parsecs", "\"parsecs\" behind 5"),
            ("1 2s", "\"\" behind 1 "),
            ("5S", "\"S\" behind 5"),
            ("1.5s", "\"\" behind 1 "),
            ("-1s", "a number is missing before \"-1s\""),
            ("s", "a number is missing before \"s\""),
            ("1s,2s", "a number is missing before \",2s\""),
            ("1\u{b5}s", "\"\" behind 1 "),
            ("1s\n", "a number is missing before \"\\n\""),
            ("1234567890s", "1234567890 has more than 9 digits"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.starts_with(fault), "{text:?}: {error}");
            assert!(error.ends_with("; a duration has a unit, such as 100ms, 4s or 1m 30s"), "{error}");
        }
    }

    #[test]
    fn no_duration_is_too_long_for_a_clock() {
        let longest = "999999999d".repeat(6);
        let duration = duration(&longest).unwrap();
        assert!(std::time::Instant::now().checked_add(duration).is_some(), "{duration:?}");
        assert!(super::duration(&"9d".repeat(33)).unwrap_err().starts_with("it is longer than 64 bytes"));
        // These are more seconds than there can be.
        assert!(super::duration("18446744073709551615s 1000ms").is_err());
    }
}
