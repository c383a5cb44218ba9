use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use rustix::process::Signal;

use crate::process::{ANY_PORT, Ping, command, send, wait};

#[test]
fn a_signal_drains_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let ping = Ping::start(&["--linger", "0s"]);
        ping.get("/");
        ping.signal(signal);
        let (lines, status) = ping.end();
        assert_eq!((lines.last().map(String::as_str), status.code()), (Some("drained=0 aborted=0"), Some(0)));
    }
}

#[test]
fn a_request_under_way_at_the_signal_is_answered() {
    let ping = Ping::start(&[]);
    let mut client = ping.connect();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // Whoever is answered afterwards shows that the half request has been let in.
    ping.get("/");
    ping.signal(Signal::TERM);
    ping.says("draining");
    client.write_all(b"host: test\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    assert_eq!(ping.end().0.last().unwrap(), "drained=1 aborted=0");
}

#[test]
fn while_it_lingers_it_serves_and_is_unready() {
    let ping = Ping::start(&["--linger", "1h", "--grace", "1h"]);
    ping.signal(Signal::TERM);
    ping.says("draining");
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));
    assert!(ping.admin("/readyz").starts_with("HTTP/1.1 503"));
    // A second signal ends it at once.
    ping.signal(Signal::TERM);
    let (lines, status) = ping.end();
    assert_eq!((lines.last().map(String::as_str), status.code()), (Some("drained=1 aborted=0"), Some(0)));
}

#[test]
fn its_last_line_is_json_where_all_are() {
    let ping = Ping::start(&["--log-format", "json", "--linger", "0s"]);
    assert!(
        ping.listening.starts_with('{') && ping.listening.contains(r#""address":"127.0.0.1:"#),
        "{}",
        ping.listening
    );
    ping.signal(Signal::TERM);
    let (lines, _) = ping.end();
    let last = lines.last().unwrap();
    assert!(last.starts_with('{') && last.contains(r#""drained":0,"aborted":0"#), "{last}");
}

#[test]
fn whether_anybody_reads_its_lines_does_not_matter() {
    let mut child = command().args(ANY_PORT).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The reader, and with it the pipe's other end, is gone at the end of this statement.
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    send(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0), "after {line}");
}
