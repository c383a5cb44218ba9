//! Builds the report from the counts of the recorders.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::format::{moment, time};
use crate::plan::{HttpVersion, Plan};
use crate::presence::{self, Presence, connection_evenness, evenness};
use crate::recorder::{
    InstanceStats, LATE, MAX_INSTANCES, MAX_OTHERS, OTHERS, Recorder, UrlStats, add, histogram,
};
use crate::report::{
    Bucket, Connections, EndReason, Evenness, FailedRequest, Failures, Instance, Late, Latency, Phases,
    Report, Settings, Stall, Timeline, UrlResult, VERSION, WeightedUrl, seconds,
};
use crate::statistics::float;
use crate::timeline::{LatencySeries, TimeSeries, doublings_for};

/// Facts about the run as a whole.
#[derive(Clone, Copy, Debug)]
pub struct RunInfo {
    /// Reason for the end of the run.
    pub ended: EndReason,
    /// Duration of the run.
    pub elapsed: Duration,
    /// Start of the run, since 1970-01-01 UTC.
    pub started_at: Duration,
    /// Processor time used during the run.
    pub cpu: Duration,
    /// Number of processor cores.
    pub cores: usize,
    /// Time of the latest successful response.
    pub latest_ok: Duration,
}

/// Makes the report. `versions` holds the version of HTTP for each host of the plan.
pub fn report(
    plan: &Plan,
    versions: &[HttpVersion],
    mut sum: Recorder,
    latencies: &LatencySeries,
    info: &RunInfo,
) -> Report {
    sum.add_gap(info.latest_ok, info.elapsed);
    sum.instances.sort_by_key(|stats| stats.first);

    let elapsed = seconds(info.elapsed);
    // Responses after the end count, so the time that they took counts too.
    let responding = sum.instances.iter().map(|stats| stats.last).fold(info.elapsed, Duration::max);
    let per_second = |value: f64, time| if time > 0.0 { value / time } else { 0.0 };
    let spans = Spans::of(info.elapsed.max(sum.last_done), &sum);
    let mut all = histogram();
    for stats in &sum.instances {
        add(&mut all, &stats.latency);
    }
    let presences = sum.instances.iter().map(|stats| presence(stats, info, plan.outage_threshold));
    let presences: Vec<_> = presences.collect();
    let named: Vec<_> = sum.instances.iter().zip(&presences).filter(|(stats, _)| is_named(stats)).collect();
    let (evenness, no_evenness) = match assess_evenness(&sum, &named, &spans) {
        Ok(evenness) => (Some(evenness), None),
        Err(reason) => (None, Some(reason)),
    };
    let handovers: Vec<_> =
        named.iter().map(|(stats, presence)| (name(&stats.name), Presence::clone(presence))).collect();
    let instances = sum.instances.iter().zip(&presences);
    let responses = sum.ok + sum.by_status.values().sum::<u64>();
    let mut report = Report {
        version: VERSION,
        settings: settings(plan, versions),
        started_unix_ms: u64::try_from(info.started_at.as_millis()).unwrap_or(u64::MAX),
        seconds: elapsed,
        ended: info.ended,
        requests: sum.requests(),
        ok: sum.ok,
        ok_by_status: sum.ok_by_status.clone(),
        failed: sum.failed(),
        abandoned: sum.abandoned,
        retried: sum.retried,
        rate: per_second(float(responses), seconds(responding)),
        ok_rate: per_second(float(sum.ok), seconds(responding)),
        bytes: sum.bytes,
        urls: urls(&sum, &all),
        latency: latency(&all),
        phases: Phases {
            connect: latency(&sum.phases.connect),
            tls: latency(&sum.phases.tls),
            first_byte: latency(&sum.phases.first_byte),
        },
        late: plan.rate.map(|_| Late {
            threshold: seconds(LATE),
            count: sum.late,
            waited: sum.waited,
            max: seconds(sum.max_delay),
        }),
        instances: instances.map(|(stats, presence)| instance(stats, presence, responses, &spans)).collect(),
        instances_found: sum.instances_found() as u64,
        evenness,
        no_evenness,
        outages: sum.outages.report(),
        stalls: sum
            .stalls
            .iter()
            .map(|(from, to)| Stall { from: seconds(*from), to: seconds(*to) })
            .collect(),
        handovers: presence::handovers(&handovers),
        failures: failures(&sum),
        connections: Connections { opened: sum.opened, closed_idle: sum.closed_idle },
        timeline: timeline(&sum, latencies, &spans),
        generator_load: per_second(info.cpu.as_secs_f64(), seconds(info.elapsed.max(sum.last_done)))
            / float(info.cores.min(plan.threads as usize) as u64),
        warnings: Vec::new(),
        assertions: Vec::new(),
    };
    report.warnings = warnings(&report);
    report
}

/// Whether these are the counters of a single instance, which has given its name.
fn is_named(stats: &InstanceStats) -> bool {
    !stats.name.is_empty() && *stats.name != *OTHERS.as_bytes()
}

/// Computes the evenness of the shares of named instances. An error is the reason for which it is not assessable.
fn assess_evenness(
    sum: &Recorder,
    named: &[(&InstanceStats, &Presence)],
    spans: &Spans,
) -> Result<Evenness, String> {
    if sum.instances_found() > MAX_INSTANCES {
        return Err(format!("more than {MAX_INSTANCES} instances responded"));
    }
    let single = || "no two instances responded at the same time".to_owned();
    let connections: Vec<_> = named.iter().map(|(stats, _)| stats.connections).collect();
    let responses: u64 = named.iter().map(|(stats, _)| stats.responses()).sum();
    // If connections are chosen rather than requests, requests are not independent of each other.
    if sum.mixed_connections == 0 && responses > connections.iter().sum() {
        if named.len() > 1 && named.iter().any(|(_, presence)| presence.joined || presence.left) {
            return Err("each connection is kept by one instance, and instances joined or left".to_owned());
        }
        return connection_evenness(&connections).ok_or_else(single);
    }
    let shares = named.iter().map(|(stats, presence)| {
        let mut all = stats.ok.clone();
        all.merge(&stats.failed);
        (Presence::clone(presence), spans.counts(&all))
    });
    evenness(&shares.collect::<Vec<_>>(), spans.width()).ok_or_else(single)
}

/// Number and width of the spans of all time series.
struct Spans {
    doublings: u32,
    count: usize,
}

impl Spans {
    fn of(end: Duration, sum: &Recorder) -> Self {
        let last = u64::try_from(end.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1) - 1;
        // A response at the very start of a second belongs to that second.
        let last = last.max(if sum.ok + sum.failed() > 0 { sum.last_done.as_secs() } else { 0 });
        let doublings = doublings_for(last);
        Self { doublings, count: usize::try_from((last >> doublings) + 1).unwrap_or(usize::MAX) }
    }

    fn counts(&self, series: &TimeSeries) -> Vec<u64> {
        series.spans(self.doublings, self.count)
    }

    fn width(&self) -> f64 {
        float(1 << self.doublings)
    }
}

fn settings(plan: &Plan, versions: &[HttpVersion]) -> Settings {
    let all_speak = |version| versions.iter().all(|one| *one == version);
    let http = if all_speak(HttpVersion::Http1) {
        "1.1"
    } else if all_speak(HttpVersion::Http2) {
        "2"
    } else {
        "1.1 and 2"
    };
    let urls = plan.targets.iter();
    Settings {
        urls: urls.map(|target| WeightedUrl { url: target.url.clone(), weight: target.weight }).collect(),
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
        expect: plan.expect.to_string(),
        instance: plan.instance.to_string(),
    }
}

fn presence(stats: &InstanceStats, info: &RunInfo, tolerance: Duration) -> Presence {
    let [first, last, end, tolerance] = [stats.first, stats.last, info.elapsed, tolerance].map(seconds);
    Presence::new(seconds(stats.first_sent), (first, last), stats.responses(), end, tolerance)
}

fn name(name: &[u8]) -> Option<String> {
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

fn instance(stats: &InstanceStats, presence: &Presence, responses: u64, spans: &Spans) -> Instance {
    Instance {
        name: name(&stats.name),
        share: float(stats.responses()) / float(responses.max(1)),
        ok: stats.ok_count,
        failed: stats.failures.values().sum(),
        failures: stats.failures.clone(),
        latency: latency(&stats.latency),
        first: presence.first,
        last: presence.last,
        first_sent: seconds(stats.first_sent),
        last_sent: seconds(stats.last_sent),
        joined: presence.joined,
        left: presence.left,
        ok_over_time: spans.counts(&stats.ok),
        failed_over_time: spans.counts(&stats.failed),
    }
}

/// Results by URL. Those of a single URL are those of the run.
fn urls(sum: &Recorder, all: &Histogram<u32>) -> Vec<UrlResult> {
    if sum.urls.is_empty() {
        return vec![UrlResult { ok: sum.ok, failed: sum.failed() - sum.unsent(), latency: latency(all) }];
    }
    let result =
        |stats: &UrlStats| UrlResult { ok: stats.ok, failed: stats.failed, latency: latency(&stats.latency) };
    sum.urls.iter().map(result).collect()
}

fn latency(histogram: &Histogram<u32>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let quantile = |quantile| from_micros(histogram.value_at_quantile(quantile));
    Latency {
        count: histogram.len(),
        min: from_micros(histogram.min()),
        mean: histogram.mean().round() / 1e6,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: from_micros(histogram.max()),
        buckets: buckets(histogram),
    }
}

fn from_micros(micros: u64) -> f64 {
    seconds(Duration::from_micros(micros))
}

/// Joins the values of a histogram in buckets, four for each doubling of latency.
fn buckets(histogram: &Histogram<u32>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut bound = None;
    for recorded in histogram.iter_recorded() {
        let (value, count) = (recorded.value_iterated_to(), u64::from(recorded.count_at_value()));
        if bound.is_none_or(|bound| value > bound) {
            let next = upper_bound(value);
            buckets.push(Bucket { up_to: from_micros(next), count: 0 });
            bound = Some(next);
        }
        if let Some(bucket) = buckets.last_mut() {
            bucket.count += count;
        }
    }
    buckets
}

/// Upper bound of the bucket of a latency, both in microseconds.
fn upper_bound(micros: u64) -> u64 {
    let mut bound = 10.0_f64;
    while bound.round() < float(micros) {
        bound *= 2.0_f64.powf(0.25);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and in range")]
    let bound = bound.round() as u64;
    bound
}

fn failures(sum: &Recorder) -> Failures {
    let listed = sum.listed.iter().map(|listed| FailedRequest {
        at: seconds(listed.times.done),
        sent: seconds(listed.times.sent),
        class: listed.error.class,
        status: listed.status,
        instance: listed.instance.as_deref().and_then(name),
        url: listed.url,
        text: listed.error.text.clone(),
    });
    Failures {
        by_class: sum.by_class.iter().map(|(class, (count, _))| (*class, *count)).collect(),
        by_status: sum.by_status.clone(),
        listed: listed.collect(),
        unlisted: sum.failed() - sum.unsent() - sum.listed.len() as u64,
    }
}

fn timeline(sum: &Recorder, latencies: &LatencySeries, spans: &Spans) -> Timeline {
    let mut ok = TimeSeries::default();
    for stats in &sum.instances {
        ok.merge(&stats.ok);
    }
    let percentiles = latencies.spans(spans.doublings, spans.count);
    let column = |index: usize| percentiles.iter().map(|span| from_micros(span[index])).collect::<Vec<_>>();
    Timeline {
        width: spans.width(),
        ok: spans.counts(&ok),
        failed: sum.by_class.iter().map(|(class, (_, series))| (*class, spans.counts(series))).collect(),
        p50: column(0),
        p99: column(1),
        max: column(2),
    }
}

/// Fraction of requests above which late requests are reported.
const LATE_FRACTION: f64 = 0.001;

/// Processor usage above which the load generator may limit the rate.
const BUSY: f64 = 0.95;

fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let settings = &report.settings;
    if let Some(first) = report.stalls.first() {
        let total: f64 = report.stalls.iter().map(|stall| stall.to - stall.from).sum();
        warnings.push(format!(
            "the load generator did not run {}, for {} in total, first at {}: it was stopped, or its processor was busy; \
             this counts as latency, but not as an outage",
            if report.stalls.len() == 1 { "once".to_owned() } else { format!("{} times", report.stalls.len()) },
            time(total),
            moment(first.from)
        ));
    }
    if let Some(late) = &report.late {
        let fraction = |count: u64| float(count) / float(report.requests.max(1));
        let (percent, max) = (|count| fraction(count) * 100.0, late.max * 1e3);
        if fraction(late.count) > LATE_FRACTION {
            warnings.push(format!(
                "this machine was too busy for the load generator: {} requests ({:.1} %) were sent more than 1 ms late, by \
                 up to {max:.0} ms; give it another processor core and --threads {}, or lower --rate",
                late.count,
                percent(late.count),
                settings.threads + 1
            ));
        }
        if fraction(late.waited) > LATE_FRACTION {
            warnings.push(format!(
                "{} requests ({:.1} %) waited for a connection, for up to {max:.0} ms, since all {} were busy: the \
                 server cannot keep up, or --connections is too low",
                late.waited,
                percent(late.waited),
                settings.connections
            ));
        }
    }
    // At a rate, late requests are the better sign, since the generator waits busily at high rates.
    if settings.rate.is_none() && report.generator_load > BUSY {
        warnings.push(format!(
            "the load generator used {:.0} % of its processor {}: it may limit the rate and increase latency",
            report.generator_load * 100.0,
            if settings.threads == 1 { "core" } else { "cores" }
        ));
    }
    for instance in &report.instances {
        let key = &settings.instance;
        if instance.name.is_none() && instance.ok > 0 {
            warnings.push(format!(
                "{} responses do not name their instance by {key}; set --instance",
                instance.ok
            ));
        }
        if instance.name.as_deref() == Some(OTHERS) {
            let least = if report.instances_found >= MAX_OTHERS as u64 { "at least " } else { "" };
            warnings.push(format!(
                "{key} yields {least}{} names; those after the first {MAX_INSTANCES} are counted as {OTHERS}",
                report.instances_found
            ));
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
        // Bounds are 10 µs times powers of the fourth root of 2.
        let bounds: Vec<_> = buckets.iter().take(3).map(|bucket| (bucket.up_to, bucket.count)).collect();
        assert_eq!(bounds, [(0.00001, 3), (0.000_012, 2), (0.000_014, 1)]);
    }
}
