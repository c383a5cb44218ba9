//! The report of a run, from which text, JSON and the HTML page are made.
//!
//! The JSON form is versioned by [`VERSION`]: fields may be added within a version, but are never removed, renamed or
//! redefined. All times are in seconds; those of events are since the start of the run. A request is successful if its
//! response is complete and has an expected status.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::statistics::float;

/// Version of the JSON form.
pub const VERSION: u32 = 2;

/// The report of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the JSON form: [`VERSION`].
    pub version: u32,
    /// Settings of the run.
    #[serde(rename = "asked")]
    pub settings: Settings,
    /// Start of the run in milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// Duration of the run. Responses that arrive after it are counted nevertheless.
    pub seconds: f64,
    /// Reason for the end of the run.
    pub ended: EndReason,
    /// Requests, including those that were not sent although they were due: `ok` + `failed` + `abandoned`.
    pub requests: u64,
    /// Successful requests.
    pub ok: u64,
    /// Successful requests by status.
    pub ok_by_status: BTreeMap<u16, u64>,
    /// Failed requests.
    pub failed: u64,
    /// Requests in flight when a second signal abandoned the run.
    pub abandoned: u64,
    /// Requests that were sent again over another HTTP/2 connection, since the server had certainly not processed them.
    pub retried: u64,
    /// Responses per second, successful or not, until the last response or the end of the run, whichever is later.
    pub rate: f64,
    /// Successful responses per second of the same time.
    pub ok_rate: f64,
    /// Bytes of the bodies of successful responses.
    pub bytes: u64,
    /// Latency of successful requests.
    pub latency: Latency,
    /// Durations of the phases of requests and connections.
    pub phases: Phases,
    /// Results by URL, for up to 256 URLs, in the order of the settings.
    pub urls: Vec<UrlResult>,
    /// Requests that were sent after their due time; `None` without a rate.
    pub late: Option<Late>,
    /// Instances that responded, in the order of their first responses.
    pub instances: Vec<Instance>,
    /// Number of instances that gave their names, also of those that are not listed.
    pub instances_found: u64,
    /// Evenness of the shares; `None` if it is not assessable.
    pub evenness: Option<Evenness>,
    /// Reason for which the evenness is not assessable.
    pub no_evenness: Option<String>,
    /// Times without a successful response.
    #[serde(rename = "gaps")]
    pub outages: Outages,
    /// Times during which the load generator itself did not run, up to 1,000 for each thread.
    pub stalls: Vec<Stall>,
    /// Replacements of instances.
    pub handovers: Vec<Handover>,
    /// Failed requests.
    pub failures: Failures,
    /// Connection counters.
    pub connections: Connections,
    /// Counts and latencies over time.
    pub timeline: Timeline,
    /// Processor time of the load generator as a fraction of the cores that its threads may use, from 0 to 1.
    pub generator_load: f64,
    /// Reasons to doubt the figures.
    pub warnings: Vec<String>,
    /// Assertions and their results.
    #[serde(rename = "demands")]
    pub assertions: Vec<Assertion>,
}

/// Settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Target URLs.
    pub urls: Vec<WeightedUrl>,
    /// Method of the requests.
    pub method: String,
    /// Version of HTTP: `1.1`, `2`, or `1.1 and 2` if hosts differ.
    pub http: String,
    /// Whether connections are reused.
    pub keep_alive: bool,
    /// Maximum number of connections per host.
    pub connections: u32,
    /// Maximum number of concurrent requests per connection.
    pub streams: u32,
    /// Number of threads.
    pub threads: u32,
    /// Requests per second; `None` for a closed loop.
    pub rate: Option<f64>,
    /// Time over which the rate or the number of connections rises.
    pub ramp: f64,
    /// Maximum duration.
    pub duration: Option<f64>,
    /// Maximum number of requests.
    pub requests: Option<u64>,
    /// Time limit of a request.
    pub timeout: f64,
    /// Statuses of successful responses, for example `2xx`.
    pub expect: String,
    /// Key of instances, for example `header:x-instance,x-served-by`.
    pub instance: String,
}

/// A URL and its weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedUrl {
    /// The URL.
    pub url: String,
    /// Weight: the URL's share of the requests is this divided by the sum of all weights.
    pub weight: u32,
}

/// Reason for the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The run has not ended: this is an interim report.
    #[default]
    Running,
    /// The duration is over.
    Duration,
    /// All requests were sent.
    Requests,
    /// A signal stopped the run.
    Interrupted,
}

/// Latency of successful requests, from the due time, or without a rate from the time of sending, to the complete response.
/// Without successful requests, all values are 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of requests.
    pub count: u64,
    /// Minimum.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
    /// Histogram: non-empty buckets in ascending order.
    pub buckets: Vec<Bucket>,
}

/// Durations of the phases of requests and connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// From the start of the first attempt to the TCP connection, for each connection.
    pub connect: Latency,
    /// TLS handshake, for each connection.
    pub tls: Latency,
    /// From sending the request to the head of the response, for each request with a complete response. Without waiting for a
    /// connection.
    pub first_byte: Latency,
}

/// Results of the requests to a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UrlResult {
    /// Successful requests.
    pub ok: u64,
    /// Failed requests that were sent.
    pub failed: u64,
    /// Latency of successful requests.
    pub latency: Latency,
}

/// A bucket of a latency histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Inclusive upper bound in seconds. The lower bound is the upper bound of the bucket before.
    pub up_to: f64,
    /// Number of requests.
    pub count: u64,
}

/// Requests that were sent after their due time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// Delay above which a request is late.
    pub threshold: f64,
    /// Late requests for which a connection was idle: the load generator could not keep up.
    pub count: u64,
    /// Late requests that waited for a connection while the load generator ran: the server could not keep up, or there were
    /// too few connections.
    pub waited: u64,
    /// Maximum delay.
    pub max: f64,
}

/// An instance that responded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Name; `None` collects responses without a name.
    pub name: Option<String>,
    /// Share of all requests with a response, from 0 to 1.
    pub share: f64,
    /// Successful requests.
    pub ok: u64,
    /// Failed requests that it responded to.
    pub failed: u64,
    /// Failed requests by class.
    pub failures: BTreeMap<ErrorClass, u64>,
    /// Latency of successful requests.
    pub latency: Latency,
    /// Time of the first response, successful or not.
    pub first: f64,
    /// Time of the last response.
    pub last: f64,
    /// Sending time of the first request that it responded to.
    pub first_sent: f64,
    /// Sending time of the last request that it responded to.
    pub last_sent: f64,
    /// Whether it started responding during the run.
    pub joined: bool,
    /// Whether it stopped responding during the run.
    pub left: bool,
    /// Successful requests in each span of the timeline.
    pub ok_over_time: Vec<u64>,
    /// Failed requests in each span of the timeline.
    pub failed_over_time: Vec<u64>,
}

/// Evenness of the shares of requests, over the spans during which the same instances responded from beginning to end; or of
/// connections, if each is served by one instance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evenness {
    /// Unit that is shared.
    pub of: Choice,
    /// Pearson's χ² against equal shares.
    pub chi_squared: f64,
    /// Degrees of freedom.
    pub degrees: u32,
    /// p-value: probability that random choice yields shares at least this uneven. Below 0.01 an instance is preferred.
    pub p: f64,
    /// Maximum deviation of an instance from an equal share, relative to that share: 0.1 is 10 % more or less.
    #[serde(rename = "skew")]
    pub imbalance: f64,
}

/// Unit for which an instance is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Each request.
    Requests,
    /// Each connection.
    Connections,
}

/// Times without a successful response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outages {
    /// Longest gap between two successful responses, or between one and the start or end of the run.
    pub longest: f64,
    /// Start of the longest gap.
    pub longest_at: f64,
    /// Minimum duration of a gap that is an outage.
    pub threshold: f64,
    /// Number of outages.
    pub count: u64,
    /// Total duration of outages.
    pub total: f64,
    /// The first outages, up to 1,000.
    pub listed: Vec<Outage>,
}

/// A gap between two successful responses that reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Time of the response before the outage.
    pub from: f64,
    /// Time of the response after the outage.
    pub to: f64,
}

/// A time during which the load generator did not run: it was stopped, or its processor was busy. It is no part of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Time before which it ran.
    pub from: f64,
    /// Time from which it ran again.
    pub to: f64,
}

/// An instance that left, and the one that replaced it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Instance that left.
    pub left: Option<String>,
    /// Time of its last response.
    pub left_at: f64,
    /// Instance that joined.
    pub joined: Option<String>,
    /// Time of its first response.
    pub joined_at: f64,
    /// Time during which both responded; negative if neither did.
    pub overlap: f64,
}

/// Failed requests. Each is counted in exactly one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// Failed requests by class.
    pub by_class: BTreeMap<ErrorClass, u64>,
    /// Failed requests by status, for complete responses.
    pub by_status: BTreeMap<u16, u64>,
    /// The first failed requests, up to 1,000.
    pub listed: Vec<FailedRequest>,
    /// Failed requests that were sent and are not listed.
    pub unlisted: u64,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// Time of the failure.
    pub at: f64,
    /// Time of sending.
    pub sent: f64,
    /// Error class.
    pub class: ErrorClass,
    /// Status of the response, if there was one.
    pub status: Option<u16>,
    /// Instance that responded, if it gave its name.
    pub instance: Option<String>,
    /// Index of the URL.
    pub url: usize,
    /// Error message.
    pub text: String,
}

/// Class of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// Connection refused.
    Refused,
    /// Connection reset.
    Reset,
    /// No complete response within the time limit.
    Timeout,
    /// Name resolution failed.
    Dns,
    /// TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// Connection closed before the response was complete.
    Closed,
    /// Status from 200 to 299 that was not expected.
    #[serde(rename = "2xx")]
    Status2xx,
    /// Status from 300 to 399, such as a redirect, that was not expected.
    #[serde(rename = "3xx")]
    Status3xx,
    /// Status from 400 to 499.
    #[serde(rename = "4xx")]
    Status4xx,
    /// Status of 500 and above.
    #[serde(rename = "5xx")]
    Status5xx,
    /// Invalid HTTP, or not the negotiated version.
    Protocol,
    /// Host or network unreachable.
    Unreachable,
    /// No port, file descriptor or memory left on the machine of the load generator.
    Local,
    /// Due, but not sent until one second after the end of the run.
    Unsent,
}

impl ErrorClass {
    /// Name in JSON and in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Status2xx => "2xx",
            Self::Status3xx => "3xx",
            Self::Status4xx => "4xx",
            Self::Status5xx => "5xx",
            Self::Protocol => "protocol",
            Self::Unreachable => "unreachable",
            Self::Local => "local",
            Self::Unsent => "unsent",
        }
    }
}

/// Connection counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Connections opened.
    pub opened: u64,
    /// Connections that the server closed while they were idle. This fails no request.
    pub closed_idle: u64,
}

/// Counts and latencies over time. All lists have one entry per span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a span in seconds: 1, doubled whenever there would be more than 1,800 spans.
    pub width: f64,
    /// Successful requests.
    pub ok: Vec<u64>,
    /// Failed requests by class, for the classes that occurred. Unsent requests are counted at their due times.
    pub failed: BTreeMap<ErrorClass, Vec<u64>>,
    /// Median latency of successful requests, 0 without any. In a span of several seconds, that of the worst second.
    pub p50: Vec<f64>,
    /// 99th percentile of latency.
    pub p99: Vec<f64>,
    /// Maximum latency.
    pub max: Vec<f64>,
}

/// An assertion and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Name of the flag, for example `max-gap`.
    pub name: String,
    /// Condition, for example `≤ 250 ms`.
    pub wanted: String,
    /// Measured value, for example `3 ms`, or the reason for which the condition is not assessable.
    pub got: String,
    /// Result.
    pub verdict: Verdict,
}

/// Result of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The condition is met.
    Met,
    /// The condition is not met.
    NotMet,
    /// The condition is not violated, but the run does not suffice to call it met.
    NotAssessable,
}

/// Converts a time to seconds, rounded to the microsecond, which is the precision of measurements.
pub(crate) fn seconds(time: Duration) -> f64 {
    float(micros(time)) / 1e6
}

/// Rounds a time to whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_same_name_in_json() {
        use ErrorClass::{Closed, Dns, Local, Protocol, Refused, Reset};
        use ErrorClass::{Status2xx, Status3xx, Status4xx, Status5xx};
        use ErrorClass::{Timeout, Tls, Unreachable, Unsent};
        let classes = [Refused, Reset, Timeout, Dns, Tls, Closed, Status4xx, Status5xx, Protocol];
        for class in classes.into_iter().chain([Unreachable, Local, Unsent, Status2xx, Status3xx]) {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
