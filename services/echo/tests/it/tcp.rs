use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::certificates::{Certificates, P256};
use harness::service_process::connect;
use harness::{Signal, TIMEOUT, eventually};
use serde_json::Value;

use crate::process::Echo;

/// Starts echo with a TCP port and returns the port's address.
fn start(args: &[&str]) -> (Echo, SocketAddr) {
    let echo = Echo::start(&[&["--tcp-port", "0", "--host", "echo-1"], args].concat());
    let address = echo.process.listening().split("tcp=").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap().parse().unwrap();
    (echo, address)
}

/// Sends bytes and expects them back.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// Reads to the end of the connection.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn every_byte_comes_back() {
    let (_echo, address) = start(&[]);
    let mut stream = connect(address);
    exchange(&mut stream, b"GET / HTTP/1.1\r\n\r\n");
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    // Bytes sent before the client's end of the stream come back after it.
    assert!(rest(&mut stream) == bytes, "other bytes came back");
    writing.join().unwrap();
}

#[test]
fn greeting_names_task_and_client() {
    let (_echo, address) = start(&["--tcp-greeting", "--task", "echo.1.abc", "--slot", "1", "--name", "x"]);
    let mut stream = BufReader::new(connect(address));
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let client = stream.get_ref().local_addr().unwrap().to_string();
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        serde_json::json!({
            "hostname": "echo-1", "name": "x", "remoteAddr": client, "task": "echo.1.abc", "slot": "1",
            "version": env!("CARGO_PKG_VERSION"), "state": "serving",
        })
    );
    exchange(stream.get_mut(), b"hello\n");
}

#[test]
fn greeting_has_the_client_of_the_proxy_protocol_and_the_tls_session() {
    let flags = ["--tcp-greeting", "--proxy-protocol", "required", "--trusted-proxy", "127.0.0.0/8"];
    let (_echo, address) = start(&flags);
    let mut stream = connect(address);
    stream.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nhello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let text = String::from_utf8(rest(&mut stream)).unwrap();
    assert!(text.contains("\"remoteAddr\":\"192.0.2.1:56324\"") && text.ends_with("}\nhello"), "{text}");

    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let flags = made.flags("server");
    let more = ["--tcp-greeting", "--idle-timeout", "300ms"];
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(more).collect();
    let (_echo, address) = start(&flags);
    let mut command = Command::new("openssl");
    // Reads until the server closes the connection, which the end of the input does not end.
    command.stdin(Stdio::null()).args([
        "s_client",
        "-quiet",
        "-verify_quiet",
        "-servername",
        "echo.test",
        "-connect",
    ]);
    let output = command.arg(address.to_string()).arg("-CAfile").arg(made.path("ca.pem")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"serverName\":\"echo.test\""), "{text}");
}

#[test]
fn idle_client_and_client_that_does_not_read_are_disconnected() {
    let (echo, address) = start(&["--idle-timeout", "200ms", "--stall-timeout", "200ms"]);
    let mut idle = connect(address);
    exchange(&mut idle, b"hello");
    assert_eq!(rest(&mut idle), b"");

    let mut stalled = connect(address);
    stalled.set_write_timeout(Some(TIMEOUT)).unwrap();
    let error = loop {
        if let Err(error) = stalled.write_all(&[0; 1 << 13]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    eventually(TIMEOUT, || echo.metric("swarmlings_connections_open") == 0).unwrap();
}

#[test]
fn connections_of_both_ports_share_the_maximum() {
    // Loopback has eight connections in reserve.
    let (echo, address) = start(&["--max-connections", "1"]);
    let mut streams: Vec<_> = (0..9).map(|_| connect(address)).collect();
    for stream in &mut streams {
        exchange(stream, b"hello");
    }
    assert_eq!(rest(&mut connect(address)), b"");
    assert_eq!(rest(&mut echo.connect()), b"");
    streams.pop();
    eventually(TIMEOUT, || {
        let mut stream = echo.connect();
        stream.write_all(b"GET /bench HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        stream.read(&mut [0]).is_ok_and(|count| count == 1)
    })
    .unwrap();
}

#[test]
fn drain_closes_a_connection_when_its_client_pauses() {
    let (mut echo, address) = start(&["--linger", "0s", "--grace", "1h"]);
    let mut streams = [connect(address), connect(address)];
    for stream in &mut streams {
        exchange(stream, b"hello");
    }
    let [first, second] = &mut streams;
    echo.process.signal(Signal::TERM);
    // One that goes on is served; the other gets the end of the stream, not a reset.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        exchange(first, b"x");
    }
    assert_eq!(rest(second), b"");
    assert_eq!(rest(first), b"");
    drop(streams);
    assert_eq!(echo.process.wait().1.code(), Some(0));
}

#[test]
fn connection_that_goes_on_ends_after_the_grace_period() {
    let (mut echo, address) = start(&["--linger", "0s", "--grace", "300ms"]);
    let mut stream = connect(address);
    exchange(&mut stream, b"hello");
    echo.process.signal(Signal::TERM);
    let start = Instant::now();
    while stream.write_all(b"x").is_ok() && stream.read(&mut [0]).is_ok_and(|count| count > 0) {
        assert!(start.elapsed() < TIMEOUT, "it goes on for ever");
    }
    assert_eq!(echo.process.wait().1.code(), Some(0));
}

#[test]
fn port_in_use_is_reported_with_its_flag() {
    let (_echo, address) = start(&[]);
    let mut command = crate::process::command();
    command.args(harness::service_process::ANY_PORT).args(["--tcp-port", &address.port().to_string()]);
    let output = crate::process::run(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("set --tcp-port or SERVICE_TCP_PORT to another port"), "{said}");
}
