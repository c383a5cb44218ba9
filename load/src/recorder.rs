//! What a thread that sends writes down, and what all of them make together.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::counts::Counts;
use crate::fault::Fault;
use crate::gaps::GapLog;
use crate::report::Class;
use crate::seconds::micros;

/// How many failures are listed.
pub(crate) const LISTED: usize = 1000;

/// How many instances are told apart. More are no instances: somebody named a header that is another one in each answer.
pub(crate) const INSTANCES: usize = 256;

/// What stands for all instances beyond [`INSTANCES`].
pub(crate) const OTHERS: &str = "(others)";

/// A send that is later than this is late.
pub(crate) const LATE: Duration = Duration::from_millis(1);

/// The times of one request, since the load's start.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it should have been sent. Without a rate: when it was.
    pub due: Duration,
    /// When it was sent.
    pub sent: Duration,
    /// When the answer was whole, or it was known that there will be none.
    pub done: Duration,
}

/// A whole answer. The instance's name is kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How long its body is.
    pub bytes: u64,
}

/// How a request came to be sent when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// As soon as the answer before was there.
    Free,
    /// At its time, by a connection that had been idle.
    Due,
    /// After its time, when a connection was no longer busy.
    Waited,
}

/// What is known of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its name as it gives it; empty where it gave none.
    pub(crate) name: Box<[u8]>,
    pub(crate) ok: Counts,
    pub(crate) failed: Counts,
    pub(crate) ok_count: u64,
    pub(crate) failures: BTreeMap<Class, u64>,
    pub(crate) latency: Histogram<u32>,
    /// When its first answer was there, and its last one.
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    /// When the first request was sent that it answered, and the last one.
    pub(crate) first_sent: Duration,
    pub(crate) last_sent: Duration,
}

/// A failure that is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) at: Duration,
    pub(crate) sent: Duration,
    pub(crate) fault: Fault,
    pub(crate) status: Option<u16>,
    /// Whose bad answer it is.
    pub(crate) instance: Option<Box<[u8]>>,
    pub(crate) url: usize,
}

/// Counts everything.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(crate) abandoned: u64,
    pub(crate) ok: u64,
    pub(crate) bytes: u64,
    pub(crate) instances: Vec<Seen>,
    index: HashMap<Box<[u8]>, usize>,
    /// Who answered last: often it is the same one again.
    latest: usize,
    pub(crate) gaps: GapLog,
    pub(crate) by_class: BTreeMap<Class, (u64, Counts)>,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) listed: Vec<Listed>,
    pub(crate) late: u64,
    pub(crate) waited: u64,
    pub(crate) unsent: u64,
    pub(crate) latest_send: Duration,
    pub(crate) last_done: Duration,
    pub(crate) opened: u64,
    pub(crate) closed_idle: u64,
}

impl Recorder {
    /// An empty one, to list gaps of at least `gap`.
    pub fn new(gap: Duration) -> Self {
        Self {
            abandoned: 0,
            ok: 0,
            bytes: 0,
            instances: Vec::new(),
            index: HashMap::new(),
            latest: 0,
            gaps: GapLog::new(gap),
            by_class: BTreeMap::new(),
            by_status: BTreeMap::new(),
            listed: Vec::new(),
            late: 0,
            waited: 0,
            unsent: 0,
            latest_send: Duration::ZERO,
            last_done: Duration::ZERO,
            opened: 0,
            closed_idle: 0,
        }
    }

    /// So many requests are no longer awaited.
    pub fn abandoned(&mut self, count: u64) {
        self.abandoned += count;
    }

    /// So many requests were due, and will not be sent.
    pub fn unsent(&mut self, count: u64) {
        self.unsent += count;
    }

    /// A connection was made.
    pub fn opened(&mut self) {
        self.opened += 1;
    }

    /// The server has closed a connection that was idle.
    pub fn closed_idle(&mut self) {
        self.closed_idle += 1;
    }

    /// A request is done. `gap` says of a good answer's time since when there was none before, of all threads, and until
    /// when that counts.
    pub fn end(
        &mut self,
        times: Times,
        send: Send,
        url: usize,
        outcome: Result<Answer, Fault>,
        instance: &[u8],
        gap: impl FnOnce(Duration) -> (Duration, Duration),
    ) {
        self.last_done = self.last_done.max(times.done);
        self.punctuality(times, send);
        match outcome {
            Ok(answer) if answer.status < 400 => {
                self.ok += 1;
                self.bytes += answer.bytes;
                let (from, to) = gap(times.done);
                self.gaps.add(from, to);
                let seen = self.seen(instance, times);
                seen.ok_count += 1;
                seen.ok.add(times.done.as_secs());
                record(&mut seen.latency, times.done.saturating_sub(times.due));
            }
            Ok(Answer { status, .. }) => {
                let class = if status < 500 { Class::Status4xx } else { Class::Status5xx };
                let seen = self.seen(instance, times);
                *seen.failures.entry(class).or_default() += 1;
                seen.failed.add(times.done.as_secs());
                *self.by_status.entry(status).or_default() += 1;
                let fault = Fault::new(class, format_args!("status {status}"));
                self.fail(times, url, fault, Some(status), Some(instance));
            }
            Err(fault) => self.fail(times, url, fault, None, None),
        }
    }

    fn punctuality(&mut self, times: Times, send: Send) {
        let behind = times.sent.saturating_sub(times.due);
        self.latest_send = self.latest_send.max(behind);
        if behind > LATE {
            match send {
                Send::Free => {}
                Send::Due => self.late += 1,
                Send::Waited => self.waited += 1,
            }
        }
    }

    fn fail(&mut self, times: Times, url: usize, fault: Fault, status: Option<u16>, instance: Option<&[u8]>) {
        let (count, over_time) = self.by_class.entry(fault.class).or_default();
        *count += 1;
        over_time.add(times.done.as_secs());
        if self.listed.len() < LISTED {
            let instance = instance.filter(|name| !name.is_empty()).map(Into::into);
            self.listed.push(Listed { at: times.done, sent: times.sent, fault, status, instance, url });
        }
    }

    fn seen(&mut self, name: &[u8], times: Times) -> &mut Seen {
        let place = self.place(name);
        let seen = &mut self.instances[place];
        seen.first = seen.first.min(times.done);
        seen.last = seen.last.max(times.done);
        seen.first_sent = seen.first_sent.min(times.sent);
        seen.last_sent = seen.last_sent.max(times.sent);
        seen
    }

    fn place(&mut self, name: &[u8]) -> usize {
        if self.instances.get(self.latest).is_some_and(|seen| *seen.name == *name) {
            return self.latest;
        }
        let known = self.index.get(name).copied();
        self.latest = known.unwrap_or_else(|| {
            let is_one_too_many = self.instances.len() >= INSTANCES;
            let name = if is_one_too_many { OTHERS.as_bytes() } else { name };
            let instances = &mut self.instances;
            *self.index.entry(name.into()).or_insert_with(|| {
                instances.push(Seen::new(name));
                instances.len() - 1
            })
        });
        self.latest
    }

    /// Takes in what another one has counted, of other requests.
    pub fn merge(&mut self, other: &Self) {
        self.abandoned += other.abandoned;
        self.ok += other.ok;
        self.bytes += other.bytes;
        for theirs in &other.instances {
            let place = self.place(&theirs.name);
            self.instances[place].merge(theirs);
        }
        self.gaps.merge(&other.gaps);
        for (class, (count, over_time)) in &other.by_class {
            let ours = self.by_class.entry(*class).or_default();
            ours.0 += count;
            ours.1.merge(over_time);
        }
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.listed.extend_from_slice(&other.listed);
        self.listed.sort_by_key(|listed| listed.at);
        self.listed.truncate(LISTED);
        self.late += other.late;
        self.waited += other.waited;
        self.unsent += other.unsent;
        self.latest_send = self.latest_send.max(other.latest_send);
        self.last_done = self.last_done.max(other.last_done);
        self.opened += other.opened;
        self.closed_idle += other.closed_idle;
    }

    /// All requests that were sent.
    pub(crate) fn requests(&self) -> u64 {
        self.ok + self.failed() + self.abandoned
    }

    pub(crate) fn failed(&self) -> u64 {
        self.by_class.values().map(|(count, _)| count).sum()
    }
}

impl Seen {
    /// One that has not answered yet.
    fn new(name: &[u8]) -> Self {
        Self {
            name: name.into(),
            ok: Counts::default(),
            failed: Counts::default(),
            ok_count: 0,
            failures: BTreeMap::new(),
            latency: histogram(),
            first: Duration::MAX,
            last: Duration::ZERO,
            first_sent: Duration::MAX,
            last_sent: Duration::ZERO,
        }
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
    }
}

/// Of microseconds, exact to three digits, as long as is needed.
pub(crate) fn histogram() -> Histogram<u32> {
    Histogram::new(3).expect("three digits are possible")
}

/// Records a latency.
pub(crate) fn record(histogram: &mut Histogram<u32>, latency: Duration) {
    // It grows as it must, and cannot fail for values that are times.
    let _ = histogram.record(micros(latency));
}

/// Adds one to the other, which grows as it must.
pub(crate) fn add(histogram: &mut Histogram<u32>, other: &Histogram<u32>) {
    histogram.add(other).expect("a histogram that grows has room for another");
}
