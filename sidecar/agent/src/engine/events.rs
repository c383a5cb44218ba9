//! The stream of events: one JSON object a line, for as long as the engine lives.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{EngineError, Event};

/// What is of interest. Not so are those of the commands that a health check runs in each container all the time; so
/// the engine is asked to leave them out.
const FILTERS: &str = concat!(
    r#"{"type":["container","network","service","node"],"#,
    r#""event":["create","start","kill","die","oom","pause","unpause","rename","update","destroy","health_status","#,
    r#""connect","disconnect","remove"]}"#
);

/// No event is longer.
const LONGEST_LINE: usize = 1024 * 1024;

/// Path and query of what happens from now on, and has happened since `since`, in nanoseconds of Unix time.
pub(super) fn path(since: u64) -> String {
    let filters = utf8_percent_encode(FILTERS, NON_ALPHANUMERIC);
    format!("/events?since={}.{:09}&filters={filters}", since / 1_000_000_000, since % 1_000_000_000)
}

/// The stream. It is closed when dropped.
pub(crate) struct Events {
    body: Incoming,
    lines: Lines,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, lines: Lines::default() }
    }

    /// The next event. Nothing is lost when the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Result<Event, EngineError> {
        loop {
            if let Some(line) = self.lines.next() {
                return serde_json::from_slice(&line).map_err(EngineError::Garbled);
            }
            let frame = self.body.frame().await.ok_or(EngineError::Ended)?;
            let frame = frame.map_err(|error| EngineError::Lost(error.into()))?;
            if let Some(data) = frame.data_ref() {
                self.lines.push(data);
            }
            if self.lines.0.len() > LONGEST_LINE {
                return Err(EngineError::Lost(
                    format!("an event is longer than {LONGEST_LINE} bytes").into(),
                ));
            }
        }
    }
}

/// Text that comes in pieces.
#[derive(Default)]
struct Lines(BytesMut);

impl Lines {
    fn push(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    /// The next whole line that is not empty.
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
    fn a_line_may_come_in_pieces_and_several_in_one() {
        let mut lines = Lines::default();
        lines.push(b"{\"Type\":");
        assert!(lines.next().is_none());
        lines.push(b"\"a\"}\n\n{\"Type\":\"b\"}\r\n{");
        assert_eq!(&lines.next().unwrap()[..], b"{\"Type\":\"a\"}\n");
        assert_eq!(&lines.next().unwrap()[..], b"{\"Type\":\"b\"}\r\n");
        assert!(lines.next().is_none());
    }

    #[test]
    fn the_filter_is_json_and_the_time_has_nine_digits_behind_the_point() {
        assert!(serde_json::from_str::<serde_json::Value>(FILTERS).is_ok());
        assert!(
            path(1_700_000_000_000_000_042)
                .starts_with("/events?since=1700000000.000000042&filters=%7B%22type")
        );
    }
}
