//! Durations as Go writes them.

/// Nanoseconds: the units of Go's durations.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Whether Go's `time.ParseDuration` would take it: decimal numbers, each with a unit, after a sign perhaps, that come to
/// no more nanoseconds than an `int64` holds.
pub fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut total: u64 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let Some(part) = nanoseconds(number, unit) else { return false };
        let Some(sum) = total.checked_add(part) else { return false };
        (total, rest) = (sum, after);
        parts += 1;
    }
    // Of negative ones Go takes one more, which is nobody's.
    parts > 0 && i64::try_from(total).is_ok()
}

/// `number` of `unit`, with what a fraction comes to rounded down.
fn nanoseconds(number: &str, unit: &str) -> Option<u64> {
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(*unit)? };
    let mut scale = *unit;
    let mut sum = 0;
    for digit in fraction.bytes() {
        scale /= 10;
        sum += scale * u64::from(digit - b'0');
    }
    whole.checked_add(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for good in [
            "1s",
            "1m30s",
            "100ms",
            "1.5h",
            "-2us",
            "+3µs",
            ".5s",
            "5.s",
            "1s.5s",
            "2562047h",
            "0.3333333333333333333h",
        ] {
            assert!(is_go_duration(good), "{good}");
        }
        for bad in [
            "",
            "1",
            "s",
            "1.2.3s",
            "1 s",
            "1d",
            "1s2",
            ".",
            ".s",
            "-",
            "1sm",
            "s1",
            "2562048h",
            "99999999999999999999s",
            "9223372036854775807ns1ns",
        ] {
            assert!(!is_go_duration(bad), "{bad}");
        }
    }
}
