//! What came of load: the one value that text, JSON and pages are made from.
//!
//! As JSON it is versioned by [`VERSION`]: fields may be added under the same number, and none is taken away, renamed or
//! given another meaning. All times are seconds, and those of events are since the load's start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The schema's version.
pub const VERSION: u32 = 1;

/// What came of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The schema's version, [`VERSION`].
    pub version: u32,
    /// What was asked for.
    pub asked: Asked,
    /// When the load started: milliseconds since 1970, UTC.
    pub started_unix_ms: u64,
    /// How long it was sent. Answers that came afterwards to what was under way are counted all the same.
    pub seconds: f64,
    /// Why it ended.
    pub ended: Ended,
    /// Requests that were sent, or that no connection was to be had for: the sum of `ok`, `failed` and `abandoned`.
    pub requests: u64,
    /// Those answered well: with a whole answer and a status below 400.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were under way when a second signal ended everything.
    pub abandoned: u64,
    /// Answers to requests in each second, good or bad.
    pub rate: f64,
    /// Bytes of good answers' bodies.
    pub bytes: u64,
    /// How long good answers took.
    pub latency: Latency,
    /// Requests that were sent later than they were due. None without a rate.
    pub late: Option<Late>,
    /// Who answered, in the order of first answers.
    pub instances: Vec<Instance>,
    /// How evenly. None where fewer than two instances answered side by side.
    pub evenness: Option<Evenness>,
    /// For how long nobody answered well.
    pub gaps: Gaps,
    /// Instances that took each other's place.
    pub handovers: Vec<Handover>,
    /// What failed.
    pub failures: Failures,
    /// Connections.
    pub connections: Connections,
    /// All of it over time.
    pub timeline: Timeline,
    /// What the generator used of the processor cores that it may use, from 0 to 1.
    pub generator_load: f64,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
    /// What was demanded, and whether it is met.
    pub demands: Vec<Demand>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Where requests go.
    pub urls: Vec<WeightedUrl>,
    /// Their method.
    pub method: String,
    /// `1.1`, `2`, or `auto`, which is what the server chose by TLS.
    pub http: String,
    /// Whether connections serve several requests.
    pub keep_alive: bool,
    /// The most connections at a time.
    pub connections: u32,
    /// The most requests at a time on each of them.
    pub streams: u32,
    /// Threads that send.
    pub threads: u32,
    /// Requests in each second; none where each connection sends as soon as it has its answer.
    pub rate: Option<f64>,
    /// For how long the rate or the number of connections rises, in seconds.
    pub ramp: f64,
    /// For how long it should be sent, in seconds.
    pub duration: Option<f64>,
    /// How many requests should be sent.
    pub requests: Option<u64>,
    /// Within what time each answer should have come, in seconds.
    pub timeout: f64,
    /// What tells instances apart, such as `header:x-served-by`.
    pub instance: String,
}

/// One of the URLs, and its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedUrl {
    /// The URL.
    pub url: String,
    /// Its part of the requests is this by the sum of all weights.
    pub weight: u32,
}

/// Why the load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It has not: this is what came of it so far.
    Running,
    /// Its time was over.
    Duration,
    /// All requests were sent.
    Requests,
    /// A signal ended it.
    Interrupted,
}

/// How long good answers took, in seconds: from when a request was due, or without a rate from when it was sent. All is
/// 0 where there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many they are.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half took no longer.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The greatest.
    pub max: f64,
    /// How many took how long, in ascending order, without empty ones.
    pub buckets: Vec<Bucket>,
}

/// Answers that took about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// They took no longer than this, in seconds, and longer than the bucket before.
    pub up_to: f64,
    /// How many they are.
    pub count: u64,
}

/// Requests that were sent later than they were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// Later by more than this counts, in seconds.
    pub threshold: f64,
    /// How many were late though a connection was free: the generator could not keep up.
    pub count: u64,
    /// How many waited for a connection, since all were busy: there were too few, or the server could not keep up.
    pub waited: u64,
    /// The latest one, in seconds.
    pub max: f64,
    /// How many were due and never sent, since the time was over before it was their turn. They count nowhere else.
    pub unsent: u64,
}

/// One who answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name. None stands for whoever gave none.
    pub name: Option<String>,
    /// Its part of all good answers, from 0 to 1.
    pub share: f64,
    /// Its good answers.
    pub ok: u64,
    /// Its bad ones.
    pub failed: u64,
    /// The bad ones by class.
    pub failures: BTreeMap<Class, u64>,
    /// How long its good answers took.
    pub latency: Latency,
    /// When its first answer was there, good or bad.
    pub first: f64,
    /// When its last one was.
    pub last: f64,
    /// When the first request was sent that it answered, well or badly.
    pub first_sent: f64,
    /// When the last one was: whether one that has been told to stop is still asked.
    pub last_sent: f64,
    /// Whether it came while load was sent, as far as can be told by its silence before.
    pub joined: bool,
    /// Whether it went while load was sent.
    pub left: bool,
    /// Its good answers in each of the timeline's spans.
    pub ok_over_time: Vec<u64>,
    /// Its bad ones.
    pub failed_over_time: Vec<u64>,
}

/// How evenly instances answered, over the spans in which the same ones were there from beginning to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evenness {
    /// Pearson's χ² against equal shares.
    pub chi_squared: f64,
    /// Its degrees of freedom.
    pub degrees: u32,
    /// How likely chance alone makes shares at least that uneven. Below 0.01 something prefers an instance.
    pub p: f64,
    /// How far an instance is from its equal share at most, as a part of that: 0.1 is 10 % more or less.
    pub skew: f64,
}

/// For how long nobody answered well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// The longest time between two good answers, or to start or end, in seconds.
    pub longest: f64,
    /// When that began.
    pub longest_at: f64,
    /// Gaps of at least this are listed, in seconds.
    pub threshold: f64,
    /// How many there were.
    pub count: u64,
    /// Their sum, in seconds.
    pub total: f64,
    /// The first of them, up to 1,000.
    pub listed: Vec<Gap>,
}

/// A time without a good answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When the answer before was there.
    pub from: f64,
    /// When the next one was there.
    pub to: f64,
}

/// An instance that left, and the one that took its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Who left.
    pub left: Option<String>,
    /// When its last answer was there.
    pub left_at: f64,
    /// Who came.
    pub joined: Option<String>,
    /// When its first answer was there.
    pub joined_at: f64,
    /// For how long both answered, in seconds; negative where neither did.
    pub overlap: f64,
}

/// What failed. Each failure is counted in exactly one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// How many of each class.
    pub by_class: BTreeMap<Class, u64>,
    /// How many with each status of 400 and above.
    pub by_status: BTreeMap<u16, u64>,
    /// The first ones, up to 1,000, by their times.
    pub listed: Vec<Failed>,
    /// How many more there are, which only the timeline has.
    pub unlisted: u64,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// When that was known.
    pub at: f64,
    /// When it was sent.
    pub sent: f64,
    /// Why.
    pub class: Class,
    /// The status, if there was one.
    pub status: Option<u16>,
    /// Who answered, if that was said.
    pub instance: Option<String>,
    /// Which of the URLs it was for, from 0.
    pub url: usize,
    /// What went wrong, for people.
    pub text: String,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Nobody listened.
    #[serde(rename = "refused")]
    Refused,
    /// The connection was reset.
    #[serde(rename = "reset")]
    Reset,
    /// No whole answer in time.
    #[serde(rename = "timeout")]
    Timeout,
    /// The host's name could not be resolved.
    #[serde(rename = "dns")]
    Dns,
    /// TLS could not be agreed upon, or the certificate is not to be believed.
    #[serde(rename = "tls")]
    Tls,
    /// The connection was closed before the answer was whole.
    #[serde(rename = "closed")]
    Closed,
    /// A status of 400 to 499.
    #[serde(rename = "4xx")]
    Status4xx,
    /// A status of 500 and above.
    #[serde(rename = "5xx")]
    Status5xx,
    /// What came was no HTTP, or not what had been agreed upon.
    #[serde(rename = "protocol")]
    Protocol,
    /// No way leads to the host or its network.
    #[serde(rename = "unreachable")]
    Unreachable,
    /// This machine had no port, descriptor or memory left: the fault is the generator's.
    #[serde(rename = "local")]
    Local,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Dns,
        Self::Tls,
        Self::Closed,
        Self::Status4xx,
        Self::Status5xx,
        Self::Protocol,
        Self::Unreachable,
        Self::Local,
    ];

    /// Its name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Status4xx => "4xx",
            Self::Status5xx => "5xx",
            Self::Protocol => "protocol",
            Self::Unreachable => "unreachable",
            Self::Local => "local",
        }
    }
}

/// Connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many were made.
    pub opened: u64,
    /// How many the server had closed while they were idle, which costs no request.
    pub closed_idle: u64,
}

/// What happened when. All lists have the same length: one entry for each span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// How long a span is, in seconds: 1 at first, and twice as long whenever there would be more than 1,800.
    pub width: f64,
    /// Good answers.
    pub ok: Vec<u64>,
    /// Failures by class, for the classes that occurred.
    pub failed: BTreeMap<Class, Vec<u64>>,
    /// Half of the good answers took no longer, in seconds; 0 where there was none. Of a span that is longer than a
    /// second: its worst second's.
    pub p50: Vec<f64>,
    /// 99 of 100.
    pub p99: Vec<f64>,
    /// All of them.
    pub max: Vec<f64>,
}

/// What was demanded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The option's name: `max-gap`.
    pub name: String,
    /// What it asks for, for people: `≤ 250 ms`.
    pub wanted: String,
    /// What came of it: `3 ms`.
    pub got: String,
    /// Whether it is met.
    pub met: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_names_of_classes() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
