use std::time::Duration;

use runtime::{Body, Limits, Request, Response, text};

use crate::client::Client;
use crate::server::{Endless, Holding, Measuring, Server, limits};

const SHORT: Duration = Duration::from_millis(100);

fn hello(_: &Request) -> Response {
    text("hello\n")
}

#[test]
fn a_client_that_dribbles_its_header_is_cut() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() }, hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nx-slow: ");
    client.dribble_until_cut();
}

#[test]
fn an_idle_connection_outlives_a_slow_one() {
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
fn a_second_request_has_its_header_time_out_too() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() }, hello);
    let mut client = server.connect();
    client.get("/");
    client.send("GET / HTTP/1.1\r\n");
    client.expect_end();
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let server = Server::start(Limits { idle_timeout: SHORT, ..limits() }, hello);
    let (mut fresh, mut used) = (server.connect(), server.connect());
    used.get("/");
    used.expect_end();
    fresh.expect_end();
}

#[test]
fn a_service_may_take_longer_than_any_client() {
    let short = Limits { header_timeout: SHORT, idle_timeout: SHORT, stall_timeout: SHORT, ..limits() };
    let (service, hold) = Holding::new();
    let server = Server::start(short, service);
    let mut client = server.connect_held(&hold);
    for _ in 0..3 {
        server.connect().expect_end();
    }
    hold.release();
    assert_eq!(client.answer().code, 200);
}

#[test]
fn a_client_that_takes_none_of_its_answer_is_cut() {
    let endless = |_: &Request| Response::new(Body::stream(Endless));
    let server = Server::start(Limits { stall_timeout: SHORT, ..limits() }, endless);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    server.eventually_in_flight(1);
    server.eventually_in_flight(0);
}

#[test]
fn a_body_that_says_that_it_is_too_large_is_refused_unread() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, Measuring);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\n");
    expect_refused(&mut client, 413, "the request's body is larger than 10 bytes\n");
}

#[test]
fn a_body_that_grows_too_large_is_refused_whatever_the_service_says() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, Measuring);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("6\r\n123456\r\n5\r\n12345\r\n");
    expect_refused(&mut client, 413, "the request's body is larger than 10 bytes\n");
}

#[test]
fn a_refused_client_that_still_sends_gets_its_answer() {
    let server = Server::start(limits(), Measuring);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3000000\r\n\r\n");
    client.send(vec![b'x'; 3_000_000]);
    expect_refused(&mut client, 413, "the request's body is larger than 1048576 bytes\n");
}

#[test]
fn a_body_as_large_as_the_limit_is_taken() {
    let server = Server::start(Limits { max_body_bytes: 10, ..limits() }, Measuring);
    let mut client = server.connect();
    for body in [
        "content-length: 10\r\n\r\n0123456789",
        "transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
    ] {
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{body}"));
        let answer = client.answer();
        assert_eq!((answer.code, &*answer.body, answer.header("connection")), (200, "10\n", None));
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    let server = Server::start(Limits { body_timeout: SHORT, ..limits() }, Measuring);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n123");
    expect_refused(&mut client, 408, "the request's body took longer than 100ms\n");
}

#[test]
fn a_body_that_dribbles_is_refused_as_slow_though_each_byte_is_quick() {
    let server = Server::start(Limits { body_timeout: SHORT, ..limits() }, Measuring);
    for body in ["content-length: 1000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n5;extension="] {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{body}"));
        let answer = client.dribble_until_answered();
        assert_eq!((answer.code, answer.header("connection")), (408, Some("close")), "{body}");
        client.dribble_until_cut();
    }
}

#[test]
fn a_body_that_dribbles_and_that_nobody_reads_is_cut_off() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    assert_eq!(client.answer().body, "hello\n");
    client.dribble_until_cut();
}

#[test]
fn a_body_that_nobody_reads_does_not_cost_the_answer() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    client.send(vec![b'x'; 1_000_000]);
    expect_refused(&mut client, 200, "hello\n");
}

#[test]
fn a_header_that_is_too_large_is_refused() {
    let server = Server::start(Limits { max_header_bytes: 8192, ..limits() }, hello);
    let mut client = server.connect();
    let request = |size| format!("GET / HTTP/1.1\r\nhost: test\r\nx-large: {}\r\n\r\n", "a".repeat(size));
    client.send(request(8000));
    assert_eq!(client.answer().code, 200);
    client.send(request(9000));
    assert_eq!(client.answer().code, 431);
    client.expect_end();
}

fn expect_refused(client: &mut Client, code: u16, body: &str) {
    let answer = client.answer();
    assert_eq!((answer.code, &*answer.body), (code, body));
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_end();
}
