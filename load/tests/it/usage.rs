//! Bad usage, which no request is sent for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use harness::Loopback;

use crate::peer::Peer;
use crate::run::refusal;

#[test]
fn nonsense_is_refused_before_any_load() {
    let peer = Peer::good();
    let url = peer.url();
    for (args, expected) in [
        (&["--rate", "0"][..], "more than 0 requests in each second"),
        (&["--for", "0s"], "greater than zero"),
        (&["--requests", "0"], "0 is not in 1.."),
        (&["--instance", "body:from ("], "is no regular expression"),
        (&["--json", "/nowhere/report.json"], "creating /nowhere/report.json: no such file or directory"),
        (&["--html", "/nowhere/report.html"], "creating /nowhere/report.html: no such file or directory"),
        (&["--http", "2", "--streams", "0"], "0 is not in 1.."),
        (&["--connections", "65536"], "the limit on open files allows"),
    ] {
        // Where the limit is higher than anybody has connections, that is no nonsense.
        if args[0] == "--connections" && rustix_limit_is_high() {
            continue;
        }
        let (code, said) = refusal(&[&[url.as_str()], args].concat());
        assert_eq!(code, 64, "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert_eq!(peer.requests(), 0);
}

fn rustix_limit_is_high() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard = files.split_whitespace().nth(4).unwrap();
    hard == "unlimited" || hard.parse::<u64>().unwrap() > 65_600
}

#[test]
fn a_host_that_is_not_there_is_refused_with_the_reason() {
    let nobody = format!("http://{}/", Loopback::new().free().unwrap());
    let (code, said) = refusal(&[&nobody]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("connecting to ") && said.ends_with(": connection refused\n"), "{said}");

    let (code, said) = refusal(&["http://nobody.invalid/"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.starts_with("load: resolving nobody.invalid: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_host_without_tls_is_no_host_with_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (code, said) = refusal(&[&url, "--insecure"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("speaking TLS with 127.0.0.1:"), "{said}");
}
