//! The event stream: one JSON object per line.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{EngineError, Event};

/// Events that the agent needs. The filter excludes those of health checks, which run commands in each container all the
/// time.
const FILTERS: &str = concat!(
    r#"{"type":["container","network","service","node"],"#,
    r#""event":["create","start","kill","die","oom","pause","unpause","rename","update","destroy","health_status","#,
    r#""connect","disconnect","remove"]}"#
);

/// Maximum length of an event in bytes.
const MAX_LINE: usize = 1024 * 1024;

/// Path and query of the stream. `since` is its start in nanoseconds of Unix time.
pub(super) fn path(since: u64) -> String {
    let filters = utf8_percent_encode(FILTERS, NON_ALPHANUMERIC);
    format!("/events?since={}.{:09}&filters={filters}", since / 1_000_000_000, since % 1_000_000_000)
}

/// The stream. Dropping it closes the connection.
pub(crate) struct Events {
    body: Incoming,
    lines: Lines,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, lines: Lines::default() }
    }

    /// Waits for the next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Event, EngineError> {
        loop {
            if let Some(line) = self.lines.next() {
                return serde_json::from_slice(&line).map_err(EngineError::InvalidResponse);
            }
            let frame = self.body.frame().await.ok_or(EngineError::StreamEnded)?;
            let frame = frame.map_err(|error| EngineError::ConnectionLost(error.into()))?;
            if let Some(data) = frame.data_ref() {
                self.lines.push(data);
            }
            if self.lines.0.len() > MAX_LINE {
                return Err(EngineError::ConnectionLost(
                    format!("event longer than {MAX_LINE} bytes").into(),
                ));
            }
        }
    }
}

/// Buffer that splits the stream into lines.
#[derive(Default)]
struct Lines(BytesMut);

impl Lines {
    fn push(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    /// Takes the next complete line that is not empty.
    fn next(&mut self) -> Option<BytesMut> {
        loop {
            let end = self.0.iter().position(|byte| *byte == b'\n')?;
            let line = self.0.split_to(end + 1);
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_be_split_or_joined() {
        let mut lines = Lines::default();
        lines.push(b"{\"Type\":");
        assert!(lines.next().is_none());
        lines.push(b"\"a\"}\n\n{\"Type\":\"b\"}\r\n{");
        assert_eq!(&lines.next().unwrap()[..], b"{\"Type\":\"a\"}\n");
        assert_eq!(&lines.next().unwrap()[..], b"{\"Type\":\"b\"}\r\n");
        assert!(lines.next().is_none());
    }

    #[test]
    fn filter_is_json_and_time_has_nine_decimals() {
        assert!(serde_json::from_str::<serde_json::Value>(FILTERS).is_ok());
        assert!(
            path(1_700_000_000_000_000_042)
                .starts_with("/events?since=1700000000.000000042&filters=%7B%22type")
        );
    }
}
