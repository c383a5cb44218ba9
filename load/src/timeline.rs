//! Counts and latencies over time, in bounded memory.
//!
//! A series has spans of one second. When it would have more than [`MAX_SPANS`], pairs of spans are joined, so spans are 2ⁿ
//! seconds long; n is called `doublings`.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::recorder::{add, histogram};

/// Maximum number of spans.
const MAX_SPANS: usize = 1800;

/// Seconds that are kept open in a [`LatencySeries`]: a thread adds a second when it sees a response of a later one.
const OPEN_SECONDS: usize = 3;

/// Smallest number of doublings with which `second` is in one of [`MAX_SPANS`] spans.
pub(crate) fn doublings_for(second: u64) -> u32 {
    let mut doublings = 0;
    while second >> doublings >= MAX_SPANS as u64 {
        doublings += 1;
    }
    doublings
}

/// Counts over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeSeries {
    doublings: u32,
    counts: Vec<u64>,
}

impl TimeSeries {
    /// Counts events in this second of the run.
    pub(crate) fn add(&mut self, second: u64, events: u64) {
        self.widen(doublings_for(second));
        let span = usize::try_from(second >> self.doublings).unwrap_or(MAX_SPANS);
        *self.span(span) += events;
    }

    /// Adds another series.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.widen(other.doublings);
        for (span, count) in other.counts.iter().enumerate() {
            *self.span(span >> (self.doublings - other.doublings)) += count;
        }
    }

    /// Returns the counts of `count` spans of this width, which is at least the current one.
    pub(crate) fn spans(&self, doublings: u32, count: usize) -> Vec<u64> {
        let mut copy = self.clone();
        copy.widen(doublings);
        copy.counts.resize(count, 0);
        copy.counts
    }

    fn span(&mut self, span: usize) -> &mut u64 {
        if span >= self.counts.len() {
            self.counts.resize(span + 1, 0);
        }
        &mut self.counts[span]
    }

    fn widen(&mut self, doublings: u32) {
        while self.doublings < doublings {
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.doublings += 1;
        }
    }
}

/// Median, 99th percentile and maximum of a span's latencies, in microseconds.
pub(crate) type Percentiles = [u64; 3];

/// Percentiles of latency over time. A span of several seconds has the percentiles of its worst second.
#[derive(Debug, Default)]
pub struct LatencySeries {
    /// Seconds to which threads may still add latencies.
    open: BTreeMap<u64, Histogram<u32>>,
    doublings: u32,
    spans: Vec<Percentiles>,
}

impl LatencySeries {
    /// Adds one thread's latencies of a second. If that second is already closed, the greater percentiles are kept.
    pub fn add(&mut self, second: u64, latencies: &Histogram<u32>) {
        add(self.open.entry(second).or_insert_with(histogram), latencies);
        while self.open.len() > OPEN_SECONDS
            && let Some((second, latencies)) = self.open.pop_first()
        {
            close(&mut self.spans, &mut self.doublings, second, &latencies);
        }
    }

    /// Returns the percentiles of `count` spans of this width, which is at least the current one.
    pub(crate) fn spans(&self, doublings: u32, count: usize) -> Vec<Percentiles> {
        let (mut spans, mut own) = (self.spans.clone(), self.doublings);
        for (second, latencies) in &self.open {
            close(&mut spans, &mut own, *second, latencies);
        }
        widen(&mut spans, &mut own, doublings);
        spans.resize(count, [0; 3]);
        spans
    }
}

fn close(spans: &mut Vec<Percentiles>, doublings: &mut u32, second: u64, latencies: &Histogram<u32>) {
    widen(spans, doublings, doublings_for(second));
    let span = usize::try_from(second >> *doublings).unwrap_or(usize::MAX);
    if span >= spans.len() {
        spans.resize(span + 1, [0; 3]);
    }
    let percentiles = [latencies.value_at_quantile(0.5), latencies.value_at_quantile(0.99), latencies.max()];
    spans[span] = worse(spans[span], percentiles);
}

fn widen(spans: &mut Vec<Percentiles>, own: &mut u32, doublings: u32) {
    while *own < doublings {
        *spans = spans.chunks(2).map(|pair| pair.iter().copied().fold([0; 3], worse)).collect();
        *own += 1;
    }
}

fn worse(one: Percentiles, other: Percentiles) -> Percentiles {
    [one[0].max(other[0]), one[1].max(other[1]), one[2].max(other[2])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_joined_before_there_are_too_many() {
        let mut series = TimeSeries::default();
        (0..1800).for_each(|second| series.add(second, 1));
        assert_eq!((series.doublings, series.counts.len()), (0, 1800));
        series.add(1801, 1);
        assert_eq!((series.doublings, series.counts.len()), (1, 901));
        assert_eq!((series.counts[0], series.counts[899], series.counts[900]), (2, 2, 1));
        series.add(24 * 3600, 1);
        assert_eq!((series.doublings, series.counts.iter().sum::<u64>()), (6, 1802));
    }

    #[test]
    fn series_of_different_widths_are_merged() {
        let (mut narrow, mut wide) = (TimeSeries::default(), TimeSeries::default());
        narrow.add(3, 1);
        wide.add(2, 1);
        wide.add(2000, 1);
        let mut sum = narrow.clone();
        sum.merge(&wide);
        wide.merge(&narrow);
        assert_eq!(sum, wide);
        assert_eq!(sum.spans(1, 3), [0, 2, 0]);
        assert_eq!(narrow.spans(0, 5), [0, 0, 0, 1, 0]);
    }

    fn latencies(values: &[u64]) -> Histogram<u32> {
        let mut latencies = histogram();
        for value in values {
            latencies.record(*value).unwrap();
        }
        latencies
    }

    #[test]
    fn latencies_of_threads_in_a_second_are_merged() {
        let mut series = LatencySeries::default();
        series.add(0, &latencies(&[100, 200]));
        series.add(1, &latencies(&[5]));
        series.add(0, &latencies(&[300]));
        assert_eq!(series.spans(0, 3), [[200, 300, 300], [5, 5, 5], [0, 0, 0]]);
    }

    #[test]
    fn wide_span_has_the_percentiles_of_its_worst_second() {
        let mut series = LatencySeries::default();
        (0..10).for_each(|second| series.add(second, &latencies(&[second + 1])));
        assert_eq!(series.spans.len(), 7, "closed seconds have no histogram");
        assert_eq!(series.spans(1, 5), [[2; 3], [4; 3], [6; 3], [8; 3], [10; 3]]);
    }
}
