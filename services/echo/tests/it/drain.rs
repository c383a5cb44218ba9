use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use harness::{Signal, TIMEOUT, eventually};

use crate::process::{Echo, answer};

fn send(echo: &Echo, path: &str) -> TcpStream {
    let mut stream = echo.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    stream
}

fn in_flight(echo: &Echo) -> u64 {
    echo.metric("swarmlings_requests_in_flight")
}

/// Reads to the end of the connection.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let (mut rest, start) = (Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < TIMEOUT, "it goes on for ever");
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return rest,
            read => match read.unwrap() {
                0 => return rest,
                count => rest.extend(&bytes[..count]),
            },
        }
    }
}

#[test]
fn hanging_request_does_not_block_the_drain() {
    let mut echo = Echo::start(&["--linger", "0s", "--grace", "1h"]);
    let mut hanging = send(&echo, "/hang");
    eventually(TIMEOUT, || in_flight(&echo) == 1).unwrap();
    echo.process.signal(Signal::TERM);
    assert_eq!(rest(&mut hanging), b"");
    assert_eq!(echo.process.wait().1.code(), Some(0));
}

#[test]
fn request_that_hangs_during_the_drain_is_closed() {
    let mut echo = Echo::start(&["--linger", "1h", "--grace", "1h"]);
    echo.process.signal(Signal::TERM);
    echo.process.wait_for_line("draining");
    assert_eq!(rest(&mut send(&echo, "/hang")), b"");
    assert_eq!(echo.get("/bench").header("x-state"), Some("draining"));
}

#[test]
fn event_stream_ends_with_the_drain() {
    let mut echo = Echo::start(&["--linger", "0s", "--grace", "1h"]);
    let mut events = send(&echo, "/sse?every=1ms");
    events.read_exact(&mut [0; 500]).unwrap();
    echo.process.signal(Signal::TERM);
    let rest = rest(&mut events);
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    let (lines, status) = echo.process.wait();
    assert_eq!((lines.last().map(String::as_str), status.code()), (Some("drained=1 aborted=0"), Some(0)));
}

#[test]
fn delayed_response_is_sent_during_the_drain() {
    let mut echo = Echo::start(&["--linger", "0s", "--grace", "1h"]);
    let mut delayed = send(&echo, "/delay/300ms");
    eventually(TIMEOUT, || in_flight(&echo) == 1).unwrap();
    echo.process.signal(Signal::TERM);
    assert_eq!(answer(&mut delayed).text(), "after 300ms\n");
    assert_eq!(echo.process.wait().0.last().unwrap(), "drained=1 aborted=0");
}

#[test]
fn request_of_a_disconnected_client_is_cancelled() {
    let echo = Echo::start(&[]);
    let paths =
        ["/hang", "/delay/10m", "/?wait=10m", "/sse?every=10m", "/stream/2?every=10m", "/drip?duration=10m"];
    let clients = paths.map(|path| send(&echo, path));
    eventually(TIMEOUT, || in_flight(&echo) == 6).unwrap();
    drop(clients);
    eventually(TIMEOUT, || in_flight(&echo) == 0).unwrap();
}

#[test]
fn close_sends_no_response() {
    let echo = Echo::start(&[]);
    assert_eq!(rest(&mut send(&echo, "/close")), b"");
    assert_eq!(echo.get("/bench").code, 200);
}
