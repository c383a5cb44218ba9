use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use harness::Loopback;
use load::report::ErrorClass;

use crate::run::{refusal, report};
use crate::server::{Action, HangingListener, TestServer};

/// Starts a server that runs `serve` for each connection, and keeps the connection open.
fn scripted(serve: impl Fn(&mut TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                serve(&mut stream);
                thread::sleep(Duration::from_mins(1));
            });
        }
    });
    address
}

/// Text of the single failure, a timeout.
fn timeout_text(url: &str, args: &[&str]) -> String {
    let fixed = ["--requests", "1", "--connections", "1", "--timeout", "500ms", "--unchecked"];
    let (_, report) = report(&[&[url], args, &fixed].concat());
    assert_eq!(report.failures.by_class, BTreeMap::from([(ErrorClass::Timeout, 1)]));
    report.failures.listed[0].text.clone()
}

#[test]
fn timeout_has_phase_and_address() {
    let hanging = HangingListener::start();
    let silent = TestServer::start(|_| Action::Hang).address;
    let deaf = scripted(|_| {});
    let partial = scripted(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHel").unwrap();
    });
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len(64 << 20).unwrap();
    let upload = ["--method", "PUT", "--body-file", body.path().to_str().unwrap()];
    for (scheme, address, args, doing) in [
        ("http", hanging.address, &[][..], "connecting to"),
        ("https", deaf, &["--insecure"], "TLS handshake with"),
        ("http", deaf, &upload, "sending the request to"),
        ("http", silent, &[], "waiting for the response of"),
        ("http", deaf, &["--http", "2"], "waiting for a stream of"),
        ("http", partial, &[], "reading the response body of"),
    ] {
        let text = timeout_text(&format!("{scheme}://{address}/"), args);
        assert_eq!(text, format!("no complete response within 500ms: {doing} {address}"));
    }
}

#[test]
fn unreachable_address_is_followed_by_the_next_one() {
    let hanging = HangingListener::start();
    let (refusing, good) = (Loopback::new(), Loopback::new());
    let listener = TcpListener::bind((good.ip(), hanging.address.port())).unwrap();
    let server = TestServer::on(listener, |_| Action::Respond(200, "a"));
    let port = hanging.address.port();
    let resolve = format!("a.test:{port}:{},{},{}", refusing.ip(), hanging.address.ip(), good.ip());
    let url = format!("http://a.test:{port}/");
    // Each connection starts with another address.
    let args = ["--resolve", &resolve, "--requests", "30", "--connections", "3", "--no-keep-alive"];
    let (_, report) = report(&[&[url.as_str()], &args[..]].concat());
    assert_eq!((report.ok, report.failed, server.requests()), (30, 0, 30), "{:?}", report.failures);
}

#[test]
fn hanging_handshake_is_rejected_with_the_address() {
    let deaf = scripted(|_| {});
    let (code, message) = refusal(&[&format!("https://{deaf}/"), "--insecure", "--timeout", "300ms"]);
    assert_eq!(code, 64, "{message}");
    let expected = format!("load: TLS handshake with {deaf}: no response within 300ms");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn response_before_the_end_of_an_upload_counts() {
    let address = scripted(|stream| {
        let _ = stream.read(&mut [0; 1024]);
        let early = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
        stream.write_all(early.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
    });
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len(64 << 20).unwrap();
    let file = body.path().to_str().unwrap();
    let args = ["--method", "POST", "--body-file", file, "--requests", "2", "--connections", "1"];
    let (_, report) = report(&[&[format!("http://{address}/").as_str()], &args[..]].concat());
    assert_eq!(report.failures.by_status, BTreeMap::from([(413, 2)]), "{:?}", report.failures);
    assert_eq!(report.connections.opened, 2, "a connection with half a request is not used again");
}
