//! A part of all requests, chosen by chance.

use std::sync::atomic::{AtomicU64, Ordering};

/// Hits a given part of all times it is asked, without a pattern that a client could be in step with.
#[derive(Debug)]
pub(crate) struct Chance {
    rate: f64,
    asked: AtomicU64,
}

impl Chance {
    /// From 0, never, to 1, always.
    pub(crate) const fn new(rate: f64) -> Self {
        Self { rate, asked: AtomicU64::new(0) }
    }

    pub(crate) fn hits(&self) -> bool {
        // The two ends cost nothing, and are exact.
        if self.rate <= 0.0 {
            return false;
        }
        self.rate >= 1.0 || fraction(scatter(self.asked.fetch_add(1, Ordering::Relaxed))) < self.rate
    }
}

/// Parses the part, from 0 to 1.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate @ 0.0..=1.0) => Ok(rate),
        _ => Err("a number from 0 to 1 is expected".to_owned()),
    }
}

/// From 0 to just below 1.
fn fraction(bits: u64) -> f64 {
    f64::from((bits >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
}

/// A different number for each, in which all bits of it count: the finalizer of `SplitMix64`.
fn scatter(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rate: f64, times: u32) -> u32 {
        let chance = Chance::new(rate);
        (0..times).map(|_| u32::from(chance.hits())).sum()
    }

    #[test]
    fn the_ends_are_never_and_always() {
        assert_eq!((hits(0.0, 1000), hits(1.0, 1000)), (0, 1000));
    }

    #[test]
    fn any_other_part_is_hit_as_often_as_it_says() {
        for rate in [0.01, 0.3, 0.5, 0.9] {
            let (hits, expected) = (f64::from(hits(rate, 100_000)), 100_000.0 * rate);
            // Six standard deviations.
            let bound = 6.0 * (expected * (1.0 - rate)).sqrt();
            assert!((hits - expected).abs() < bound, "{rate}: {hits}");
        }
    }

    #[test]
    fn there_is_no_pattern_of_every_other_one() {
        let chance = Chance::new(0.5);
        let even = (0..20_000).filter(|time| chance.hits() && time % 2 == 0).count();
        assert!((4_500..5_500).contains(&even), "{even}");
    }

    #[test]
    fn a_rate_is_from_0_to_1() {
        assert_eq!(rate("0.25"), Ok(0.25));
        for bad in ["", "-0.1", "1.1", "NaN", "30%", "inf"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }
}
