//! Records the results of requests: one recorder per thread, merged for reports.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::RequestError;
use crate::outages::OutageLog;
use crate::report::{ErrorClass, micros};
use crate::timeline::TimeSeries;

/// Maximum number of failures that are listed.
pub(crate) const MAX_LISTED: usize = 1000;

/// Maximum number of instances that are told apart. More than this usually means that the key is not the name of an instance.
pub(crate) const MAX_INSTANCES: usize = 256;

/// Maximum number of further instances that are counted.
pub(crate) const MAX_OTHERS: usize = 65_536;

/// Name of the entry for all instances beyond [`MAX_INSTANCES`].
pub(crate) const OTHERS: &str = "(others)";

/// A request that is sent later than this after its due time is late.
pub(crate) const LATE: Duration = Duration::from_millis(1);

/// Maximum number of URLs that are told apart.
const MAX_URLS: usize = 256;

/// Maximum number of stalls of the load generator that are recorded.
const MAX_STALLS: usize = 1000;

/// Times of a request, since the start of the run.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Due time. Without a rate, the time of sending.
    pub due: Duration,
    /// Time of sending.
    pub sent: Duration,
    /// Time of the complete response, or of the error.
    pub done: Duration,
}

/// A complete response. The name of the instance is kept separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Whether the status is expected, so that the request was successful.
    pub is_ok: bool,
    /// Length of the body in bytes.
    pub bytes: u64,
    /// Time from sending the request to the head of the response.
    pub first_byte: Duration,
}

/// Reason for the time at which a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendRecord {
    /// Closed loop: sent after the previous response.
    Immediate,
    /// Open loop: sent when due, over an idle connection; or later, since the load generator did not keep up.
    Scheduled,
    /// Open loop: sent after the due time, since all connections were busy while the load generator ran.
    Waited,
}

/// Instances that have responded over a connection.
#[derive(Clone, Copy, Debug, Default)]
pub enum Seen {
    /// None.
    #[default]
    None,
    /// Only the one with this index.
    One(usize),
    /// At least two.
    Several,
}

/// A request that was sent, or that could not be sent.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Times of the request.
    pub times: Times,
    /// Reason for the time of sending.
    pub send: SendRecord,
    /// Index of the URL.
    pub url: usize,
    /// Instances that have responded over its connection.
    pub connection: &'a Cell<Seen>,
}

/// Counters of one instance.
#[derive(Clone, Debug)]
pub(crate) struct InstanceStats {
    /// Name as sent by the instance; empty if it sent none.
    pub(crate) name: Box<[u8]>,
    pub(crate) ok: TimeSeries,
    pub(crate) failed: TimeSeries,
    pub(crate) ok_count: u64,
    pub(crate) failures: BTreeMap<ErrorClass, u64>,
    pub(crate) latency: Histogram<u32>,
    /// Times of the first and the last response.
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    /// Times at which the first and the last request that it answered were sent.
    pub(crate) first_sent: Duration,
    pub(crate) last_sent: Duration,
    /// Connections over which only this instance responded.
    pub(crate) connections: u64,
}

/// Counters of one URL.
#[derive(Clone, Debug)]
pub(crate) struct UrlStats {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Histogram<u32>,
}

/// Durations of phases. See [`Phases`](crate::report::Phases).
#[derive(Clone, Debug)]
pub(crate) struct PhaseStats {
    pub(crate) connect: Histogram<u32>,
    pub(crate) tls: Histogram<u32>,
    pub(crate) first_byte: Histogram<u32>,
}

/// A failure that is listed.
#[derive(Clone, Debug)]
pub(crate) struct ListedFailure {
    pub(crate) times: Times,
    pub(crate) error: RequestError,
    pub(crate) status: Option<u16>,
    /// Instance that sent the response.
    pub(crate) instance: Option<Box<[u8]>>,
    pub(crate) url: usize,
}

/// Counters of a thread, or of several after a merge.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub(crate) abandoned: u64,
    /// HTTP/2 requests that were sent again, since the server had not processed them.
    pub(crate) retried: u64,
    pub(crate) ok: u64,
    pub(crate) bytes: u64,
    pub(crate) instances: Vec<InstanceStats>,
    index: HashMap<Box<[u8]>, usize>,
    /// Hashes of the names of further instances, up to [`MAX_OTHERS`].
    others: HashSet<u64>,
    /// Connections over which several instances responded.
    pub(crate) mixed_connections: u64,
    /// Index of the instance that responded last, which is often the next one too.
    latest: usize,
    pub(crate) outages: OutageLog,
    /// Times during which this thread did not run, in ascending order.
    pub(crate) stalls: Vec<(Duration, Duration)>,
    pub(crate) phases: PhaseStats,
    /// Counters by URL; empty if there is only one.
    pub(crate) urls: Vec<UrlStats>,
    pub(crate) by_class: BTreeMap<ErrorClass, (u64, TimeSeries)>,
    pub(crate) ok_by_status: BTreeMap<u16, u64>,
    /// Failed requests by status.
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) listed: Vec<ListedFailure>,
    pub(crate) late: u64,
    pub(crate) waited: u64,
    pub(crate) max_delay: Duration,
    pub(crate) last_done: Duration,
    /// Connections that were opened.
    pub(crate) opened: u64,
    /// Connections that the server closed while they were idle.
    pub(crate) closed_idle: u64,
}

impl Recorder {
    /// Creates an empty recorder for this number of URLs, which lists outages of at least `outage_threshold`.
    pub fn new(outage_threshold: Duration, urls: usize) -> Self {
        let urls = if urls > 1 { urls.min(MAX_URLS) } else { 0 };
        let stats = UrlStats { ok: 0, failed: 0, latency: histogram() };
        Self { outages: OutageLog::new(outage_threshold), urls: vec![stats; urls], ..Self::default() }
    }

    /// Records the result of a request. For a successful response, `gap` maps its time to the gap that it ends: from the
    /// previous success of any thread to that time, or to the end of the run if that is earlier.
    pub fn record(
        &mut self,
        attempt: Attempt<'_>,
        outcome: Result<Response, RequestError>,
        instance: &[u8],
        gap: impl FnOnce(Duration) -> (Duration, Duration),
    ) {
        let Attempt { times, send, url, connection } = attempt;
        self.last_done = self.last_done.max(times.done);
        let delay = times.sent.saturating_sub(times.due);
        self.max_delay = self.max_delay.max(delay);
        if delay > LATE {
            match send {
                SendRecord::Immediate => {}
                SendRecord::Scheduled => self.late += 1,
                SendRecord::Waited => self.waited += 1,
            }
        }
        if let Some(stats) = self.urls.get_mut(url) {
            if outcome.as_ref().is_ok_and(|response| response.is_ok) {
                stats.ok += 1;
                record(&mut stats.latency, times.done.saturating_sub(times.due));
            } else {
                stats.failed += 1;
            }
        }
        if let Ok(response) = outcome {
            record(&mut self.phases.first_byte, response.first_byte);
        }
        match outcome {
            Ok(response) if response.is_ok => {
                self.ok += 1;
                *self.ok_by_status.entry(response.status).or_default() += 1;
                self.bytes += response.bytes;
                let (from, to) = gap(times.done);
                self.add_gap(from, to);
                let stats = self.instance(instance, times, connection);
                stats.ok_count += 1;
                stats.ok.add(times.done.as_secs(), 1);
                record(&mut stats.latency, times.done.saturating_sub(times.due));
            }
            Ok(Response { status, .. }) => {
                let class = match status {
                    ..300 => ErrorClass::Status2xx,
                    300..400 => ErrorClass::Status3xx,
                    400..500 => ErrorClass::Status4xx,
                    500.. => ErrorClass::Status5xx,
                };
                let stats = self.instance(instance, times, connection);
                *stats.failures.entry(class).or_default() += 1;
                stats.failed.add(times.done.as_secs(), 1);
                *self.by_status.entry(status).or_default() += 1;
                let error = RequestError::new(class, format_args!("status {status}"));
                self.fail(times, url, error, Some(status), Some(instance));
            }
            Err(error) => self.fail(times, url, error, None, None),
        }
    }

    fn fail(
        &mut self,
        times: Times,
        url: usize,
        error: RequestError,
        status: Option<u16>,
        instance: Option<&[u8]>,
    ) {
        let (count, series) = self.by_class.entry(error.class).or_default();
        *count += 1;
        series.add(times.done.as_secs(), 1);
        if self.listed.len() < MAX_LISTED {
            let instance = instance.filter(|name| !name.is_empty()).map(Into::into);
            self.listed.push(ListedFailure { times, error, status, instance, url });
        }
    }

    fn instance(&mut self, name: &[u8], times: Times, connection: &Cell<Seen>) -> &mut InstanceStats {
        let index = self.index_of(name);
        match connection.get() {
            Seen::None => {
                connection.set(Seen::One(index));
                self.instances[index].connections += 1;
            }
            Seen::One(before) if before != index => {
                connection.set(Seen::Several);
                self.instances[before].connections -= 1;
                self.mixed_connections += 1;
            }
            Seen::One(_) | Seen::Several => {}
        }
        let stats = &mut self.instances[index];
        stats.first = stats.first.min(times.done);
        stats.last = stats.last.max(times.done);
        stats.first_sent = stats.first_sent.min(times.sent);
        stats.last_sent = stats.last_sent.max(times.sent);
        stats
    }

    fn index_of(&mut self, name: &[u8]) -> usize {
        if self.instances.get(self.latest).is_some_and(|stats| *stats.name == *name) {
            return self.latest;
        }
        let known = self.index.get(name).copied();
        self.latest = known.unwrap_or_else(|| {
            let is_full = self.instances.len() >= MAX_INSTANCES;
            if is_full && name != OTHERS.as_bytes() && self.others.len() < MAX_OTHERS {
                self.others.insert(hash(name));
            }
            let name = if is_full { OTHERS.as_bytes() } else { name };
            let instances = &mut self.instances;
            *self.index.entry(name.into()).or_insert_with(|| {
                instances.push(InstanceStats::new(name));
                instances.len() - 1
            })
        });
        self.latest
    }

    /// Number of instances that gave their names. Above [`MAX_OTHERS`], there may be more.
    pub(crate) fn instances_found(&self) -> usize {
        // One thread may tell an instance apart that another one does not.
        let names = self.instances.iter().map(|stats| &stats.name);
        let kept =
            names.filter(|name| !name.is_empty() && ***name != *OTHERS.as_bytes()).map(|name| hash(name));
        let kept: HashSet<_> = kept.collect();
        kept.union(&self.others).count()
    }

    /// Adds the counters of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.abandoned += other.abandoned;
        self.retried += other.retried;
        self.ok += other.ok;
        self.bytes += other.bytes;
        for theirs in &other.instances {
            let index = self.index_of(&theirs.name);
            self.instances[index].merge(theirs);
        }
        self.others.extend(&other.others);
        self.mixed_connections += other.mixed_connections;
        self.phases.merge(&other.phases);
        for (ours, theirs) in self.urls.iter_mut().zip(&other.urls) {
            ours.ok += theirs.ok;
            ours.failed += theirs.failed;
            add(&mut ours.latency, &theirs.latency);
        }
        self.outages.merge(&other.outages);
        self.stalls.extend_from_slice(&other.stalls);
        self.stalls.sort_unstable();
        self.stalls.dedup_by(|next, one| {
            let overlap = next.0 <= one.1;
            one.1 = if overlap { one.1.max(next.1) } else { one.1 };
            overlap
        });
        for (class, (count, series)) in &other.by_class {
            let ours = self.by_class.entry(*class).or_default();
            ours.0 += count;
            ours.1.merge(series);
        }
        for (status, count) in &other.ok_by_status {
            *self.ok_by_status.entry(*status).or_default() += count;
        }
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.listed.extend_from_slice(&other.listed);
        self.listed.sort_by_key(|listed| listed.times.done);
        self.listed.truncate(MAX_LISTED);
        self.late += other.late;
        self.waited += other.waited;
        self.max_delay = self.max_delay.max(other.max_delay);
        self.last_done = self.last_done.max(other.last_done);
        self.opened += other.opened;
        self.closed_idle += other.closed_idle;
    }

    /// Records a connection that was opened.
    pub(crate) fn add_connection(&mut self, connect: Duration, tls: Option<Duration>) {
        self.opened += 1;
        record(&mut self.phases.connect, connect);
        if let Some(tls) = tls {
            record(&mut self.phases.tls, tls);
        }
    }

    /// Records a time during which the thread did not run.
    pub(crate) fn add_stall(&mut self, from: Duration, to: Duration) {
        if self.stalls.len() < MAX_STALLS {
            self.stalls.push((from, to));
        }
    }

    /// Records the gap between two successful responses. A stall of the load generator divides it, since a response may have
    /// arrived in the meantime.
    pub(crate) fn add_gap(&mut self, mut from: Duration, to: Duration) {
        let first = self.stalls.partition_point(|(_, end)| *end <= from);
        for (begin, end) in self.stalls[first..].iter().take_while(|(begin, _)| *begin < to) {
            self.outages.add(from, *begin);
            from = *end;
        }
        self.outages.add(from, to);
    }

    /// Records requests that were due in a second of the run, but have not been sent.
    pub(crate) fn add_unsent(&mut self, second: u64, requests: u64) {
        let (count, series) = self.by_class.entry(ErrorClass::Unsent).or_default();
        *count += requests;
        series.add(second, requests);
    }

    /// Number of requests, including unsent ones.
    pub(crate) fn requests(&self) -> u64 {
        self.ok + self.failed() + self.abandoned
    }

    /// Number of requests that were due, but have not been sent.
    pub(crate) fn unsent(&self) -> u64 {
        self.by_class.get(&ErrorClass::Unsent).map_or(0, |(count, _)| *count)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.by_class.values().map(|(count, _)| count).sum()
    }
}

impl Default for PhaseStats {
    fn default() -> Self {
        Self { connect: histogram(), tls: histogram(), first_byte: histogram() }
    }
}

impl PhaseStats {
    fn merge(&mut self, other: &Self) {
        add(&mut self.connect, &other.connect);
        add(&mut self.tls, &other.tls);
        add(&mut self.first_byte, &other.first_byte);
    }
}

impl InstanceStats {
    fn new(name: &[u8]) -> Self {
        Self {
            name: name.into(),
            ok: TimeSeries::default(),
            failed: TimeSeries::default(),
            ok_count: 0,
            failures: BTreeMap::new(),
            latency: histogram(),
            first: Duration::MAX,
            last: Duration::ZERO,
            first_sent: Duration::MAX,
            last_sent: Duration::ZERO,
            connections: 0,
        }
    }

    /// Number of responses.
    pub(crate) fn responses(&self) -> u64 {
        self.ok_count + self.failures.values().sum::<u64>()
    }

    fn merge(&mut self, other: &Self) {
        self.ok.merge(&other.ok);
        self.failed.merge(&other.failed);
        self.ok_count += other.ok_count;
        for (class, count) in &other.failures {
            *self.failures.entry(*class).or_default() += count;
        }
        add(&mut self.latency, &other.latency);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.first_sent = self.first_sent.min(other.first_sent);
        self.last_sent = self.last_sent.max(other.last_sent);
        self.connections += other.connections;
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// Creates a histogram of microseconds with three significant digits, which grows as needed.
pub fn histogram() -> Histogram<u32> {
    Histogram::new(3).expect("three digits are supported")
}

/// Records a latency.
pub fn record(histogram: &mut Histogram<u32>, latency: Duration) {
    // A histogram that grows as needed accepts every value.
    let _ = histogram.record(micros(latency));
}

/// Adds one histogram to another.
pub(crate) fn add(histogram: &mut Histogram<u32>, other: &Histogram<u32>) {
    histogram.add(other).expect("the histogram grows as needed");
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn stall_of_the_load_generator_is_no_outage() {
        let mut recorder = Recorder::new(MS(250), 1);
        let mut other = recorder.clone();
        recorder.add_stall(MS(1000), MS(1500));
        recorder.add_gap(MS(990), MS(1510));
        assert_eq!(recorder.outages.report().count, 0);
        // An outage that began before the stall, and one that lasted longer.
        recorder.add_gap(MS(700), MS(1500));
        recorder.add_gap(MS(1000), MS(1800));
        let outages = recorder.outages.report();
        let times: Vec<_> = outages.listed.iter().map(|outage| (outage.from, outage.to)).collect();
        assert_eq!(times, [(0.7, 1.0), (1.5, 1.8)]);
        recorder.add_gap(MS(1500), MS(1600));
        assert_eq!(recorder.outages.report().count, 2);
        // Threads that stalled together.
        other.add_stall(MS(1010), MS(1510));
        other.add_stall(MS(3000), MS(3200));
        recorder.merge(&other);
        assert_eq!(recorder.stalls, [(MS(1000), MS(1510)), (MS(3000), MS(3200))]);
    }
}
