use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use harness::Loopback;

use crate::run::refusal;
use crate::server::TestServer;

#[test]
fn invalid_flags_are_rejected_before_any_request() {
    let server = TestServer::ok();
    let url = server.url();
    for (args, expected) in [
        (&["--rate", "0"][..], "expected a number greater than 0"),
        (&["--duration", "0s"], "greater than zero"),
        (&["--requests", "0"], "expected an integer of at least 1"),
        (&["--instance", "body:from ("], "invalid regular expression"),
        (&["--json", "/nowhere/report.json"], "creating /nowhere/report.json: no such file or directory"),
        (&["--html", "/nowhere/report.html"], "creating /nowhere/report.html: no such file or directory"),
        (&["--http", "2", "--streams", "0"], "expected an integer from 1 to 1000"),
        (&["--connections", "65536"], "the limit on open files permits"),
    ] {
        if args[0] == "--connections" && is_file_limit_high() {
            continue;
        }
        let (code, message) = refusal(&[&[url.as_str()], args].concat());
        assert_eq!(code, 64, "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    assert_eq!(server.requests(), 0);
}

/// Whether the hard limit on open files permits the maximum number of connections.
fn is_file_limit_high() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard = files.split_whitespace().nth(4).unwrap();
    hard == "unlimited" || hard.parse::<u64>().unwrap() > 65_600
}

#[test]
fn unreachable_host_is_rejected_with_the_reason() {
    let free = format!("http://{}/", Loopback::new().free().unwrap());
    let (code, message) = refusal(&[&free]);
    assert_eq!(code, 64, "{message}");
    assert!(
        message.contains("connecting to ") && message.contains(": connection refused; use --unchecked"),
        "{message}"
    );

    let (code, message) = refusal(&["http://unknown.invalid/"]);
    assert_eq!(code, 64, "{message}");
    assert!(message.starts_with("load: resolving unknown.invalid: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn host_without_tls_is_rejected_for_an_https_url() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (code, message) = refusal(&[&url, "--insecure"]);
    assert_eq!(code, 64, "{message}");
    assert!(message.contains("TLS handshake with 127.0.0.1:"), "{message}");
    assert!(message.contains(": the server speaks no TLS at this port; is its URL http://127"), "{message}");
}
