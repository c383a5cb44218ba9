use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use load::report::ErrorClass::{Closed, Protocol, Reset, Timeout};
use load::report::Report;
use rustix::net::sockopt::set_socket_linger;

use crate::faulty::Expected::{Failed, Ok, Status};
use crate::faulty::{Expected, FAULTY, REQUESTS, assert_exact, is_faulty, run_all, start};
use crate::http2::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INTERNAL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS,
    read_frame, write_frame,
};
use crate::run::report;

const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Stream of a frame in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The connection.
    Connection,
    /// The stream of the request.
    Stream,
    /// A stream that is not open.
    Unknown,
}

/// Action of the server after its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Handles the next request of the connection.
    Continue,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
}

use Then::{Close, Continue};

/// A frame of a response: type, flags, stream and payload.
type Frame = (u8, u8, On, Vec<u8>);

/// A faulty or unusual response.
struct Case {
    name: &'static str,
    frames: Vec<Frame>,
    then: Then,
    expected: Expected,
}

fn case<const N: usize>(name: &'static str, frames: [Frame; N], then: Then, expected: Expected) -> Case {
    Case { name, frames: frames.into(), then, expected }
}

/// Header fields in HPACK without indexing. The names are in lower case.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn headers(flags: u8, list: &[(&str, &str)]) -> Frame {
    (HEADERS, flags | END_HEADERS, On::Stream, fields(list))
}

/// The head of a response, with further fields.
fn head(status: &str, more: &[(&str, &str)]) -> Frame {
    headers(0, &[&[(":status", status)], more].concat())
}

/// A response without a body.
fn only(status: &str, more: &[(&str, &str)]) -> Frame {
    headers(END_STREAM, &[&[(":status", status)], more].concat())
}

fn data(flags: u8, body: &str) -> Frame {
    (DATA, flags, On::Stream, body.as_bytes().to_vec())
}

fn reset(code: u32) -> Frame {
    (RST_STREAM, 0, On::Stream, code.to_be_bytes().to_vec())
}

/// GOAWAY with this last stream.
fn go_away(last: u32, code: u32) -> Frame {
    (GOAWAY, 0, On::Connection, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// Failures of a stream, which leave others as they are.
fn streams() -> Vec<Case> {
    vec![
        case("stream reset: no error", [reset(0)], Continue, Failed(Reset)),
        case("stream reset: protocol error", [reset(1)], Continue, Failed(Reset)),
        case("stream reset: internal error", [reset(INTERNAL_ERROR)], Continue, Failed(Reset)),
        case("stream reset after the head", [head("200", &[]), reset(8)], Continue, Failed(Reset)),
        case(
            "stream reset in the body",
            [head("200", &[]), data(0, "Hel"), reset(8)],
            Continue,
            Failed(Reset),
        ),
        case("not modified", [only("304", &[])], Continue, Status(304)),
        case("not found", [head("404", &[]), data(END_STREAM, "no")], Continue, Status(404)),
        case("unavailable", [only("503", &[])], Continue, Status(503)),
        case("no status", [headers(END_STREAM, &[("x", "y")])], Continue, Failed(Protocol)),
        case(
            "field of HTTP/1.1",
            [only("200", &[("transfer-encoding", "chunked")])],
            Continue,
            Failed(Protocol),
        ),
        case(
            "body shorter than its length",
            [head("200", &[("content-length", "5")]), data(END_STREAM, "Hel")],
            Continue,
            Failed(Protocol),
        ),
        case(
            "body longer than its length",
            [head("200", &[("content-length", "2")]), data(END_STREAM, "Hel")],
            Continue,
            Failed(Protocol),
        ),
        case(
            "no body despite a length",
            [only("200", &[("content-length", "5")])],
            Continue,
            Failed(Protocol),
        ),
        case("interim response only", [head("103", &[])], Continue, Failed(Timeout)),
        case("nothing", [], Continue, Failed(Timeout)),
        case("part of a body", [head("200", &[]), data(0, "Hel")], Continue, Failed(Timeout)),
    ]
}

/// Failures of a connection.
fn connections() -> Vec<Case> {
    let promise = [&2_u32.to_be_bytes()[..], &fields(&[(":method", "GET")])].concat();
    vec![
        case("nothing, closed", [], Close, Failed(Closed)),
        case("nothing, reset", [], Then::Reset, Failed(Reset)),
        case("part of a body, closed", [head("200", &[]), data(0, "Hel")], Close, Failed(Closed)),
        case("part of a body, reset", [head("200", &[]), data(0, "Hel")], Then::Reset, Failed(Reset)),
        case(
            "going away with an error, closed",
            [go_away(u32::MAX >> 1, INTERNAL_ERROR)],
            Close,
            Failed(Closed),
        ),
        case("going away, closed before the response", [go_away(u32::MAX >> 1, 0)], Close, Failed(Closed)),
        case(
            "body on the connection",
            [(DATA, 0, On::Connection, b"Hello".to_vec())],
            Continue,
            Failed(Protocol),
        ),
        case(
            "body on an unknown stream",
            [(DATA, 0, On::Unknown, b"Hello".to_vec())],
            Continue,
            Failed(Protocol),
        ),
        case(
            "head on an unknown stream",
            [(HEADERS, END_HEADERS, On::Unknown, vec![0x88])],
            Continue,
            Failed(Protocol),
        ),
        case("status of letters", [only("two", &[])], Continue, Failed(Protocol)),
        case("field name in upper case", [only("200", &[("X", "y")])], Continue, Failed(Protocol)),
        case(
            "window update of zero",
            [(WINDOW_UPDATE, 0, On::Stream, vec![0; 4])],
            Continue,
            Failed(Protocol),
        ),
        case("body before the head", [data(END_STREAM, "Hello")], Continue, Failed(Protocol)),
        case(
            "index outside of the table",
            [(HEADERS, END_HEADERS, On::Stream, vec![0xff, 0x7f])],
            Continue,
            Failed(Protocol),
        ),
        case("frame beyond the limit", [(DATA, 0, On::Stream, vec![0; 20_000])], Continue, Failed(Protocol)),
        case(
            "settings of five bytes",
            [(SETTINGS, 0, On::Connection, vec![0; 5])],
            Continue,
            Failed(Protocol),
        ),
        case("settings on a stream", [(SETTINGS, 0, On::Stream, vec![])], Continue, Failed(Protocol)),
        case("ping of five bytes", [(PING, 0, On::Connection, vec![0; 5])], Continue, Failed(Protocol)),
        case(
            "promise although it is disabled",
            [(PUSH_PROMISE, END_HEADERS, On::Stream, promise)],
            Continue,
            Failed(Protocol),
        ),
        case(
            "continuation of nothing",
            [(CONTINUATION, END_HEADERS, On::Stream, vec![0x88])],
            Continue,
            Failed(Protocol),
        ),
        case(
            "head without an end",
            [(HEADERS, 0, On::Stream, vec![0x88]), data(END_STREAM, "Hello")],
            Continue,
            Failed(Protocol),
        ),
    ]
}

/// Valid responses that are unusual, and refusals after which a request is sent again.
fn unusual() -> Vec<Case> {
    let hello = data(END_STREAM, "Hello");
    vec![
        case("interim responses", [head("103", &[]), head("100", &[]), only("200", &[])], Continue, Ok),
        case(
            "trailers",
            [head("200", &[]), data(0, "Hello"), headers(END_STREAM, &[("x", "y")])],
            Continue,
            Ok,
        ),
        case("empty frames", [head("200", &[]), data(0, ""), data(0, ""), hello.clone()], Continue, Ok),
        case("unknown frame", [(99, 0, On::Stream, vec![1]), head("200", &[]), hello.clone()], Continue, Ok),
        case("exact length", [head("200", &[("content-length", "5")]), hello], Continue, Ok),
        case("stream refused", [reset(REFUSED_STREAM)], Continue, Ok),
        case("going away without the stream", [go_away(0, 0)], Close, Ok),
        case("going away without the stream, with an error", [go_away(0, INTERNAL_ERROR)], Close, Ok),
    ]
}

/// Serves the requests of a connection. Request n, counted over all connections, gets the response of the case if it is
/// faulty.
fn serve(mut stream: TcpStream, requests: &AtomicU64, case: &Case) -> Option<()> {
    stream.read_exact(&mut [0; 24]).ok()?;
    write_frame(&mut stream, SETTINGS, 0, 0, b"")?;
    while let Some((kind, flags, id)) = read_frame(&mut stream) {
        match kind {
            SETTINGS if flags == 0 => write_frame(&mut stream, SETTINGS, 1, 0, b"")?,
            HEADERS if is_faulty(requests.fetch_add(1, Ordering::SeqCst)) => {
                for (kind, flags, on, payload) in &case.frames {
                    let id = match on {
                        On::Connection => 0,
                        On::Stream => id,
                        On::Unknown => id + 1000,
                    };
                    write_frame(&mut stream, *kind, *flags, id, payload)?;
                }
                match case.then {
                    Continue => {}
                    Close => {
                        let _ = stream.shutdown(Shutdown::Write);
                        // Until the client closes the connection.
                        while read_frame(&mut stream).is_some() {}
                        return None;
                    }
                    Then::Reset => {
                        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                        return None;
                    }
                }
            }
            // Status 200.
            HEADERS => write_frame(&mut stream, HEADERS, END_STREAM | END_HEADERS, id, &[0x88])?,
            _ => {}
        }
    }
    None
}

/// Runs a case with this number of concurrent requests per connection. Returns the report and the number of requests that
/// the server received.
fn run(case: &Arc<Case>, connections: u64, streams: u64) -> (Report, u64) {
    let (url, requests) = start(case, serve);
    let limit = if case.expected == Failed(Timeout) { "2s" } else { "10s" };
    let [count, connections, streams] = [REQUESTS, connections, streams].map(|number| number.to_string());
    let args = ["--http", "2", "--requests", &count, "--connections", &connections, "--streams", &streams];
    let (_, report) = report(&[&[&url, "--timeout", limit][..], &args].concat());
    assert_exact(case.name, &report, case.expected);
    (report, requests.load(Ordering::SeqCst))
}

#[test]
fn failure_of_a_stream_is_counted_exactly() {
    let cases: Vec<_> = streams().into_iter().map(Arc::new).collect();
    run_all(&cases, |case| {
        // Requests that time out do so at the same time.
        let streams = if case.expected == Failed(Timeout) { 20 } else { 5 };
        let (report, requests) = run(case, 2, streams);
        assert_eq!((requests, report.retried), (REQUESTS, 0), "{}: each request is sent once", case.name);
        assert_eq!(report.connections.opened, 2, "{}: the connection remains usable", case.name);
    });
}

#[test]
fn failure_of_a_connection_is_counted_exactly() {
    let cases: Vec<_> = connections().into_iter().map(Arc::new).collect();
    run_all(&cases, |case| {
        let (report, requests) = run(case, 4, 1);
        assert_eq!((requests, report.retried), (REQUESTS, 0), "{}: each request is sent once", case.name);
        assert!(report.connections.opened >= FAULTY, "{}", case.name);
    });
}

#[test]
fn unusual_response_is_no_failure() {
    let cases: Vec<_> = unusual().into_iter().map(Arc::new).collect();
    run_all(&cases, |case| {
        // In order, so that a request that is sent again is not faulty again.
        let (report, requests) = run(case, 1, 1);
        assert_eq!(requests, REQUESTS + report.retried, "{}", case.name);
        let is_refused = case.frames.len() == 1;
        assert_eq!(report.retried > 0, is_refused, "{}", case.name);
    });
}
