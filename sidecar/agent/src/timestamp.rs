//! Timestamps of the engine.

const NANOS: u64 = 1_000_000_000;

/// Parses an RFC 3339 timestamp such as `2026-02-03T04:05:06.789Z` to nanoseconds of Unix time. Returns `None` if it is
/// invalid or before 1970: the engine writes year 1 for events that have not happened.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let clock_ends = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(clock_ends);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_valid = (1970..=2500).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = match (zone.get(..1)?, zone.get(1..)?) {
        ("Z" | "z", "") => seconds,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let offset = number(hours)? * 3_600 + number(minutes)? * 60;
            if sign == "+" { seconds.checked_sub(offset)? } else { seconds + offset }
        }
    };
    Some(seconds * NANOS + fraction_nanos(fraction)?)
}

/// Days since 1 January 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Counts years from March, so that a leap day is the last day of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // Days from 1 March of year 0 to 1 January 1970.
    days - 719_468
}

fn fraction_nanos(digits: &str) -> Option<u64> {
    let digits = digits.get(..9).unwrap_or(digits);
    if digits.is_empty() {
        return Some(0);
    }
    let missing = 9 - u32::try_from(digits.len()).ok()?;
    Some(number(digits)? * 10_u64.pow(missing))
}

/// Parses up to nine digits.
fn number(digits: &str) -> Option<u64> {
    let fits = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_count_from_1970() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29T12:00:00Z", 951_825_600, 0),
            ("2000-03-01T00:00:00Z", 951_868_800, 0),
            ("2026-11-25T21:55:26.123456789Z", 1_795_643_726, 123_456_789),
            ("2026-11-25T21:55:26.5Z", 1_795_643_726, 500_000_000),
            ("2026-11-25T23:55:26+02:00", 1_795_643_726, 0),
            ("2026-11-25T19:25:26.000-02:30", 1_795_643_726, 0),
        ] {
            assert_eq!(parse(text), Some(seconds * NANOS + nanos), "{text}");
        }
    }

    #[test]
    fn invalid_or_early_timestamps_are_none() {
        for text in
            ["0001-01-01T00:00:00Z", "", "now", "2026-11-25", "2026-13-01T00:00:00Z", "2026-1-1T1:1:1é", "é"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
