//! Counts over time, in bounded memory.

/// The most spans that there are.
pub(crate) const SPANS: usize = 1800;

/// How often something occurred in each span of time. A span is a second at first, and twice as long whenever there would
/// be more than [`SPANS`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// A span is 2 to the power of this, in seconds.
    doublings: u32,
    counts: Vec<u64>,
}

impl Counts {
    /// Counts one more in this second of the load.
    pub fn add(&mut self, second: u64) {
        let span = self.span(second);
        if span >= self.counts.len() {
            self.counts.resize(span + 1, 0);
        }
        self.counts[span] += 1;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        self.widen(other.doublings);
        for (place, count) in other.counts.iter().enumerate() {
            let span = place >> (self.doublings - other.doublings);
            if span >= self.counts.len() {
                self.counts.resize(span + 1, 0);
            }
            self.counts[span] += count;
        }
    }

    /// How wide spans are, as [`doublings`](doublings_for) of a second.
    pub fn doublings(&self) -> u32 {
        self.doublings
    }

    /// So many spans of that width, which is no smaller than its own.
    pub fn spans(&self, doublings: u32, count: usize) -> Vec<u64> {
        let mut copy = self.clone();
        copy.widen(doublings);
        copy.counts.resize(count, 0);
        copy.counts
    }

    fn span(&mut self, second: u64) -> usize {
        self.widen(doublings_for(second));
        usize::try_from(second >> self.doublings).unwrap_or(SPANS)
    }

    fn widen(&mut self, doublings: u32) {
        while self.doublings < doublings {
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.doublings += 1;
        }
    }
}

/// How often a span has to be doubled for this second to be in one of [`SPANS`].
pub fn doublings_for(second: u64) -> u32 {
    let mut doublings = 0;
    while second >> doublings >= SPANS as u64 {
        doublings += 1;
    }
    doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_folded_before_there_are_too_many() {
        let mut counts = Counts::default();
        (0..1800).for_each(|second| counts.add(second));
        assert_eq!((counts.doublings, counts.counts.len()), (0, 1800));
        counts.add(1801);
        assert_eq!((counts.doublings, counts.counts.len()), (1, 901));
        assert_eq!((counts.counts[0], counts.counts[899], counts.counts[900]), (2, 2, 1));
        counts.add(24 * 3600);
        assert_eq!((counts.doublings, counts.counts.iter().sum::<u64>()), (6, 1802));
    }

    #[test]
    fn what_is_merged_may_be_of_another_width() {
        let (mut narrow, mut wide) = (Counts::default(), Counts::default());
        narrow.add(3);
        wide.add(2);
        wide.add(2000);
        let mut sum = narrow.clone();
        sum.merge(&wide);
        wide.merge(&narrow);
        assert_eq!(sum, wide);
        assert_eq!(sum.spans(1, 3), [0, 2, 0]);
        assert_eq!(narrow.spans(0, 5), [0, 0, 0, 1, 0]);
    }
}
