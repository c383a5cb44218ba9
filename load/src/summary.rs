//! The report, made from what was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::counts::Counts;
use crate::over_time::LatencyOverTime;
use crate::plan::{Http, Plan};
use crate::presence::{Presence, evenness, handovers};
use crate::recorder::{LATE, OTHERS, Recorder, Seen, histogram};
use crate::report::{
    Asked, Bucket, Connections, Ended, Failed, Failures, Instance, Late, Latency, Report, Timeline, VERSION,
    WeightedUrl,
};
use crate::seconds::seconds;
use crate::statistics::float;

/// What is known of the load as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) ended: Ended,
    /// For how long it was sent.
    pub(crate) elapsed: Duration,
    /// When it was started: since 1970, UTC.
    pub(crate) started_at: Duration,
    /// The processor time that was used.
    pub(crate) cpu: Duration,
    /// How many processor cores there are.
    pub(crate) cores: usize,
    /// When the last good answer was there.
    pub(crate) latest: Duration,
}

/// The report of all that was counted.
pub(crate) fn report(
    plan: &Plan,
    spoken: &[Http],
    mut sum: Recorder,
    over_time: &LatencyOverTime,
    course: &Course,
) -> Report {
    let end = course.elapsed.max(sum.last_done);
    sum.gaps.add(course.latest, course.elapsed);
    sum.instances.sort_by_key(|seen| seen.first);

    let elapsed = seconds(course.elapsed);
    let finished = sum.ok + sum.failed();
    let spans = Spans::until(end, &sum);
    let threads = course.cores.min(plan.threads as usize);
    let mut all = histogram();
    for seen in &sum.instances {
        crate::recorder::add(&mut all, &seen.latency);
    }
    let present: Vec<_> = sum.instances.iter().map(|seen| presence(seen, course, plan.gap)).collect();
    let answering = || sum.instances.iter().zip(&present).filter(|(seen, _)| seen.ok_count > 0);
    let shares: Vec<_> = answering().map(|(seen, presence)| (presence.clone(), spans.of(&seen.ok))).collect();
    let named: Vec<_> = answering().map(|(seen, presence)| (name(&seen.name), presence.clone())).collect();
    let mut report = Report {
        version: VERSION,
        asked: asked(plan, spoken),
        started_unix_ms: u64::try_from(course.started_at.as_millis()).unwrap_or(u64::MAX),
        seconds: elapsed,
        ended: course.ended,
        requests: sum.requests(),
        ok: sum.ok,
        failed: sum.failed(),
        abandoned: sum.abandoned,
        rate: if elapsed > 0.0 { float(finished) / elapsed } else { 0.0 },
        bytes: sum.bytes,
        latency: latency(&all),
        late: plan.rate.map(|_| Late {
            threshold: seconds(LATE),
            count: sum.late,
            waited: sum.waited,
            max: seconds(sum.latest_send),
            unsent: sum.unsent,
        }),
        instances: sum
            .instances
            .iter()
            .zip(&present)
            .map(|(seen, there)| instance(seen, there, sum.ok, &spans))
            .collect(),
        evenness: evenness(&shares, spans.width()),
        gaps: sum.gaps.report(),
        handovers: handovers(&named),
        failures: failures(&sum),
        connections: Connections { opened: sum.opened, closed_idle: sum.closed_idle },
        timeline: timeline(&sum, over_time, &spans),
        generator_load: if elapsed > 0.0 {
            course.cpu.as_secs_f64() / elapsed / float(threads as u64)
        } else {
            0.0
        },
        warnings: Vec::new(),
        demands: Vec::new(),
    };
    report.warnings = warnings(&report);
    report
}

/// How time is cut for all lists of a report.
struct Spans {
    doublings: u32,
    count: usize,
}

impl Spans {
    fn until(end: Duration, sum: &Recorder) -> Self {
        let last = u64::try_from(end.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1) - 1;
        // An answer may have come at the very end of a second.
        let last = last.max(if sum.ok + sum.failed() > 0 { sum.last_done.as_secs() } else { 0 });
        let doublings = crate::counts::doublings_for(last);
        Self { doublings, count: usize::try_from((last >> doublings) + 1).unwrap_or(usize::MAX) }
    }

    fn of(&self, counts: &Counts) -> Vec<u64> {
        counts.spans(self.doublings, self.count)
    }

    fn width(&self) -> f64 {
        float(1 << self.doublings)
    }
}

fn asked(plan: &Plan, spoken: &[Http]) -> Asked {
    let is_all = |http| spoken.iter().all(|one| *one == http);
    let http = if is_all(Http::One) {
        "1.1"
    } else if is_all(Http::Two) {
        "2"
    } else {
        "1.1 and 2"
    };
    Asked {
        urls: plan
            .targets
            .iter()
            .map(|target| WeightedUrl { url: target.url.clone(), weight: target.weight })
            .collect(),
        method: plan.method.to_string(),
        http: http.to_owned(),
        keep_alive: plan.keep_alive,
        connections: plan.connections,
        streams: plan.streams,
        threads: plan.threads,
        rate: plan.rate,
        ramp: seconds(plan.ramp),
        duration: plan.duration.map(seconds),
        requests: plan.requests,
        timeout: seconds(plan.timeout),
        instance: plan.instance.to_string(),
    }
}

fn presence(seen: &Seen, course: &Course, patience: Duration) -> Presence {
    let count = seen.ok_count + seen.failures.values().sum::<u64>();
    let [first, last, end, patience] = [seen.first, seen.last, course.elapsed, patience].map(seconds);
    Presence::of(first, last, count, end, patience)
}

fn name(name: &[u8]) -> Option<String> {
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

fn instance(seen: &Seen, there: &Presence, all: u64, spans: &Spans) -> Instance {
    Instance {
        name: name(&seen.name),
        share: if all > 0 { float(seen.ok_count) / float(all) } else { 0.0 },
        ok: seen.ok_count,
        failed: seen.failures.values().sum(),
        failures: seen.failures.clone(),
        latency: latency(&seen.latency),
        first: there.first,
        last: there.last,
        first_sent: seconds(seen.first_sent),
        last_sent: seconds(seen.last_sent),
        joined: there.joined,
        left: there.left,
        ok_over_time: spans.of(&seen.ok),
        failed_over_time: spans.of(&seen.failed),
    }
}

fn latency(histogram: &Histogram<u32>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let time = |micros| seconds(Duration::from_micros(micros));
    let quantile = |quantile| time(histogram.value_at_quantile(quantile));
    Latency {
        count: histogram.len(),
        min: time(histogram.min()),
        mean: (histogram.mean()).round() / 1e6,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: time(histogram.max()),
        buckets: buckets(histogram),
    }
}

/// Buckets of which four double the time.
fn buckets(histogram: &Histogram<u32>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut bound = None;
    for recorded in histogram.iter_recorded() {
        let (value, count) = (recorded.value_iterated_to(), u64::from(recorded.count_at_value()));
        if bound.is_none_or(|bound| value > bound) {
            let next = bound_of(value);
            buckets.push(Bucket { up_to: seconds(Duration::from_micros(next)), count: 0 });
            bound = Some(next);
        }
        if let Some(bucket) = buckets.last_mut() {
            bucket.count += count;
        }
    }
    buckets
}

/// The least bound that is no less than a number of microseconds.
fn bound_of(micros: u64) -> u64 {
    let mut bound = 10.0_f64;
    while bound.round() < float(micros) {
        bound *= 2.0_f64.powf(0.25);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a positive number of microseconds"
    )]
    let bound = bound.round() as u64;
    bound
}

fn failures(sum: &Recorder) -> Failures {
    Failures {
        by_class: sum.by_class.iter().map(|(class, (count, _))| (*class, *count)).collect(),
        by_status: sum.by_status.clone(),
        listed: sum
            .listed
            .iter()
            .map(|listed| Failed {
                at: seconds(listed.at),
                sent: seconds(listed.sent),
                class: listed.fault.class,
                status: listed.status,
                instance: listed.instance.as_deref().and_then(name),
                url: listed.url,
                text: listed.fault.text.clone(),
            })
            .collect(),
        unlisted: sum.failed() - sum.listed.len() as u64,
    }
}

fn timeline(sum: &Recorder, over_time: &LatencyOverTime, spans: &Spans) -> Timeline {
    let mut ok = Counts::default();
    for seen in &sum.instances {
        ok.merge(&seen.ok);
    }
    let figures = over_time.spans(spans.doublings, spans.count);
    let all = |which: usize| {
        figures.iter().map(|figures| seconds(Duration::from_micros(figures[which]))).collect::<Vec<_>>()
    };
    let failed: BTreeMap<_, _> =
        sum.by_class.iter().map(|(class, (_, counts))| (*class, spans.of(counts))).collect();
    Timeline { width: spans.width(), ok: spans.of(&ok), failed, p50: all(0), p99: all(1), max: all(2) }
}

/// A part of the requests that is too great to be an accident.
const SHARE: f64 = 0.001;

/// The generator's part of its cores from which on it may be what limits the rate.
const BUSY: f64 = 0.95;

fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let share = |count: u64| float(count) / float(report.requests.max(1));
    if let Some(late) = &report.late {
        let (max, asked) = (late.max * 1e3, &report.asked);
        if share(late.count) > SHARE {
            warnings.push(format!(
                "the generator is the bottleneck: it sent {} requests ({:.1} %) more than 1 ms late, {max:.0} ms at \
                 most; give it a processor core more and --threads {}, or a lower --rate",
                late.count,
                share(late.count) * 100.0,
                asked.threads + 1
            ));
        }
        if share(late.waited) > SHARE {
            warnings.push(format!(
                "{} requests ({:.1} %) waited for a connection, {max:.0} ms at most, as all {} were busy: the server \
                 cannot keep up, or --connections is too low",
                late.waited,
                share(late.waited) * 100.0,
                asked.connections
            ));
        }
    }
    if let Some(unsent) = report.late.map(|late| late.unsent).filter(|unsent| *unsent > 0) {
        warnings.push(format!(
            "{unsent} requests were due and have not been sent: their turn did not come in time"
        ));
    }
    // At a rate it is whether it is late that tells: at a high one it does not sleep.
    if report.asked.rate.is_none() && report.generator_load > BUSY {
        warnings.push(format!(
            "the generator used {:.0} % of the {} it may use: it may be what limits the rate and slows answers down",
            report.generator_load * 100.0,
            if report.asked.threads == 1 { "processor core" } else { "processor cores" }
        ));
    }
    for instance in &report.instances {
        let (asked, ok) = (&report.asked.instance, instance.ok);
        if instance.name.is_none() && ok > 0 {
            warnings.push(format!("{ok} answers do not say whose they are, by {asked}: see --instance"));
        }
        if instance.name.as_deref() == Some(OTHERS) {
            warnings.push(format!("{asked} tells more than 256 instances apart: those beyond are {OTHERS}"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_a_bucket_that_bounds_it() {
        let mut latencies = histogram();
        let values = [0, 1, 10, 11, 12, 13, 500, 10_000, 3_600_000_000];
        for value in values {
            latencies.record(value).unwrap();
        }
        let buckets = buckets(&latencies);
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), values.len() as u64);
        assert!(buckets.is_sorted_by(|one, next| one.up_to < next.up_to), "{buckets:?}");
        // 10, and then 10 times the fourth roots of 2, 4 and so on.
        let bounds: Vec<_> = buckets.iter().take(3).map(|bucket| (bucket.up_to, bucket.count)).collect();
        assert_eq!(bounds, [(0.00001, 3), (0.000_012, 2), (0.000_014, 1)]);
    }
}
