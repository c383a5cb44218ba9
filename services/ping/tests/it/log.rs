use std::io::{Read, Write};

use harness::ServiceProcess;
use harness::service_process::connect;
use tempfile::NamedTempFile;

use crate::process::start;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Sends a request that belongs to a trace.
fn get_traced(ping: &ServiceProcess, path: &str) {
    let mut stream = ping.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntraceparent: {TRACE}\r\n\r\n")
        .unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn access_log_has_request_response_and_trace() {
    let ping = start(&["--access-log", "1"]);
    get_traced(&ping, "/some/where?secret=1");
    let line = ping.wait_for_line("request");
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
    assert!(!line.contains("secret"), "the query may be private: {line}");
}

#[test]
fn without_access_log_requests_are_logged_at_debug() {
    let ping = start(&["--log-level", "debug"]);
    get_traced(&ping, "/here");
    let line = ping.wait_for_line("request");
    assert!(line.contains("DEBUG") && line.contains("path=\"/here\""), "{line}");
}

#[test]
fn log_level_can_be_changed_at_run_time() {
    let mut token = NamedTempFile::new().unwrap();
    write!(token, "secret").unwrap();
    let ping = start(&["--admin-token-file", token.path().to_str().unwrap()]);
    assert!(ping.get_admin("/log-level").ends_with("\r\n\r\ninfo\n"));
    ping.get("/unseen");
    let mut admin = connect(ping.admin());
    write!(
        admin,
        "PUT /log-level HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer secret\r\n\
         content-length: 5\r\n\r\ndebug"
    )
    .unwrap();
    let mut response = String::new();
    admin.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\r\n\r\ndebug\n"), "{response}");
    ping.get("/seen");
    let line = ping.wait_for_line("path=");
    assert!(line.contains("DEBUG") && line.contains("path=\"/seen\""), "{line}");
}
