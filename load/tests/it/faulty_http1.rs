use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use load::report::ErrorClass::{Closed, Protocol, Reset, Timeout};
use rustix::net::sockopt::set_socket_linger;

use crate::faulty::Expected::{Failed, Ok, Status};
use crate::faulty::{Expected, REQUESTS, assert_exact, is_faulty, run_all, start};
use crate::run::report;
use crate::server::read_request;

/// Action of the server after its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Handles the next request of the connection.
    Continue,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Keeps the connection open, and does nothing more.
    Hang,
}

use Then::{Close, Continue, Hang};

/// A faulty or unusual response.
struct Case {
    name: &'static str,
    response: Vec<u8>,
    then: Then,
    expected: Expected,
}

fn case(name: &'static str, response: impl AsRef<[u8]>, then: Then, expected: Expected) -> Case {
    Case { name, response: response.as_ref().to_vec(), then, expected }
}

/// A head with these fields, and a body.
fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    ok("transfer-encoding: chunked", body)
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nno")
}

/// Responses that end too soon.
fn incomplete() -> Vec<Case> {
    let half = &ok("content-length: 5", "Hel");
    vec![
        case("nothing, closed", "", Close, Failed(Closed)),
        case("nothing, reset", "", Then::Reset, Failed(Reset)),
        case("nothing, open", "", Hang, Failed(Timeout)),
        case("part of a status line, closed", "HT", Close, Failed(Closed)),
        case("part of a status line, open", "HTTP/1.1 20", Hang, Failed(Timeout)),
        case("part of a head, closed", "HTTP/1.1 200 OK\r\nconte", Close, Failed(Closed)),
        case("part of a head, reset", "HTTP/1.1 200 OK\r\nconte", Then::Reset, Failed(Reset)),
        case("part of a head, open", "HTTP/1.1 200 OK\r\nconte", Hang, Failed(Timeout)),
        case("interim response only, closed", "HTTP/1.1 100 Continue\r\n\r\n", Close, Failed(Closed)),
        case("interim response only, open", "HTTP/1.1 103 Early Hints\r\n\r\n", Hang, Failed(Timeout)),
        case("no body, closed", ok("content-length: 5", ""), Close, Failed(Closed)),
        case("part of a body, closed", half, Close, Failed(Closed)),
        case("part of a body, reset", half, Then::Reset, Failed(Reset)),
        case("part of a body, open", half, Hang, Failed(Timeout)),
        case("body until the end of the connection, reset", ok("x: y", "Hel"), Then::Reset, Failed(Reset)),
        case("body until the end of the connection, open", ok("x: y", "Hel"), Hang, Failed(Timeout)),
        case("part of a chunk size, closed", chunked("5"), Close, Failed(Closed)),
        case("part of a chunk, closed", chunked("5\r\nHel"), Close, Failed(Closed)),
        case("part of a chunk, open", chunked("5\r\nHel"), Hang, Failed(Timeout)),
        case("no last chunk, closed", chunked("5\r\nHello\r\n"), Close, Failed(Closed)),
        case("no end of the trailers, closed", chunked("0\r\nx: y\r\n"), Close, Failed(Closed)),
    ]
}

/// Responses that are not HTTP/1.1.
fn invalid() -> Vec<Case> {
    let fields = "x: y\r\n".repeat(200);
    let cases = [
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        ("a TLS alert", "\x15\x03\x01\0\x02\x02\x28".to_owned()),
        ("HTTP/2 settings", "\0\0\0\x04\0\0\0\0\0".to_owned()),
        ("version 3.0", ok("content-length: 0", "").replace("/1.1", "/3.0")),
        ("no version", ok("content-length: 0", "").replace("HTTP/1.1 ", "")),
        ("status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("status of letters", "HTTP/1.1 OK 200\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("field name with a space", ok("content length: 0", "")),
        ("field without a colon", ok("content-length", "")),
        ("field with a zero byte", ok("x: a\0b\r\ncontent-length: 0", "")),
        ("head of more than 64 KiB", ok(&format!("x: {}", "y".repeat(70_000)), "")),
        ("more than 128 fields", ok(&fields, "")),
        ("negative content length", ok("content-length: -5", "Hello")),
        ("content length with a sign", ok("content-length: +5", "Hello")),
        ("content length of letters", ok("content-length: five", "Hello")),
        ("content length beyond 64 bits", ok("content-length: 18446744073709551621", "Hello")),
        ("two content lengths", ok("content-length: 5\r\ncontent-length: 6", "Hello!")),
        ("unexpected switch of the protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned()),
        ("chunk size of other letters", chunked("x\r\nHello\r\n0\r\n\r\n")),
        ("negative chunk size", chunked("-5\r\nHello\r\n0\r\n\r\n")),
        ("empty chunk size", chunked("\r\nHello\r\n0\r\n\r\n")),
        ("chunk size beyond 64 bits", chunked("10000000000000005\r\nHello\r\n0\r\n\r\n")),
        ("chunk longer than its size", chunked("4\r\nHello\r\n0\r\n\r\n")),
        ("trailer line of more than 16 KiB", chunked(&format!("0\r\nx: {}\r\n\r\n", "y".repeat(20_000)))),
    ];
    cases.map(|(name, response)| case(name, response, Hang, Failed(Protocol))).into()
}

/// Announces the end of the connection. Otherwise the next request may already be under way, and fails.
fn closing(response: &str) -> String {
    response.replacen("\r\n", "\r\nconnection: close\r\n", 1)
}

/// Complete responses with unexpected statuses.
fn unexpected() -> Vec<Case> {
    vec![
        case("redirect", status("301 Moved"), Continue, Status(301)),
        case(
            "not modified, with a length but no body",
            status("304 X").replace("no", ""),
            Continue,
            Status(304),
        ),
        case("not found", status("404 Not Found"), Continue, Status(404)),
        case("too many requests, closed", closing(&status("429 Too Many Requests")), Close, Status(429)),
        case("server error", status("500 Error"), Continue, Status(500)),
        case("unavailable, reset", closing(&status("503 Unavailable")), Then::Reset, Status(503)),
        case("unknown status", status("799 X"), Continue, Status(799)),
    ]
}

/// Complete responses that are unusual, but valid, or after which the connection cannot be used again.
fn unusual() -> Vec<Case> {
    let hello = &ok("content-length: 5", "Hello");
    let second = format!("{hello}{}", status("500 Error"));
    vec![
        case("closed after the response", closing(hello), Close, Ok),
        case("reset after the response", closing(hello), Then::Reset, Ok),
        case("body longer than its length", ok("content-length: 4", "Hello"), Hang, Ok),
        case("second response without a request", second, Hang, Ok),
        case(
            "two equal content lengths",
            ok("content-length: 5\r\ncontent-length: 5", "Hello"),
            Continue,
            Ok,
        ),
        case("body until the end of the connection", ok("x: y", "Hello"), Close, Ok),
        case("another transfer coding", ok("transfer-encoding: gzip", "Hello"), Close, Ok),
        case("folded field", ok("x: a\r\n  b\r\ncontent-length: 5", "Hello"), Continue, Ok),
        case(
            "two connection fields",
            ok("connection: close\r\nconnection: keep-alive\r\ncontent-length: 5", "Hello"),
            Close,
            Ok,
        ),
        case("HTTP/1.0", hello.replace("/1.1", "/1.0"), Close, Ok),
        case("no reason", hello.replace(" OK", ""), Continue, Ok),
        case("ends of lines without a carriage return", hello.replace("\r\n", "\n"), Continue, Ok),
        case(
            "interim responses",
            format!("{0}{0}{hello}", "HTTP/1.1 103 X\r\nlink: a\r\n\r\n"),
            Continue,
            Ok,
        ),
        case("chunk extensions and trailers", chunked("05;a=b\r\nHello\r\n0\r\nx: y\r\n\r\n"), Continue, Ok),
        case(
            "chunks despite a length",
            ok("content-length: 9\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
            Continue,
            Ok,
        ),
        case("no content, with a length", "HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n", Continue, Ok),
    ]
}

/// Serves the requests of a connection. Request n, counted over all connections, gets the response of the case if it is
/// faulty.
fn serve(mut stream: TcpStream, requests: &AtomicU64, case: &Case) {
    while read_request(&mut stream).is_some() {
        let is_faulty = is_faulty(requests.fetch_add(1, Ordering::SeqCst));
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello";
        let (response, then) =
            if is_faulty { (&case.response[..], case.then) } else { (&good[..], Continue) };
        if stream.write_all(response).is_err() {
            return;
        }
        match then {
            Continue => {}
            Close | Hang => {
                if then == Close {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Until the client closes the connection.
                while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
                return;
            }
            Then::Reset => return set_socket_linger(&stream, Some(Duration::ZERO)).unwrap(),
        }
    }
}

fn run(case: &Arc<Case>) {
    let (url, requests) = start(case, serve);
    // Requests that time out do so at the same time.
    let connections = if case.expected == Failed(Timeout) { REQUESTS } else { 4 }.to_string();
    let limit = if case.expected == Failed(Timeout) { "2s" } else { "10s" };
    let count = REQUESTS.to_string();
    let args = [&url, "--requests", &count, "--connections", &connections, "--timeout", limit];
    let (_, report) = report(&args);
    assert_exact(case.name, &report, case.expected);
    assert_eq!(requests.load(Ordering::SeqCst), REQUESTS, "{}: each request is sent once", case.name);
}

#[test]
fn each_way_to_fail_is_counted_exactly() {
    let cases: Vec<_> = [incomplete(), invalid(), unexpected()].into_iter().flatten().map(Arc::new).collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    run_all(&cases, run);
}

#[test]
fn unusual_response_is_no_failure() {
    let cases: Vec<_> = unusual().into_iter().map(Arc::new).collect();
    run_all(&cases, run);
}
