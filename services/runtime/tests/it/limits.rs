use std::time::Duration;

use runtime::{Body, Limits, Request, Response, text};

use crate::client::Client;
use crate::server::{BodyLength, Endless, Holding, Server, eventually, limits};

const SHORT: Duration = Duration::from_millis(100);

fn hello(_: &Request) -> Response {
    text("hello\n")
}

#[test]
fn slow_header_closes_the_connection() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() }, hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nx-slow: ");
    client.send_slowly_until_closed();
}

#[test]
fn idle_connection_outlives_the_header_timeout() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() }, hello);
    let (mut fresh, mut used) = (server.connect(), server.connect());
    used.get("/");
    for _ in 0..3 {
        let mut slow = server.connect();
        slow.send("GET / HTTP/1.1\r\n");
        slow.expect_end();
    }
    assert_eq!(used.get("/").code, 200);
    assert_eq!(fresh.get("/").code, 200);
}

#[test]
fn header_timeout_applies_to_later_requests() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() }, hello);
    let mut client = server.connect();
    client.get("/");
    client.send("GET / HTTP/1.1\r\n");
    client.expect_end();
}

#[test]
fn idle_connection_is_closed_after_the_idle_timeout() {
    let server = Server::start(Limits { idle_timeout: SHORT, ..limits() }, hello);
    let (mut fresh, mut used) = (server.connect(), server.connect());
    used.get("/");
    used.expect_end();
    fresh.expect_end();
}

#[test]
fn timeouts_do_not_apply_to_the_service() {
    let short = Limits { header_timeout: SHORT, idle_timeout: SHORT, stall_timeout: SHORT, ..limits() };
    let (service, hold) = Holding::new();
    let server = Server::start(short, service);
    let mut client = server.connect_held(&hold);
    for _ in 0..3 {
        server.connect().expect_end();
    }
    hold.release();
    assert_eq!(client.read_response().code, 200);
}

#[test]
fn client_that_reads_nothing_is_disconnected() {
    let endless = |_: &Request| Response::new(Body::stream(Endless));
    let server = Server::start(Limits { stall_timeout: SHORT, ..limits() }, endless);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    server.eventually_in_flight(1);
    server.eventually_in_flight(0);
}

#[test]
fn body_with_excessive_content_length_is_rejected_unread() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, BodyLength);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\n");
    expect_rejected(&mut client, 413, "request body larger than 10 bytes\n");
}

#[test]
fn chunked_body_beyond_the_limit_is_rejected_whatever_the_service_responds() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, BodyLength);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("6\r\n123456\r\n5\r\n12345\r\n");
    expect_rejected(&mut client, 413, "request body larger than 10 bytes\n");
}

#[test]
fn client_that_is_still_sending_receives_the_rejection() {
    let server = Server::start(limits(), BodyLength);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3000000\r\n\r\n");
    client.send(vec![b'x'; 3_000_000]);
    expect_rejected(&mut client, 413, "request body larger than 1048576 bytes\n");
}

#[test]
fn body_of_exactly_the_limit_is_accepted() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, BodyLength);
    let mut client = server.connect();
    for body in [
        "content-length: 10\r\n\r\n0123456789",
        "transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
    ] {
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{body}"));
        let response = client.read_response();
        assert_eq!((response.code, &*response.body, response.header("connection")), (200, "10\n", None));
    }
}

#[test]
fn body_that_stops_is_rejected_after_the_timeout() {
    let server = Server::start(Limits { body_timeout: SHORT, ..limits() }, BodyLength);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n123");
    expect_rejected(&mut client, 408, "request body not received within 100ms\n");
}

#[test]
fn body_timeout_covers_the_whole_body_not_each_read() {
    let server = Server::start(Limits { body_timeout: SHORT, ..limits() }, BodyLength);
    for body in ["content-length: 1000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n5;extension="] {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{body}"));
        let response = client.send_slowly_until_response();
        assert_eq!((response.code, response.header("connection")), (408, Some("close")), "{body}");
        client.send_slowly_until_closed();
    }
}

#[test]
fn unread_slow_body_closes_the_connection() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    assert_eq!(client.read_response().body, "hello\n");
    client.send_slowly_until_closed();
}

#[test]
fn unread_body_does_not_lose_the_response() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    client.send(vec![b'x'; 1_000_000]);
    expect_rejected(&mut client, 200, "hello\n");
}

#[test]
fn header_beyond_the_limit_gets_431() {
    let server = Server::start(Limits { max_header_bytes: 8192, ..limits() }, hello);
    let mut client = server.connect();
    let request = |size| format!("GET / HTTP/1.1\r\nhost: test\r\nx-large: {}\r\n\r\n", "a".repeat(size));
    client.send(request(8000));
    assert_eq!(client.read_response().code, 200);
    client.send(request(9000));
    assert_eq!(client.read_response().code, 431);
    client.expect_end();
}

fn expect_rejected(client: &mut Client, code: u16, body: &str) {
    let response = client.read_response();
    assert_eq!((response.code, &*response.body), (code, body));
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn connections_beyond_the_maximum_are_closed_and_the_others_are_served() {
    // Connections over loopback, as here, have 8 more in reserve.
    let server = Server::start(Limits { max_connections: Some(2), ..limits() }, hello);
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").code, 200);
    }
    for _ in 0..30 {
        server.connect().expect_end();
    }
    for client in &mut clients {
        assert_eq!(client.get("/").code, 200);
    }
    assert_eq!(server.metric("swarmlings_connections_rejected_total").as_deref(), Some("30"));
    drop(clients.pop());
    eventually("a connection is accepted again", || {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.try_read_response("GET").is_some()
    });
}

#[test]
fn connections_that_ended_do_not_count() {
    let server = Server::start(Limits { max_connections: Some(1), ..limits() }, hello);
    for _ in 0..100 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        assert_eq!(client.read_response().code, 200);
        client.expect_end();
    }
}
