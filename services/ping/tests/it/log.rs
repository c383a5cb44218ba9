use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::NamedTempFile;

use crate::process::{Ping, get};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Asks for a path as part of a trace.
fn ask(ping: &Ping, path: &str) {
    let mut stream: TcpStream = ping.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntraceparent: {TRACE}\r\n\r\n")
        .unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn an_access_log_says_what_was_asked_and_answered_and_of_which_trace() {
    let ping = Ping::start(&["--access-log", "1"]);
    ask(&ping, "/some/where?secret=1");
    let line = ping.says("request");
    for part in [
        "INFO",
        "method=GET",
        "path=\"/some/where\"",
        "route=\"*\"",
        "code=200",
        "version=HTTP/1.1",
        "peer=127.0.0.1:",
        "microseconds=",
        &format!("traceparent={TRACE}"),
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!line.contains("secret"), "what comes after the path may be private: {line}");
}

#[test]
fn without_one_each_request_is_logged_at_debug_only() {
    let ping = Ping::start(&["--log-level", "debug"]);
    ask(&ping, "/here");
    let line = ping.says("request");
    assert!(line.contains("DEBUG") && line.contains("path=\"/here\""), "{line}");
}

#[test]
fn the_level_can_be_set_while_it_runs() {
    let mut token = NamedTempFile::new().unwrap();
    write!(token, "secret").unwrap();
    let ping = Ping::start(&["--admin-token-file", token.path().to_str().unwrap()]);
    assert!(ping.admin("/log-level").ends_with("\r\n\r\ninfo\n"));
    ping.get("/unseen");
    let mut admin = TcpStream::connect(ping.place("admin")).unwrap();
    write!(
        admin,
        "PUT /log-level HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer secret\r\n\
         content-length: 5\r\n\r\ndebug"
    )
    .unwrap();
    let mut answer = String::new();
    admin.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\ndebug\n"), "{answer}");
    get(ping.connect(), "/seen");
    let line = ping.says("path=");
    assert!(line.contains("DEBUG") && line.contains("path=\"/seen\""), "{line}");
}
