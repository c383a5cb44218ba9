//! Byte ranges of HTTP.

use std::ops::Range;

/// The bytes that a `Range` header requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// All bytes: no range, several ranges, or an invalid one.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes beyond the end.
    Unsatisfiable,
}

/// Parses a `Range` header for content of `size` bytes.
pub fn parse(header: &str, size: u64) -> ByteRange {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return ByteRange::All };
    let Some((first, last)) = range.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return ByteRange::All;
    };
    match (first.is_empty(), last.is_empty(), number(first), number(last)) {
        (true, false, _, Some(count)) if count > 0 && size > 0 => {
            ByteRange::Part(size.saturating_sub(count)..size)
        }
        (false, false, Some(first), Some(last)) if last < first => ByteRange::All,
        (false, false, Some(first), Some(last)) if first < size => {
            ByteRange::Part(first..last.saturating_add(1).min(size))
        }
        (false, true, Some(first), _) if first < size => ByteRange::Part(first..size),
        (true, false, _, Some(_)) | (false, false, Some(_), Some(_)) | (false, true, Some(_), _) => {
            ByteRange::Unsatisfiable
        }
        _ => ByteRange::All,
    }
}

/// Parses a number; one that is too large is beyond any end.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn ranges_are_limited_to_the_content() {
        for (header, size, expected) in [
            ("bytes=0-0", 40, ByteRange::Part(0..1)),
            ("bytes=5-9", 40, ByteRange::Part(5..10)),
            ("bytes=5-", 40, ByteRange::Part(5..40)),
            ("bytes=-5", 40, ByteRange::Part(35..40)),
            ("bytes=-50", 40, ByteRange::Part(0..40)),
            ("bytes=39-99999999999999999999", 40, ByteRange::Part(39..40)),
            ("bytes=40-", 40, ByteRange::Unsatisfiable),
            ("bytes=99999999999999999999-", 40, ByteRange::Unsatisfiable),
            ("bytes=-0", 40, ByteRange::Unsatisfiable),
            ("bytes=-1", 0, ByteRange::Unsatisfiable),
            ("bytes=0-", 0, ByteRange::Unsatisfiable),
            ("bytes=9-5", 40, ByteRange::All),
            ("bytes=0-1,3-4", 40, ByteRange::All),
            ("bytes=-", 40, ByteRange::All),
            ("bytes=a-b", 40, ByteRange::All),
            ("lines=1-2", 40, ByteRange::All),
            ("", 40, ByteRange::All),
        ] {
            assert_eq!(parse(header, size), expected, "{header} of {size}");
        }
    }

    #[test]
    fn part_is_never_empty_or_beyond_the_end() {
        let mut random = Random::new(6);
        for _ in 0..20_000 {
            let text = format!("bytes={}", gibberish(&mut random, "0123456789-"));
            let size = random.next() >> random.below(64);
            if let ByteRange::Part(part) = parse(&text, size) {
                assert!(part.start < part.end && part.end <= size, "{text} of {size}");
            }
        }
    }
}
