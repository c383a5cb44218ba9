//! Random numbers that are not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number generator; the same seed gives the same sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a generator with a random seed.
    pub(crate) fn with_random_seed() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// Returns the next number.
    pub(crate) const fn next(&mut self) -> u64 {
        runtime::splitmix64(&mut self.0)
    }

    /// Returns the next number below `limit`, or 0 if `limit` is 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * limit as u128) >> 64) as u64
    }
}

/// Returns up to 40 characters, most of them from `alphabet`.
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
    fn numbers_are_uniform_and_below_the_limit() {
        let mut random = Random::with_random_seed();
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(random.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 700), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn seed_determines_the_sequence() {
        let (mut first, mut second) = (Random::new(7), Random::new(7));
        assert_eq!(first.next(), second.next());
        assert_ne!(first.next(), Random::new(8).next());
    }
}
