//! How load stands while it is sent, as people look at it.

use crate::report::{Class, Failed, Instance, Report};
use crate::statistics::float;

/// Over how many of the timeline's spans the figures of instances are taken.
const SPANS: usize = 3;

/// An instance that came within so many seconds has just come.
const JUST: f64 = 10.0;

/// How many of the latest failures are kept.
const FAILURES: usize = 5;

/// How load stands. Times are in seconds, rates by the second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// How long it has been sent.
    pub elapsed: f64,
    /// For how long it should be sent, if that is what ends it.
    pub duration: Option<f64>,
    /// How many requests there have been, and how many there should be, if that is what ends it.
    pub requests: (u64, Option<u64>),
    /// The rate that was asked for, if one was.
    pub asked_rate: Option<f64>,
    /// Answers to requests, good or bad, in each span of the timeline that is over.
    pub rates: Vec<f64>,
    /// The latency that 99 of 100 good answers had in each of them; 0 where there was none.
    pub p99: Vec<f64>,
    /// The latency that half of the good answers had in the last of them.
    pub p50: f64,
    /// Good answers so far.
    pub ok: u64,
    /// Failures so far.
    pub failed: u64,
    /// Failures so far by class, for the classes that occurred.
    pub by_class: Vec<(Class, u64)>,
    /// Requests that were sent late so far, whatever they waited for.
    pub late: u64,
    /// For how long there has been no good answer, if that is worth a word.
    pub gap: Option<f64>,
    /// The longest gap so far.
    pub longest_gap: f64,
    /// Who answered, in the order of first answers.
    pub instances: Vec<Answering>,
    /// The latest failures; the newest is last.
    pub failures: Vec<Failed>,
}

/// An instance that answers, or did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answering {
    /// Its name. None stands for whoever gave none.
    pub name: Option<String>,
    /// Its part of the last spans' good answers, from 0 to 1.
    pub share: f64,
    /// Its good answers in the last spans.
    pub rate: f64,
    /// 99 of 100 of its good answers took no longer.
    pub p99: f64,
    /// Its bad answers so far.
    pub failed: u64,
    /// Whether it is there.
    pub presence: Presence,
}

/// Whether an instance is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Presence {
    /// It is.
    #[default]
    There,
    /// It is, since so many seconds.
    JustCame(f64),
    /// It left so many seconds ago.
    Left(f64),
}

impl Snapshot {
    /// How it stands by the report of load that is still running.
    pub fn of(report: &Report) -> Self {
        let timeline = &report.timeline;
        // The span that is under way says little, unless there is no other.
        let over = timeline.ok.len().saturating_sub(1).max(timeline.ok.len().min(1));
        let width = timeline.width.min(report.seconds).max(1e-3);
        let rates = (0..over).map(|span| {
            let failed: u64 = timeline.failed.values().filter_map(|counts| counts.get(span)).sum();
            float(timeline.ok[span] + failed) / width
        });
        let last = over.saturating_sub(SPANS)..over;
        let in_last = |counts: &[u64]| float(counts.get(last.clone()).unwrap_or_default().iter().sum());
        let all = in_last(&timeline.ok).max(1.0);
        let seconds = width * float(last.len().max(1) as u64);
        let answering = |one: &Instance| Answering {
            name: one.name.clone(),
            share: in_last(&one.ok_over_time) / all,
            rate: in_last(&one.ok_over_time) / seconds,
            p99: one.latency.p99,
            failed: one.failed,
            presence: match (one.left, report.seconds - one.first) {
                (true, _) => Presence::Left(report.seconds - one.last),
                (false, there) if one.joined && there < JUST => Presence::JustCame(there),
                _ => Presence::There,
            },
        };
        // Latencies of a span are known when it is over: of the first one, until then, those of all.
        let of_spans = |figures: &[f64], of_all: f64| match timeline.ok.len() {
            1 => vec![of_all],
            _ => figures.iter().take(over).copied().collect(),
        };
        let listed = &report.failures.listed;
        // One that goes on is counted up to now.
        let gap = report.gaps.listed.last().filter(|gap| gap.to >= report.seconds - 1e-3);
        Self {
            elapsed: report.seconds,
            duration: report.asked.duration,
            requests: (report.requests, report.asked.requests),
            asked_rate: report.asked.rate,
            rates: rates.collect(),
            p99: of_spans(&timeline.p99, report.latency.p99),
            p50: of_spans(&timeline.p50, report.latency.p50).last().copied().unwrap_or(0.0),
            ok: report.ok,
            failed: report.failed,
            by_class: report.failures.by_class.iter().map(|(class, count)| (*class, *count)).collect(),
            late: report.late.map_or(0, |late| late.count + late.waited),
            gap: gap.map(|gap| gap.to - gap.from),
            longest_gap: report.gaps.longest,
            instances: report.instances.iter().map(answering).collect(),
            failures: listed[listed.len().saturating_sub(FAILURES)..].to_vec(),
        }
    }

    /// Answers to requests in the last span that is over.
    pub fn rate(&self) -> f64 {
        self.rates.last().copied().unwrap_or(0.0)
    }

    /// How much of it is done, from 0 to 1, if it has an end of its own.
    pub fn progress(&self) -> Option<f64> {
        let by_time = self.duration.map(|duration| self.elapsed / duration);
        let by_count = self.requests.1.map(|requests| float(self.requests.0) / float(requests));
        let progress = [by_time, by_count].into_iter().flatten().reduce(f64::max)?;
        Some(progress.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn the_second_that_is_under_way_does_not_count() {
        let mut report = sample();
        report.seconds = 9.1;
        report.timeline.ok = vec![2000, 2000, 2000, 1500, 1800, 1800, 1800, 1800, 1900, 90];
        report.timeline.failed.insert(Class::Reset, vec![0, 0, 0, 0, 0, 0, 0, 0, 7, 0]);
        report.instances[0].ok_over_time = vec![1000, 1000, 1000, 900, 900, 900, 900, 1000, 850, 80];
        let snapshot = Snapshot::of(&report);
        assert_eq!(snapshot.rates.len(), 9);
        assert_eq!(snapshot.rate().to_bits(), 1907_f64.to_bits());
        assert_eq!(snapshot.instances[0].share.to_bits(), 0.5_f64.to_bits(), "2750 of 5500");
        assert!((snapshot.instances[0].rate - 2750.0 / 3.0).abs() < 1e-9);
        assert_eq!(snapshot.progress().map(f64::to_bits), Some((9.1_f64 / 10.0).to_bits()));
    }

    #[test]
    fn a_gap_that_goes_on_is_known_and_one_that_is_over_is_not_shown() {
        let mut report = sample();
        assert_eq!(Snapshot::of(&report).gap, None);
        report.seconds = 5.3;
        let gap = Snapshot::of(&report).gap.unwrap();
        assert!((gap - 0.3).abs() < 1e-9, "{gap}");
    }

    #[test]
    fn before_the_first_second_is_over_there_are_a_rate_and_latencies_too() {
        let mut report = sample();
        report.seconds = 0.25;
        report.timeline.ok = vec![500];
        (report.timeline.p50, report.timeline.p99) = (vec![0.0], vec![0.0]);
        let snapshot = Snapshot::of(&report);
        assert_eq!(snapshot.rates, [2000.0]);
        assert_eq!((snapshot.p50, snapshot.p99), (report.latency.p50, vec![report.latency.p99]));
        report.timeline.ok.clear();
        report.timeline.p50.clear();
        report.instances.clear();
        assert!(Snapshot::of(&report).rates.is_empty());
    }

    #[test]
    fn who_left_and_who_has_just_come_is_known() {
        let mut report = sample();
        (report.instances[0].left, report.instances[0].last) = (true, 8.0);
        (report.instances[1].joined, report.instances[1].first) = (true, 7.5);
        let instances = Snapshot::of(&report).instances;
        assert_eq!(instances[0].presence, Presence::Left(2.0));
        assert_eq!(instances[1].presence, Presence::JustCame(2.5));
    }
}
