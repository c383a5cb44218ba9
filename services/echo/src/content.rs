//! Content of bodies with a given size: text, noise.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use runtime::Bytes;

use crate::body_stream::{Source, Step};
use crate::random::Random;

/// The text that whoami repeats.
const LETTERS: &[u8; 27] = b"-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Maximum number of bytes in one step of text: nearly 16 KiB.
const TEXT_STEP: usize = LETTERS.len() * 606;

/// Maximum number of bytes in one step of noise.
const NOISE_STEP: u16 = 16 * 1024;

/// Part of whoami's text `|ABC…|`: bars at both ends and the repeated alphabet between them.
pub(crate) struct Text {
    size: u64,
    part: Range<u64>,
}

impl Text {
    /// Returns this part of a text of `size` bytes.
    pub(crate) fn new(size: u64, part: Range<u64>) -> Self {
        Self { size, part: part.start..part.end.min(size) }
    }
}

impl Source for Text {
    fn step(&mut self, _elapsed: Duration) -> Step {
        let Range { start, end } = self.part;
        if start >= end {
            return Step::End;
        }
        let last = self.size - 1;
        if start == 0 || start == last {
            self.part.start += 1;
            return Step::Bytes(Bytes::from_static(b"|"));
        }
        let text = letters();
        let offset = usize::try_from(start % LETTERS.len() as u64).unwrap_or_default();
        let left = usize::try_from(end.min(last) - start).unwrap_or(usize::MAX);
        let bytes = text.slice(offset..left.saturating_add(offset).min(text.len()));
        self.part.start += bytes.len() as u64;
        Step::Bytes(bytes)
    }

    fn left(&self) -> Option<u64> {
        Some(self.part.end.saturating_sub(self.part.start))
    }
}

/// Returns the bytes that all bodies share.
fn letters() -> &'static Bytes {
    static BYTES: OnceLock<Bytes> = OnceLock::new();
    BYTES.get_or_init(|| LETTERS.repeat(TEXT_STEP / LETTERS.len()).into())
}

/// Incompressible bytes, the same for the same seed.
pub(crate) struct Noise {
    random: Random,
    left: u64,
}

impl Noise {
    pub(crate) const fn new(seed: u64, size: u64) -> Self {
        Self { random: Random::new(seed), left: size }
    }
}

impl Source for Noise {
    fn step(&mut self, _elapsed: Duration) -> Step {
        let size = self.left.min(NOISE_STEP.into());
        if size == 0 {
            return Step::End;
        }
        self.left -= size;
        let mut bytes = Vec::with_capacity(NOISE_STEP.into());
        while (bytes.len() as u64) < size {
            bytes.extend(self.random.next().to_le_bytes());
        }
        bytes.truncate(usize::try_from(size).unwrap_or_default());
        Step::Bytes(bytes.into())
    }

    fn left(&self) -> Option<u64> {
        Some(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut source: impl Source) -> Vec<u8> {
        let mut bytes = Vec::new();
        let size = source.left().unwrap();
        while let Step::Bytes(step) = source.step(Duration::ZERO) {
            bytes.extend(step);
            assert_eq!(source.left(), Some(size - bytes.len() as u64));
        }
        bytes
    }

    fn text(size: u64) -> Vec<u8> {
        all(Text::new(size, 0..size))
    }

    #[test]
    fn text_matches_whoami() {
        assert_eq!(text(0), b"");
        assert_eq!(text(1), b"|");
        assert_eq!(text(2), b"||");
        assert_eq!(text(3), b"|A|");
        assert_eq!(text(40), b"|ABCDEFGHIJKLMNOPQRSTUVWXYZ-ABCDEFGHIJK|");
    }

    #[test]
    fn text_has_the_requested_size() {
        let step = TEXT_STEP as u64;
        for size in [26, 27, 28, step - 1, step, step + 1, step + 2, 3 * step + 5] {
            let text = text(size);
            assert_eq!(text.len() as u64, size);
            for (place, &byte) in text.iter().enumerate().skip(1).take(text.len() - 2) {
                assert_eq!(byte, LETTERS[place % 27], "{place} of {size}");
            }
        }
    }

    #[test]
    fn part_of_text_has_the_right_letters() {
        let whole = text(100);
        for part in [0..1, 0..100, 5..10, 26..55, 98..100, 99..100, 50..50] {
            let expected = &whole[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()];
            assert_eq!(all(Text::new(100, part.clone())), expected, "{part:?}");
        }
        assert_eq!(all(Text::new(3, 0..9)), b"|A|");
    }

    #[test]
    fn noise_depends_on_size_and_seed() {
        for size in [0, 1, 7, 8, 9, u64::from(NOISE_STEP), u64::from(NOISE_STEP) + 1] {
            let noise = all(Noise::new(1, size));
            assert_eq!(noise.len() as u64, size);
            assert_eq!(noise, all(Noise::new(1, size)));
        }
        assert_ne!(all(Noise::new(1, 8)), all(Noise::new(2, 8)));
    }
}
