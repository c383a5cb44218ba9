//! Latencies second by second, of which only three figures are kept.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::counts::doublings_for;
use crate::recorder::{add, histogram};

/// In microseconds: what half of a second's answers, 99 of 100, and all took at most.
pub(crate) type Figures = [u64; 3];

/// The figures of all spans, made from the histograms of threads.
#[derive(Debug, Default)]
pub(crate) struct LatencyOverTime {
    /// Seconds that a thread may still have something for.
    open: BTreeMap<u64, Histogram<u32>>,
    doublings: u32,
    spans: Vec<Figures>,
}

/// For so many seconds after it a second may be added to: threads do so when they have the first answer after it.
const OPEN: usize = 3;

impl LatencyOverTime {
    /// Adds what a thread has of a second. Should it be later than all threads are expected to be, the greater figures
    /// stay.
    pub(crate) fn add(&mut self, second: u64, latencies: &Histogram<u32>) {
        add(self.open.entry(second).or_insert_with(histogram), latencies);
        while self.open.len() > OPEN
            && let Some((second, latencies)) = self.open.pop_first()
        {
            keep(&mut self.spans, &mut self.doublings, second, &latencies);
        }
    }

    /// The figures, in spans of a second doubled so often.
    pub(crate) fn spans(&self, doublings: u32, count: usize) -> Vec<Figures> {
        let (mut spans, mut own) = (self.spans.clone(), self.doublings);
        for (second, latencies) in &self.open {
            keep(&mut spans, &mut own, *second, latencies);
        }
        widen(&mut spans, &mut own, doublings);
        spans.resize(count, [0; 3]);
        spans
    }
}

fn keep(spans: &mut Vec<Figures>, doublings: &mut u32, second: u64, latencies: &Histogram<u32>) {
    widen(spans, doublings, doublings_for(second));
    let span = usize::try_from(second >> *doublings).unwrap_or(usize::MAX);
    if span >= spans.len() {
        spans.resize(span + 1, [0; 3]);
    }
    let figures = [latencies.value_at_quantile(0.5), latencies.value_at_quantile(0.99), latencies.max()];
    spans[span] = worse(spans[span], figures);
}

fn widen(spans: &mut Vec<Figures>, own: &mut u32, doublings: u32) {
    while *own < doublings {
        *spans = spans.chunks(2).map(|pair| pair.iter().copied().fold([0; 3], worse)).collect();
        *own += 1;
    }
}

fn worse(one: Figures, other: Figures) -> Figures {
    [one[0].max(other[0]), one[1].max(other[1]), one[2].max(other[2])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram<u32> {
        let mut latencies = histogram();
        for value in values {
            latencies.record(*value).unwrap();
        }
        latencies
    }

    #[test]
    fn what_threads_have_of_a_second_is_one() {
        let mut over_time = LatencyOverTime::default();
        over_time.add(0, &of(&[100, 200]));
        over_time.add(1, &of(&[5]));
        over_time.add(0, &of(&[300]));
        assert_eq!(over_time.spans(0, 3), [[200, 300, 300], [5, 5, 5], [0, 0, 0]]);
    }

    #[test]
    fn a_wide_span_has_its_worst_second() {
        let mut over_time = LatencyOverTime::default();
        (0..10).for_each(|second| over_time.add(second, &of(&[second + 1])));
        assert_eq!(over_time.spans.len(), 7, "what is closed is figures only");
        assert_eq!(over_time.spans(1, 5), [[2; 3], [4; 3], [6; 3], [8; 3], [10; 3]]);
    }
}
