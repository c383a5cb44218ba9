//! What routing tests turn: how an answer looks, how long it takes, and how large it is.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Version;
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use runtime::{Body, Bytes, HeaderValue, Response, StatusCode, header, text};
use tokio::time::sleep;

use crate::amount::{self, at_most};
use crate::api::json;
use crate::content::{Noise, Text};
use crate::flow::{End, Lines, Source, Step, flow, flow_until};
use crate::headers;
use crate::query::Query;
use crate::random::Random;
use crate::range::{self, Asked};
use crate::weights::{self, Codes};

/// What nothing that is asked for may exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knobs {
    pub(crate) most_bytes: u64,
    pub(crate) longest: Duration,
}

type Answer = Result<Response, String>;

impl Knobs {
    /// Text of a size, as whoami has it: a size that makes no sense is 1, a unit that makes none is bytes.
    pub(crate) fn data(self, query: Query<'_>, range: Option<&HeaderValue>) -> Answer {
        let asked = query.get("size").unwrap_or_default();
        let unit = query.get("unit").unwrap_or_default();
        let size = match asked.strip_prefix('-') {
            Some(digits) if digits.parse::<u64>().is_ok() => 0,
            _ => {
                let digits = asked.strip_prefix('+').unwrap_or(&asked);
                let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
                let size = if is_number { digits.parse().unwrap_or(u64::MAX) } else { 1 };
                size.saturating_mul(amount::factor(&unit).unwrap_or(1))
            }
        };
        if size > self.most_bytes {
            return Err(format!(
                "size={asked:?}&unit={unit:?}: at most {} bytes (--max-bytes) are expected",
                self.most_bytes
            ));
        }
        if !query.is_true("attachment") {
            return Ok(text(flow(Text::new(size, 0..size))));
        }
        let asked = range.and_then(|range| range.to_str().ok());
        let (code, part) = match asked.map_or(Asked::All, |asked| range::parse(asked, size)) {
            Asked::All => (StatusCode::OK, 0..size),
            Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Asked::Unsatisfiable => {
                let mut response = text("invalid range: failed to overlap\n");
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
        };
        let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
        let mut response = text(flow(Text::new(size, part)));
        *response.status_mut() = code;
        insert(&mut response, header::CONTENT_DISPOSITION, "Attachment");
        insert(&mut response, header::ACCEPT_RANGES, "bytes");
        if code == StatusCode::PARTIAL_CONTENT {
            insert(&mut response, header::CONTENT_RANGE, &range);
        }
        Ok(response)
    }

    /// After a time, or after any from one to another.
    pub(crate) async fn delay(self, asked: &str) -> Answer {
        let (first, last) = amount::times(asked, self.longest)?;
        let spread = u64::try_from(last.saturating_sub(first).as_nanos()).unwrap_or(u64::MAX);
        let delay = first + Duration::from_nanos(Random::any().below(spread.saturating_add(1)));
        sleep(delay).await;
        Ok(text(format!("after {}\n", parse::format_go_duration(delay))))
    }

    /// Bytes that look random, the same for the same seed.
    pub(crate) fn bytes(self, asked: &str, query: Query<'_>) -> Answer {
        let size = amount::size(asked, self.most_bytes)?;
        let seed = query.read("seed", amount::seed)?;
        let mut response = Response::new(flow(Noise::new(seed.unwrap_or_default(), size)));
        insert(&mut response, CONTENT_TYPE, "application/octet-stream");
        Ok(response)
    }

    /// Lines of JSON, one after the other.
    pub(crate) fn stream(
        self,
        asked: &str,
        query: Query<'_>,
        line: impl Fn(u64) -> String + Send + Unpin + 'static,
    ) -> Answer {
        let left = amount::count(asked, self.most_lines(&line), "lines")?;
        let every = query.read("every", |every| amount::time(every, self.longest))?.unwrap_or_default();
        let pauses = u32::try_from(left.saturating_sub(1)).unwrap_or(u32::MAX);
        if every.checked_mul(pauses).is_none_or(|sum| sum > self.longest) {
            let every = parse::format_go_duration(every);
            return Err(format!("every={every:?}: for {left} lines {} is expected", at_most(self.longest)));
        }
        let lines = Lines { next: 0, left, every, until: self.longest, line, due: Duration::ZERO };
        let mut response = Response::new(flow(lines));
        insert(&mut response, CONTENT_TYPE, "application/x-ndjson");
        Ok(response)
    }

    /// Events, until there were enough, the client leaves, the drain begins, or time or bytes are used up.
    pub(crate) fn sse(
        self,
        query: Query<'_>,
        last: Option<&HeaderValue>,
        end: End,
        line: impl Fn(u64) -> String + Send + Unpin + 'static,
    ) -> Answer {
        let event = move |id| format!("id: {id}\ndata: {}\n", line(id));
        let most = self.most_lines(&event);
        let left = query.read("count", |count| amount::count(count, most, "events"))?.unwrap_or(most);
        let every = query.read("every", |every| amount::time(every, self.longest))?;
        let every = every.unwrap_or(Duration::from_secs(1));
        let last = last.and_then(|last| last.to_str().ok()?.parse::<u64>().ok());
        let next = last.map_or(0, |last| last.wrapping_add(1));
        let events = Lines { next, left, every, until: self.longest, line: event, due: Duration::ZERO };
        let mut response = Response::new(flow_until(end, events));
        insert(&mut response, CONTENT_TYPE, "text/event-stream");
        insert(&mut response, header::CACHE_CONTROL, "no-cache");
        Ok(response)
    }

    /// Bytes that come slowly, in a time that they share.
    pub(crate) async fn drip(self, query: Query<'_>) -> Answer {
        let size = query.read("numbytes", |size| amount::size(size, self.most_bytes))?.unwrap_or(10);
        let delay = query.read("delay", |delay| amount::seconds(delay, self.longest))?.unwrap_or_default();
        let left = self.longest.saturating_sub(delay);
        let default = Duration::from_secs(2).min(left);
        let duration = query.read("duration", |duration| amount::seconds(duration, left))?.unwrap_or(default);
        let code = query.read("code", weights::code)?.unwrap_or_default();
        sleep(delay).await;
        let mut response = Response::new(match code {
            code if is_without_body(code) => Body::empty(),
            _ => flow(Drip { size, sent: 0, duration }),
        });
        *response.status_mut() = code;
        insert(&mut response, CONTENT_TYPE, "application/octet-stream");
        Ok(response)
    }

    /// How many lines are not too many bytes.
    fn most_lines(self, line: &impl Fn(u64) -> String) -> u64 {
        self.most_bytes / line(u64::MAX).len().max(1) as u64
    }
}

/// A status code, picked by its weight.
pub(crate) fn status(asked: &str) -> Answer {
    let codes: Codes = asked.parse()?;
    let code = codes.pick(Random::any().below(codes.total()));
    let mut response = match code.canonical_reason() {
        _ if is_without_body(code) => Response::new(Body::empty()),
        Some(reason) => text(format!("{} {reason}\n", code.as_str())),
        None => text(format!("{}\n", code.as_str())),
    };
    *response.status_mut() = code;
    match code.as_u16() {
        301 | 302 | 303 | 307 | 308 => insert(&mut response, header::LOCATION, "/"),
        401 => insert(&mut response, header::WWW_AUTHENTICATE, "Basic realm=\"echo\""),
        407 => insert(&mut response, header::PROXY_AUTHENTICATE, "Basic realm=\"echo\""),
        _ => {}
    }
    Ok(response)
}

/// The request's headers as JSON.
pub(crate) fn headers(parts: &Parts) -> String {
    let mut all: BTreeMap<_, _> = headers::sorted(parts).into_iter().collect();
    all.insert("Host".to_owned(), vec![headers::host(parts)]);
    json(&BTreeMap::from([("headers", all)]))
}

/// A line of a stream, in JSON.
pub(crate) fn line(id: u64, hostname: &str, state: &str) -> String {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        id: u64,
        hostname: &'a str,
        state: &'a str,
    }
    json(&Line { id, hostname, state })
}

/// HTTP's version, as it stands in a request.
pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn is_without_body(code: StatusCode) -> bool {
    matches!(code.as_u16(), 204 | 205 | 304)
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Asterisks, each at its time.
struct Drip {
    size: u64,
    sent: u64,
    duration: Duration,
}

/// So many bytes are sent at once, at most, and ...
const DROP: u16 = 16 * 1024;

/// ... this often, at most.
const PAUSE: Duration = Duration::from_millis(10);

impl Drip {
    /// How many bytes are due: the first at once, and the last a byte's time before the end.
    fn due(&self, elapsed: Duration) -> u64 {
        if elapsed >= self.duration {
            return self.size;
        }
        let passed = u128::from(self.size) * elapsed.as_nanos() / self.duration.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1).min(self.size)
    }

    /// When the next byte is due.
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
        match self.due(elapsed).saturating_sub(self.sent).min(DROP.into()) {
            0 => Step::Wait(self.next().max(elapsed.saturating_add(PAUSE).min(self.duration))),
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
    static ALL: [u8; DROP as usize] = [b'*'; DROP as usize];
    Bytes::from_static(&ALL).slice(..usize::try_from(count).unwrap_or_default().min(ALL.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_share_their_time() {
        let mut drip = Drip { size: 4, sent: 0, duration: Duration::from_secs(2) };
        let ms = Duration::from_millis;
        assert_eq!(drip.step(ms(0)), Step::Bytes("*".into()));
        assert!(matches!(drip.step(ms(100)), Step::Wait(time) if time > ms(500) && time < ms(501)));
        assert_eq!(drip.step(ms(501)), Step::Bytes("*".into()));
        assert_eq!(drip.step(ms(9_000)), Step::Bytes("**".into()));
        assert_eq!(drip.step(ms(9_000)), Step::End);
    }

    #[test]
    fn many_small_drops_come_together() {
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
    fn drops_without_time_come_at_once() {
        let mut drip = Drip { size: u64::from(DROP) + 1, sent: 0, duration: Duration::ZERO };
        assert!(matches!(drip.step(Duration::ZERO), Step::Bytes(bytes) if bytes.len() == usize::from(DROP)));
        assert!(matches!(drip.step(Duration::ZERO), Step::Bytes(bytes) if bytes.len() == 1));
        assert_eq!(drip.step(Duration::ZERO), Step::End);
    }
}
