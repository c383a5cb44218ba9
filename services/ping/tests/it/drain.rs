use std::io::{self, BufRead, BufReader, Read, Write};

use harness::process::Streams;
use harness::service_process::ANY_PORT;
use harness::{Process, Signal, SpawnOptions, TIMEOUT};

use crate::process::{command, start};

#[test]
fn sigterm_and_sigint_drain() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut ping = start(&["--linger", "0s"]);
        ping.get("/");
        ping.signal(signal);
        let (lines, status) = ping.wait();
        assert_eq!((lines.last().map(String::as_str), status.code()), (Some("drained=0 aborted=0"), Some(0)));
    }
}

#[test]
fn request_in_progress_at_the_signal_is_answered() {
    let mut ping = start(&[]);
    let mut client = ping.connect();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // A response to a later connection proves that the first one has been accepted.
    ping.get("/");
    ping.signal(Signal::TERM);
    ping.wait_for_line("draining");
    client.write_all(b"host: test\r\n\r\n").unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("\r\nconnection: close\r\n"),
        "{response}"
    );
    assert_eq!(ping.wait().0.last().unwrap(), "drained=1 aborted=0");
}

#[test]
fn lingering_service_answers_and_is_not_ready() {
    let mut ping = start(&["--linger", "1h", "--grace", "1h"]);
    ping.signal(Signal::TERM);
    ping.wait_for_line("draining");
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));
    assert!(ping.get_admin("/readyz").starts_with("HTTP/1.1 503"));
    // A second signal ends it at once.
    ping.signal(Signal::TERM);
    let (lines, status) = ping.wait();
    assert_eq!((lines.last().map(String::as_str), status.code()), (Some("drained=1 aborted=0"), Some(0)));
}

#[test]
fn last_line_is_json_if_the_log_is() {
    let mut ping = start(&["--log-format", "json", "--linger", "0s"]);
    let listening = ping.listening();
    assert!(listening.starts_with('{') && listening.contains(r#""address":"127.0.0.1:"#), "{listening}");
    ping.signal(Signal::TERM);
    let (lines, _) = ping.wait();
    let last = lines.last().unwrap();
    assert!(last.starts_with('{') && last.contains(r#""drained":0,"aborted":0"#), "{last}");
}

#[test]
fn closed_stderr_does_not_matter() {
    let (reader, writer) = io::pipe().unwrap();
    let streams = Streams { stderr: Some(writer.into()), ..Streams::default() };
    let command = &mut command();
    let mut ping =
        Process::spawn_with("ping", command.args(ANY_PORT), SpawnOptions::default(), streams).unwrap();
    let mut line = String::new();
    // Closes the reading end of the pipe after one line.
    BufReader::new(reader).read_line(&mut line).unwrap();
    ping.signal(Signal::TERM).unwrap();
    assert_eq!(ping.wait(TIMEOUT).unwrap().code(), Some(0), "after {line}");
}
