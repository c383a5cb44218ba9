//! Random sampling of requests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Increment of a `SplitMix64` state: 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Selects a given fraction of requests, without a pattern that a client could be in step with.
#[derive(Debug)]
pub(crate) struct Sampler {
    rate: f64,
    state: AtomicU64,
}

impl Sampler {
    /// Creates a sampler for a fraction from 0, never, to 1, always.
    pub(crate) const fn new(rate: f64) -> Self {
        Self { rate, state: AtomicU64::new(0) }
    }

    /// Decides whether one request is selected.
    pub(crate) fn sample(&self) -> bool {
        // Both ends are exact and touch no shared counter.
        if self.rate <= 0.0 {
            return false;
        }
        self.rate >= 1.0 || fraction(mix(self.state.fetch_add(GAMMA, Ordering::Relaxed))) < self.rate
    }
}

/// Parses a fraction from 0 to 1.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate @ 0.0..=1.0) => Ok(rate),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// Returns the next pseudo-random number of the `SplitMix64` generator with this state. Not for secrets.
pub const fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GAMMA);
    mix(*state)
}

const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Maps random bits to a number from 0 to just below 1.
fn fraction(bits: u64) -> f64 {
    f64::from((bits >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rate: f64, times: u32) -> u32 {
        let sampler = Sampler::new(rate);
        (0..times).map(|_| u32::from(sampler.sample())).sum()
    }

    #[test]
    fn rate_0_selects_nothing_and_rate_1_everything() {
        assert_eq!((count(0.0, 1000), count(1.0, 1000)), (0, 1000));
    }

    #[test]
    fn other_rates_select_their_fraction() {
        for rate in [0.01, 0.3, 0.5, 0.9] {
            let (count, expected) = (f64::from(count(rate, 100_000)), 100_000.0 * rate);
            // Six standard deviations.
            let bound = 6.0 * (expected * (1.0 - rate)).sqrt();
            assert!((count - expected).abs() < bound, "{rate}: {count}");
        }
    }

    #[test]
    fn selection_does_not_follow_a_pattern() {
        let sampler = Sampler::new(0.5);
        let even = (0..20_000).filter(|time| sampler.sample() && time % 2 == 0).count();
        assert!((4_500..5_500).contains(&even), "{even}");
    }

    #[test]
    fn parse_rate_accepts_numbers_from_0_to_1() {
        assert_eq!(parse_rate("0.25"), Ok(0.25));
        for bad in ["", "-0.1", "1.1", "NaN", "30%", "inf"] {
            assert!(parse_rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn splitmix64_matches_the_reference_sequence() {
        let mut state = 1_234_567;
        assert_eq!(splitmix64(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut state), 3_203_168_211_198_807_973);
    }
}
