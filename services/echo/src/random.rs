//! Numbers that nobody foresees, though none that a secret could be made of.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A sequence of numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one each time.
    pub(crate) fn any() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// The next number: `SplitMix64`.
    pub(crate) const fn next(&mut self) -> u64 {
        runtime::splitmix64(&mut self.0)
    }

    /// The next number below `limit`, or 0 if that is 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * limit as u128) >> 64) as u64
    }
}

/// Text of up to 40 characters, most of them out of `alphabet`.
#[cfg(test)]
pub(crate) fn gibberish(random: &mut Random, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let length = random.below(40);
    let mut letter = |_| match random.below(20) {
        0 => char::from_u32(u32::try_from(random.below(0x11_0000)).unwrap()).unwrap_or('\u{fffd}'),
        _ => alphabet[usize::try_from(random.below(alphabet.len() as u64)).unwrap()],
    };
    (0..length).map(&mut letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_stay_below_the_limit() {
        let mut random = Random::any();
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(random.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 700), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn one_seed_is_one_sequence() {
        let (mut first, mut second) = (Random::new(7), Random::new(7));
        assert_eq!(first.next(), second.next());
        assert_ne!(first.next(), Random::new(8).next());
    }
}
