//! What came of load. All times are since its start, unless said otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

/// How many failures keep their text.
const SHOWN: usize = 5;

/// A request that begins longer than this after it was due is late.
const LATE: Duration = Duration::from_millis(10);

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listened.
    Refused,
    /// The connection was cut.
    Cut,
    /// No whole answer in time.
    TimedOut,
    /// An answer with another status than 200.
    Status(u16),
    /// An answer with another body than asked for, or without `x-served-by`.
    Wrong,
    /// Anything else.
    Other,
}

/// The requests that one instance has answered as it should.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When each of them began, in order of their answers.
    pub requests: Vec<Duration>,
}

impl Seen {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.requests.len()
    }

    /// When the first of them began.
    pub fn first(&self) -> Option<Duration> {
        self.requests.iter().min().copied()
    }

    /// When the last of them began.
    pub fn last(&self) -> Option<Duration> {
        self.requests.iter().max().copied()
    }

    /// How many began at `at` or later.
    pub fn since(&self, at: Duration) -> usize {
        self.requests.iter().filter(|began| **began >= at).count()
    }
}

/// How long good answers took, from when their requests were due. Nothing, if there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let percentile = |percent: usize| match took.len() {
            0 => Duration::ZERO,
            count => took[(count * percent).div_ceil(100) - 1],
        };
        Self { p50: percentile(50), p99: percentile(99), max: percentile(100) }
    }
}

/// What came of the load.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it started, by the clock on the wall, to which the times of other programs can be compared.
    pub started: SystemTime,
    /// Requests that were answered as they should.
    pub ok: u64,
    /// Requests that were not, by class.
    pub failed: BTreeMap<Failure, u64>,
    /// When it was known of each of these that it had failed, in order.
    pub failed_at: Vec<Duration>,
    /// When the first failures happened, and what they said.
    pub first_failures: Vec<(Duration, String)>,
    /// Good answers by the instance that gave them.
    pub by_instance: BTreeMap<String, Seen>,
    /// Requests, good and failed, that began more than 10 ms after they were due: there were too few clients, or the
    /// machine was busy.
    pub late: u64,
    /// How long good answers took.
    pub latency: Latency,
    /// The longest time without a good answer, between start and end of the load.
    pub longest_gap: Duration,
    /// How long the load lasted: until it was stopped or cut short, though requests that were under way were awaited and
    /// count.
    pub elapsed: Duration,
    /// Whether a limit ended the load before it was stopped.
    pub cut_short: bool,
}

impl Report {
    /// All failures.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// When the last failure happened.
    pub fn last_failure(&self) -> Option<Duration> {
        self.failed_at.last().copied()
    }

    /// An error, with everything that was counted, unless there was load to the end and not one request failed.
    pub fn no_failures(&self) -> Result<()> {
        if self.failures() > 0 || self.ok == 0 || self.cut_short {
            bail!("load did not pass: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, late, latency: Latency { p50, p99, max }, longest_gap, elapsed, .. } = self;
        let by_instance: BTreeMap<_, _> =
            self.by_instance.iter().map(|(instance, seen)| (instance, seen.count())).collect();
        write!(f, "{ok} requests answered, {} failed {failed:?} in {elapsed:.1?}, ", self.failures())?;
        write!(f, "{late} began late, half answered in {p50:.1?}, 99 % in {p99:.1?}, all in {max:.1?}, ")?;
        write!(f, "no good answer for {longest_gap:.1?} at the longest, by instance {by_instance:?}")?;
        if self.cut_short {
            write!(f, "; cut short by a limit")?;
        }
        for (at, text) in &self.first_failures {
            write!(f, "\n  at {at:.3?}: {text}")?;
        }
        Ok(())
    }
}

/// The times of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) due: Duration,
    pub(super) began: Duration,
    pub(super) ended: Duration,
}

impl Times {
    fn is_late(self) -> bool {
        self.began.saturating_sub(self.due) > LATE
    }

    /// From when it was due: a request that had to wait for others has felt what made them slow.
    fn latency(self) -> Duration {
        self.ended.saturating_sub(self.due)
    }
}

/// What clients write down as they go, of which a report is made.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    good_at: Vec<Duration>,
    took: Vec<Duration>,
    by_instance: BTreeMap<String, Seen>,
    failed: BTreeMap<Failure, u64>,
    failed_at: Vec<Duration>,
    first_failures: Vec<(Duration, String)>,
    late: u64,
}

impl Tally {
    /// The good answers so far.
    pub(super) fn ok(&self) -> u64 {
        self.good_at.len() as u64
    }

    /// Counts a request that `outcome` came of: the instance that answered it, or its failure and what that said.
    pub(super) fn count(&mut self, times: Times, outcome: Result<String, (Failure, String)>) {
        self.late += u64::from(times.is_late());
        match outcome {
            Ok(instance) => {
                self.good_at.push(times.ended);
                self.took.push(times.latency());
                self.by_instance.entry(instance).or_default().requests.push(times.began);
            }
            Err((class, text)) => {
                *self.failed.entry(class).or_default() += 1;
                self.failed_at.push(times.ended);
                if self.first_failures.len() < SHOWN {
                    self.first_failures.push((times.ended, text));
                }
            }
        }
    }

    /// The report on load that `started` then, and has lasted for `elapsed`.
    pub(super) fn report(self, started: SystemTime, elapsed: Duration, cut_short: bool) -> Report {
        let mut failed_at = self.failed_at;
        failed_at.sort_unstable();
        Report {
            started,
            ok: self.good_at.len() as u64,
            failed: self.failed,
            failed_at,
            first_failures: self.first_failures,
            by_instance: self.by_instance,
            late: self.late,
            latency: Latency::of(self.took),
            longest_gap: longest_gap(self.good_at, elapsed),
            elapsed,
            cut_short,
        }
    }
}

/// The longest stretch between 0 and `end` with none of `times` in it. Those after the end are none of its business.
fn longest_gap(mut times: Vec<Duration>, end: Duration) -> Duration {
    times.retain(|time| *time < end);
    times.extend([Duration::ZERO, end]);
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn times(due: u64, began: u64, ended: u64) -> Times {
        Times { due: millis(due), began: millis(began), ended: millis(ended) }
    }

    fn report(tally: Tally, elapsed: u64) -> Report {
        tally.report(SystemTime::UNIX_EPOCH, millis(elapsed), false)
    }

    #[test]
    fn the_longest_gap_lies_between_answers_or_before_the_first_or_after_the_last() {
        let gap = |times: &[u64], end| longest_gap(times.iter().copied().map(millis).collect(), millis(end));
        assert_eq!(gap(&[10, 20, 70, 80], 90), millis(50));
        assert_eq!(gap(&[70, 20, 80, 10], 90), millis(50), "in any order");
        assert_eq!(gap(&[40, 50], 60), millis(40));
        assert_eq!(gap(&[10, 20], 60), millis(40));
        assert_eq!(gap(&[], 60), millis(60));
        assert_eq!(gap(&[10, 20, 30, 500, 900], 35), millis(10), "the load had ended");
    }

    #[test]
    fn percentiles_are_of_those_that_took_as_long() {
        let latency = |took: &[u64]| {
            let Latency { p50, p99, max } = Latency::of(took.iter().copied().map(millis).collect());
            [p50, p99, max].map(|duration| duration.as_millis())
        };
        assert_eq!(latency(&[]), [0, 0, 0]);
        assert_eq!(latency(&[7]), [7, 7, 7]);
        assert_eq!(latency(&[30, 10, 40, 20]), [20, 40, 40]);
        assert_eq!(latency(&(1..=200).rev().collect::<Vec<_>>()), [100, 198, 200]);
    }

    #[test]
    fn an_instance_is_asked_when_requests_begin_not_when_they_end() {
        let mut tally = Tally::default();
        tally.count(times(20, 20, 30), Ok("a".to_owned()));
        tally.count(times(10, 10, 40), Ok("a".to_owned()));
        tally.count(times(30, 30, 50), Ok("b".to_owned()));
        let report = report(tally, 60);
        let a = &report.by_instance["a"];
        assert_eq!(a.requests, [millis(20), millis(10)], "in order of their answers");
        assert_eq!((a.count(), a.first(), a.last()), (2, Some(millis(10)), Some(millis(20))));
        assert_eq!([9, 10, 11, 20, 21].map(|at| a.since(millis(at))), [2, 2, 1, 1, 0]);
        assert_eq!(report.by_instance["b"].count(), 1);
        assert!(report.to_string().ends_with(r#"by instance {"a": 2, "b": 1}"#), "{report}");
    }

    #[test]
    fn a_request_is_late_beyond_ten_milliseconds_and_its_latency_counts_from_when_it_was_due() {
        let mut tally = Tally::default();
        tally.count(times(100, 110, 120), Ok("a".to_owned()));
        assert_eq!(report(tally.clone(), 500).late, 0);
        tally.count(times(100, 111, 140), Ok("a".to_owned()));
        tally.count(times(200, 250, 260), Err((Failure::Cut, "cut".to_owned())));
        let report = report(tally, 500);
        assert_eq!(report.late, 2);
        assert_eq!((report.latency.p50, report.latency.max), (millis(20), millis(40)));
        assert_eq!(report.by_instance["a"].requests, [110, 111].map(millis), "when they really began");
        assert!(report.to_string().contains("2 began late"), "{report}");
    }
}
