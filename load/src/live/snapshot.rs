//! The state of a run, as shown in the live view.

use crate::report::{ErrorClass, FailedRequest, Instance, Report};
use crate::statistics::float;

/// Number of timeline spans over which figures of instances are taken.
const RECENT_SPANS: usize = 3;

/// Seconds during which an instance is shown as having joined.
const JOINED_SECONDS: f64 = 10.0;

/// Number of latest failures.
const MAX_FAILURES: usize = 5;

/// The state of a run. Times are in seconds, rates in requests per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    /// Time since the start.
    pub(super) elapsed: f64,
    /// Maximum duration of the run.
    pub(super) duration: Option<f64>,
    /// Requests so far.
    pub(super) requests: u64,
    /// Maximum number of requests.
    pub(super) max_requests: Option<u64>,
    /// Target rate.
    pub(super) target_rate: Option<f64>,
    /// Completed requests per second in each complete span of the timeline.
    pub(super) rates: Vec<f64>,
    /// 99th percentile of latency in each complete span; 0 without successful responses.
    pub(super) p99: Vec<f64>,
    /// Median latency in the last complete span.
    pub(super) p50: f64,
    /// Successful requests so far.
    pub(super) ok: u64,
    /// Failed requests so far.
    pub(super) failed: u64,
    /// Failed requests so far by class.
    pub(super) by_class: Vec<(ErrorClass, u64)>,
    /// Requests so far that were sent late, for any reason.
    pub(super) late: u64,
    /// Duration of the current outage.
    pub(super) outage: Option<f64>,
    /// Longest gap between successful responses so far.
    pub(super) longest_gap: f64,
    /// Instances in the order of their first responses.
    pub(super) instances: Vec<InstanceState>,
    /// Latest failures; the newest is last.
    pub(super) failures: Vec<FailedRequest>,
}

/// The state of an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InstanceState {
    /// Name; `None` for responses without a name.
    pub(super) name: Option<String>,
    /// Share of recent successful responses, from 0 to 1.
    pub(super) share: f64,
    /// Rate of recent successful responses.
    pub(super) rate: f64,
    /// 99th percentile of latency.
    pub(super) p99: f64,
    /// Failed requests so far.
    pub(super) failed: u64,
    /// Activity.
    pub(super) activity: Activity,
}

/// Whether an instance responds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Activity {
    /// It responds.
    #[default]
    Active,
    /// It joined this many seconds ago.
    Joined(f64),
    /// It left this many seconds ago.
    Left(f64),
}

impl Snapshot {
    /// Extracts the state from an interim report.
    pub(super) fn of(report: &Report) -> Self {
        let timeline = &report.timeline;
        // The last span is incomplete. It is used only if there is no other.
        let complete = timeline.ok.len().saturating_sub(1).max(timeline.ok.len().min(1));
        let width = timeline.width.min(report.seconds).max(1e-3);
        let rates = (0..complete).map(|span| {
            let failed: u64 = timeline.failed.values().filter_map(|counts| counts.get(span)).sum();
            float(timeline.ok[span] + failed) / width
        });
        let recent = complete.saturating_sub(RECENT_SPANS)..complete;
        let recent_sum = |counts: &[u64]| float(counts.get(recent.clone()).unwrap_or_default().iter().sum());
        let all = recent_sum(&timeline.ok).max(1.0);
        let seconds = width * float(recent.len().max(1) as u64);
        let instance = |one: &Instance| InstanceState {
            name: one.name.clone(),
            share: recent_sum(&one.ok_over_time) / all,
            rate: recent_sum(&one.ok_over_time) / seconds,
            p99: one.latency.p99,
            failed: one.failed,
            activity: match (one.left, report.seconds - one.first) {
                (true, _) => Activity::Left(report.seconds - one.last),
                (false, age) if one.joined && age < JOINED_SECONDS => Activity::Joined(age),
                _ => Activity::Active,
            },
        };
        // Percentiles of a span are known when it is complete. In the first one, those of the run are shown.
        let percentiles = |of_spans: &[f64], of_run: f64| match timeline.ok.len() {
            1 => vec![of_run],
            _ => of_spans.iter().take(complete).copied().collect(),
        };
        let listed = &report.failures.listed;
        // An outage that has not ended lasts until now.
        let current = report.outages.listed.last().filter(|outage| outage.to >= report.seconds - 1e-3);
        Self {
            elapsed: report.seconds,
            duration: report.settings.duration,
            requests: report.requests,
            max_requests: report.settings.requests,
            target_rate: report.settings.rate,
            rates: rates.collect(),
            p99: percentiles(&timeline.p99, report.latency.p99),
            p50: percentiles(&timeline.p50, report.latency.p50).last().copied().unwrap_or(0.0),
            ok: report.ok,
            failed: report.failed,
            by_class: report.failures.by_class.iter().map(|(class, count)| (*class, *count)).collect(),
            late: report.late.map_or(0, |late| late.count + late.waited),
            outage: current.map(|outage| outage.to - outage.from),
            longest_gap: report.outages.longest,
            instances: report.instances.iter().map(instance).collect(),
            failures: listed[listed.len().saturating_sub(MAX_FAILURES)..].to_vec(),
        }
    }

    /// Completed requests per second in the last complete span.
    pub(super) fn rate(&self) -> f64 {
        self.rates.last().copied().unwrap_or(0.0)
    }

    /// Progress from 0 to 1, if the run has a maximum duration or number of requests.
    pub(super) fn progress(&self) -> Option<f64> {
        let by_time = self.duration.map(|duration| self.elapsed / duration);
        let by_count = self.max_requests.map(|requests| float(self.requests) / float(requests));
        let progress = [by_time, by_count].into_iter().flatten().reduce(f64::max)?;
        Some(progress.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn incomplete_second_is_ignored() {
        let mut report = sample();
        report.seconds = 9.1;
        report.timeline.ok = vec![2000, 2000, 2000, 1500, 1800, 1800, 1800, 1800, 1900, 90];
        report.timeline.failed.insert(ErrorClass::Reset, vec![0, 0, 0, 0, 0, 0, 0, 0, 7, 0]);
        report.instances[0].ok_over_time = vec![1000, 1000, 1000, 900, 900, 900, 900, 1000, 850, 80];
        let snapshot = Snapshot::of(&report);
        assert_eq!(snapshot.rates.len(), 9);
        assert_eq!(snapshot.rate().to_bits(), 1907_f64.to_bits());
        assert_eq!(snapshot.instances[0].share.to_bits(), 0.5_f64.to_bits(), "2750 of 5500");
        assert!((snapshot.instances[0].rate - 2750.0 / 3.0).abs() < 1e-9);
        assert_eq!(snapshot.progress().map(f64::to_bits), Some((9.1_f64 / 10.0).to_bits()));
    }

    #[test]
    fn only_current_outage_is_shown() {
        let mut report = sample();
        assert_eq!(Snapshot::of(&report).outage, None);
        report.seconds = 5.3;
        let outage = Snapshot::of(&report).outage.unwrap();
        assert!((outage - 0.3).abs() < 1e-9, "{outage}");
    }

    #[test]
    fn first_second_has_a_rate_and_latencies() {
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
    fn activity_tells_when_an_instance_joined_or_left() {
        let mut report = sample();
        (report.instances[0].left, report.instances[0].last) = (true, 8.0);
        (report.instances[1].joined, report.instances[1].first) = (true, 7.5);
        let instances = Snapshot::of(&report).instances;
        assert_eq!(instances[0].activity, Activity::Left(2.0));
        assert_eq!(instances[1].activity, Activity::Joined(2.5));
    }
}
