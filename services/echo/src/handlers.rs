//! Handlers for routing tests: status, delay and size of the response.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Version};
use runtime::{Body, Bytes, HeaderValue, Response, StatusCode, header, text};
use tokio::time::sleep;

use crate::api::json;
use crate::body_stream::{Lines, Shutdown, Source, Step, stream_body};
use crate::content::{Noise, Text};
use crate::headers;
use crate::overrides::set_status;
use crate::params::{self, at_most};
use crate::query::Query;
use crate::random::Random;
use crate::range::{self, ByteRange};
use crate::weights::{self, WeightedCodes};

/// Limits of what a request can ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handlers {
    pub(crate) max_bytes: u64,
    pub(crate) max_delay: Duration,
}

type Answer = Result<Response, String>;

const OCTETS: &str = "application/octet-stream";

impl Handlers {
    /// Returns text of a given size, as whoami does: an invalid size is 1, an invalid unit is bytes.
    pub(crate) fn data(self, query: Query<'_>, range: Option<&HeaderValue>) -> Answer {
        let size_text = query.get("size").unwrap_or_default();
        let unit = query.get("unit").unwrap_or_default();
        let size = match size_text.strip_prefix('-') {
            Some(digits) if digits.parse::<u64>().is_ok() => 0,
            _ => {
                let digits = size_text.strip_prefix('+').unwrap_or(&size_text);
                let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
                let size = if is_number { digits.parse().unwrap_or(u64::MAX) } else { 1 };
                size.saturating_mul(params::factor(&unit).unwrap_or(1))
            }
        };
        if size > self.max_bytes {
            return Err(format!(
                "size={size_text:?}&unit={unit:?}: expected at most {} bytes (--max-bytes)",
                self.max_bytes
            ));
        }
        if !query.is_true("attachment") {
            return Ok(text(stream_body(Text::new(size, 0..size), None)));
        }
        let range_text = range.and_then(|range| range.to_str().ok());
        let (code, part) = match range_text.map_or(ByteRange::All, |text| range::parse(text, size)) {
            ByteRange::All => (StatusCode::OK, 0..size),
            ByteRange::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            ByteRange::Unsatisfiable => {
                let mut response = text("invalid range: failed to overlap\n");
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
        };
        let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
        let mut response = text(stream_body(Text::new(size, part), None));
        *response.status_mut() = code;
        insert(&mut response, header::CONTENT_DISPOSITION, "Attachment");
        insert(&mut response, header::ACCEPT_RANGES, "bytes");
        if code == StatusCode::PARTIAL_CONTENT {
            insert(&mut response, header::CONTENT_RANGE, &range);
        }
        Ok(response)
    }

    /// Responds after a delay, which is random within a range.
    pub(crate) async fn delay(self, parameter: &str) -> Answer {
        let delay = pick(params::times(parameter, self.max_delay)?);
        sleep(delay).await;
        Ok(text(format!("after {}\n", parse::format_go_duration(delay))))
    }

    /// Returns random bytes, the same for the same seed.
    pub(crate) fn bytes(self, parameter: &str, query: Query<'_>) -> Answer {
        let size = params::size(parameter, self.max_bytes)?;
        let seed = query.read("seed", params::seed)?;
        Ok(with_type(OCTETS, stream_body(Noise::new(seed.unwrap_or_default(), size), None)))
    }

    /// Returns lines of JSON at an interval.
    pub(crate) fn stream(
        self,
        parameter: &str,
        query: Query<'_>,
        line: impl Fn(u64) -> String + Send + Unpin + 'static,
    ) -> Answer {
        let left = params::count(parameter, self.max_lines(&line), "lines")?;
        let every = query.read("every", |every| params::time(every, self.max_delay))?.unwrap_or_default();
        let pauses = u32::try_from(left.saturating_sub(1)).unwrap_or(u32::MAX);
        if every.checked_mul(pauses).is_none_or(|sum| sum > self.max_delay) {
            let every = parse::format_go_duration(every);
            return Err(format!("every={every:?}: expected {} for {left} lines", at_most(self.max_delay)));
        }
        let lines = Lines { next: 0, left, every, until: self.max_delay, line, due: Duration::ZERO };
        Ok(with_type("application/x-ndjson", stream_body(lines, None)))
    }

    /// Returns server-sent events until their number, the time or the size is reached, or the drain begins.
    pub(crate) fn sse(
        self,
        query: Query<'_>,
        last: Option<&HeaderValue>,
        end: Shutdown,
        line: impl Fn(u64) -> String + Send + Unpin + 'static,
    ) -> Answer {
        let event = move |id| format!("id: {id}\ndata: {}\n", line(id));
        let max = self.max_lines(&event);
        let left = query.read("count", |count| params::count(count, max, "events"))?.unwrap_or(max);
        let every = query.read("every", |every| params::time(every, self.max_delay))?;
        let every = every.unwrap_or(Duration::from_secs(1));
        let last = last.and_then(|last| last.to_str().ok()?.parse::<u64>().ok());
        let next = last.map_or(0, |last| last.wrapping_add(1));
        let events = Lines { next, left, every, until: self.max_delay, line: event, due: Duration::ZERO };
        let mut response = with_type("text/event-stream", stream_body(events, Some(end)));
        insert(&mut response, header::CACHE_CONTROL, "no-cache");
        Ok(response)
    }

    /// Returns bytes that are spread evenly over a duration.
    pub(crate) fn drip(self, query: Query<'_>) -> Answer {
        let size = query.read("numbytes", |size| params::size(size, self.max_bytes))?.unwrap_or(10);
        let default = Duration::from_secs(2).min(self.max_delay);
        let duration = query.read("duration", |duration| params::seconds(duration, self.max_delay))?;
        let duration = duration.unwrap_or(default);
        let code = query.read("code", weights::code)?.unwrap_or_default();
        let mut response = with_type(OCTETS, stream_body(Drip { size, sent: 0, duration }, None));
        set_status(&mut response, code);
        Ok(response)
    }

    /// Returns the maximum number of lines within the size limit.
    fn max_lines(self, line: &impl Fn(u64) -> String) -> u64 {
        self.max_bytes / line(u64::MAX).len().max(1) as u64
    }
}

/// Responds with a status code picked by weight.
pub(crate) fn status(parameter: &str) -> Answer {
    let codes: WeightedCodes = parameter.parse()?;
    let code = codes.pick(Random::with_random_seed().below(codes.total()));
    let mut response = text(match code.canonical_reason() {
        Some(reason) => format!("{} {reason}\n", code.as_str()),
        None => format!("{}\n", code.as_str()),
    });
    set_status(&mut response, code);
    Ok(response)
}

/// Returns the request headers as JSON.
pub(crate) fn headers(parts: &Parts) -> Response {
    let mut all = headers::sorted(parts);
    all.push(("Host".to_owned(), vec![headers::host(parts)]));
    headers_as_json(all)
}

/// Returns the headers of the response as JSON, as far as the request sets them.
pub(crate) fn response_headers(headers: &HeaderMap) -> Response {
    headers_as_json(headers::all(headers))
}

fn headers_as_json(headers: impl IntoIterator<Item = (String, Vec<String>)>) -> Response {
    let headers: BTreeMap<_, _> = headers.into_iter().collect();
    with_type("application/json", json(&BTreeMap::from([("headers", headers)])))
}

/// Returns a random duration from the first to the second one.
pub(crate) fn pick((first, last): (Duration, Duration)) -> Duration {
    let spread = u64::try_from(last.saturating_sub(first).as_nanos()).unwrap_or(u64::MAX);
    first + Duration::from_nanos(Random::with_random_seed().below(spread.saturating_add(1)))
}

/// Formats a line of a stream as JSON.
pub(crate) fn line(id: u64, hostname: &str, state: &str) -> String {
    #[derive(serde::Serialize)]
    struct StreamLine<'a> {
        id: u64,
        hostname: &'a str,
        state: &'a str,
    }
    json(&StreamLine { id, hostname, state })
}

/// Returns the HTTP version as written in a request.
pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Returns a response with this content type.
pub(crate) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Asterisks spread over a duration.
struct Drip {
    size: u64,
    sent: u64,
    duration: Duration,
}

/// Maximum number of bytes in one step.
const DRIP_STEP: u16 = 16 * 1024;

/// Minimum time between two steps.
const DRIP_INTERVAL: Duration = Duration::from_millis(10);

impl Drip {
    /// Returns the number of bytes due: the first at once, the last one byte's time before the end.
    fn due(&self, elapsed: Duration) -> u64 {
        if elapsed >= self.duration {
            return self.size;
        }
        let passed = u128::from(self.size) * elapsed.as_nanos() / self.duration.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1).min(self.size)
    }

    /// Returns the time at which the next byte is due.
    fn next(&self) -> Duration {
        let time = self.duration.as_nanos() * u128::from(self.sent) / u128::from(self.size.max(1));
        Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX).saturating_add(1))
    }
}

impl Source for Drip {
    fn step(&mut self, elapsed: Duration) -> Step {
        if self.sent >= self.size {
            return Step::End;
        }
        match self.due(elapsed).saturating_sub(self.sent).min(DRIP_STEP.into()) {
            0 => Step::Wait(self.next().max(elapsed.saturating_add(DRIP_INTERVAL).min(self.duration))),
            count => {
                self.sent += count;
                Step::Bytes(asterisks(count))
            }
        }
    }

    fn left(&self) -> Option<u64> {
        Some(self.size - self.sent)
    }
}

fn asterisks(count: u64) -> Bytes {
    static ALL: [u8; DRIP_STEP as usize] = [b'*'; DRIP_STEP as usize];
    Bytes::from_static(&ALL).slice(..usize::try_from(count).unwrap_or_default().min(ALL.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_over_the_duration() {
        let mut drip = Drip { size: 4, sent: 0, duration: Duration::from_secs(2) };
        let ms = Duration::from_millis;
        assert_eq!(drip.step(ms(0)), Step::Bytes("*".into()));
        assert!(matches!(drip.step(ms(100)), Step::Wait(time) if time > ms(500) && time < ms(501)));
        assert_eq!(drip.step(ms(501)), Step::Bytes("*".into()));
        assert_eq!(drip.step(ms(9_000)), Step::Bytes("**".into()));
        assert_eq!(drip.step(ms(9_000)), Step::End);
    }

    #[test]
    fn bytes_are_sent_in_batches() {
        let mut drip = Drip { size: 1_000_000, sent: 0, duration: Duration::from_secs(1) };
        let (mut elapsed, mut steps) = (Duration::ZERO, 0);
        loop {
            match drip.step(elapsed) {
                Step::Bytes(_) => steps += 1,
                Step::Wait(until) => {
                    assert!(until > elapsed, "{until:?} is not after {elapsed:?}");
                    elapsed = until;
                }
                Step::End => break,
            }
        }
        assert_eq!(drip.sent, 1_000_000);
        assert!(steps <= 110, "{steps}");
        assert!(elapsed <= Duration::from_secs(1));
    }

    #[test]
    fn without_duration_all_bytes_are_sent_at_once() {
        let mut drip = Drip { size: u64::from(DRIP_STEP) + 1, sent: 0, duration: Duration::ZERO };
        assert!(
            matches!(drip.step(Duration::ZERO), Step::Bytes(bytes) if bytes.len() == usize::from(DRIP_STEP))
        );
        assert!(matches!(drip.step(Duration::ZERO), Step::Bytes(bytes) if bytes.len() == 1));
        assert_eq!(drip.step(Duration::ZERO), Step::End);
    }
}
