//! HTTP's byte ranges.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: there is no range, or several, or none that is understood.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that there are not.
    Unsatisfiable,
}

/// Reads a `Range` header for something of so many bytes.
pub fn parse(header: &str, size: u64) -> Asked {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Asked::All };
    let Some((first, last)) = range.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Asked::All;
    };
    match (first.is_empty(), last.is_empty(), number(first), number(last)) {
        (true, false, _, Some(count)) if count > 0 && size > 0 => {
            Asked::Part(size.saturating_sub(count)..size)
        }
        (false, false, Some(first), Some(last)) if last < first => Asked::All,
        (false, false, Some(first), Some(last)) if first < size => {
            Asked::Part(first..last.saturating_add(1).min(size))
        }
        (false, true, Some(first), _) if first < size => Asked::Part(first..size),
        (true, false, _, Some(_)) | (false, false, Some(_), Some(_)) | (false, true, Some(_), _) => {
            Asked::Unsatisfiable
        }
        _ => Asked::All,
    }
}

/// More than can be counted is past any end.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        for (header, size, expected) in [
            ("bytes=0-0", 40, Asked::Part(0..1)),
            ("bytes=5-9", 40, Asked::Part(5..10)),
            ("bytes=5-", 40, Asked::Part(5..40)),
            ("bytes=-5", 40, Asked::Part(35..40)),
            ("bytes=-50", 40, Asked::Part(0..40)),
            ("bytes=39-99999999999999999999", 40, Asked::Part(39..40)),
            ("bytes=40-", 40, Asked::Unsatisfiable),
            ("bytes=99999999999999999999-", 40, Asked::Unsatisfiable),
            ("bytes=-0", 40, Asked::Unsatisfiable),
            ("bytes=-1", 0, Asked::Unsatisfiable),
            ("bytes=0-", 0, Asked::Unsatisfiable),
            ("bytes=9-5", 40, Asked::All),
            ("bytes=0-1,3-4", 40, Asked::All),
            ("bytes=-", 40, Asked::All),
            ("bytes=a-b", 40, Asked::All),
            ("lines=1-2", 40, Asked::All),
            ("", 40, Asked::All),
        ] {
            assert_eq!(parse(header, size), expected, "{header} of {size}");
        }
    }

    #[test]
    fn a_part_is_never_empty_nor_past_the_end() {
        let mut random = Random::new(6);
        for _ in 0..20_000 {
            let text = format!("bytes={}", gibberish(&mut random, "0123456789-"));
            let size = random.next() >> random.below(64);
            if let Asked::Part(part) = parse(&text, size) {
                assert!(part.start < part.end && part.end <= size, "{text} of {size}");
            }
        }
    }
}
