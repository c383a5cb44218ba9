use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use runtime::{Body, DrainReport, Limits, Request, Response, text};
use tokio::sync::mpsc::unbounded_channel;

use crate::client::{Client, TIMEOUT};
use crate::server::{Chunks, Event, Holding, LONG, Server, eventually, limits};

#[test]
fn in_flight_request_is_answered_and_its_connection_closed() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(limits(), service);
    let mut client = server.connect_held(&hold);
    server.shut_down();
    hold.expect(Event::Draining);
    hold.release();
    let response = client.read_response();
    assert_eq!((&*response.body, response.header("connection")), ("done\n", Some("close")));
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 1, aborted: 0 });
    hold.expect(Event::Disconnected);
    hold.expect_nothing_more();
}

#[test]
fn old_and_new_connections_are_served_during_the_linger() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(Limits { linger: LONG, ..limits() }, service);
    let mut old = server.connect();
    assert_eq!(old.get("/").header("connection"), None);
    hold.expect(Event::Called);
    server.shut_down();
    hold.expect(Event::Draining);
    for client in [&mut old, &mut server.connect()] {
        let response = client.get("/");
        assert_eq!((response.code, response.header("connection")), (200, Some("close")));
        client.expect_end();
    }
    server.abort_drain();
    assert_eq!(server.drained(), DrainReport { drained: 2, aborted: 0 });
}

#[test]
fn idle_connections_are_closed_after_the_linger() {
    let (service, _hold) = Holding::new();
    let mut server = Server::start(limits(), service);
    let (mut fresh, mut used) = (server.connect(), server.connect());
    used.get("/");
    server.shut_down();
    used.expect_end();
    fresh.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 0 });
}

#[test]
fn connections_in_the_accept_queue_are_served() {
    queue_is_served(1);
}

#[test]
fn connections_in_the_accept_queue_are_served_by_several_threads() {
    queue_is_served(3);
}

fn queue_is_served(threads: usize) {
    let (server, _idle, block) = blocked_beyond_its_linger(threads);
    let mut queue: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut queue {
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    block.send(()).unwrap();
    for client in &mut queue {
        let response = client.read_response();
        assert_eq!((response.code, response.header("connection")), (200, Some("close")));
    }
    // Including the request that blocked.
    assert_eq!(server.drained(), DrainReport { drained: 51, aborted: 0 });
}

#[test]
fn connection_accepted_late_has_time_for_its_first_request() {
    let (server, mut idle, block) = blocked_beyond_its_linger(1);
    let mut late = server.connect();
    block.send(()).unwrap();
    idle.expect_end();
    server.eventually_refusing();
    assert_eq!(late.get("/").code, 200);
}

/// Returns a draining server whose first thread, which accepts connections, is blocked until after the linger, and a client
/// that was connected before.
fn blocked_beyond_its_linger(threads: usize) -> (Server, Client, mpsc::Sender<()>) {
    let linger = Duration::from_secs(2);
    let (block, blocked) = mpsc::channel();
    let blocked = Mutex::new(blocked);
    let mut server = Server::threaded(Limits { linger, ..limits() }, threads, move |request: &Request| {
        if request.uri().path() == "/block" {
            blocked.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
        }
        text("served\n")
    });
    let (mut client, mut idle) = (server.connect(), server.connect());
    idle.get("/");
    // The client can have the response before its thread has counted it.
    server.eventually_in_flight(0);
    server.shut_down();
    server.eventually_draining();
    client.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    server.eventually_in_flight(1);
    let start = Instant::now();
    eventually("the linger is over", || start.elapsed() > linger);
    (server, idle, block)
}

#[test]
fn request_in_transmission_is_answered() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(limits(), service);
    let (mut slow, mut other) = (server.connect(), server.connect());
    slow.send("GET / HTTP/1.1\r\n");
    other.get("/");
    hold.expect(Event::Called);
    server.shut_down();
    hold.expect(Event::Draining);
    other.expect_end();
    hold.expect(Event::Disconnected);
    slow.send("host: test\r\n\r\n");
    assert_eq!(slow.read_response().header("connection"), Some("close"));
    assert_eq!(server.drained(), DrainReport { drained: 1, aborted: 0 });
}

#[test]
fn streamed_response_is_sent_completely() {
    let (chunks, body) = unbounded_channel();
    let body = Mutex::new(Some(body));
    let mut server = Server::start(limits(), move |_: &Request| {
        Response::new(Body::stream(Chunks(body.lock().unwrap().take().unwrap())))
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    chunks.send("before, ").unwrap();
    server.eventually_in_flight(1);
    server.shut_down();
    server.eventually_refusing();
    chunks.send("after").unwrap();
    drop(chunks);
    assert_eq!(client.read_response().body, "before, after");
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 1, aborted: 0 });
}

#[test]
fn request_beyond_the_grace_period_is_aborted() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(Limits { grace: Duration::from_millis(50), ..limits() }, service);
    let mut client = server.connect_held(&hold);
    server.shut_down();
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 1 });
    hold.expect(Event::Draining);
    hold.expect(Event::Disconnected);
    hold.expect_nothing_more();
}

#[test]
fn second_signal_ends_the_drain_at_once() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(Limits { linger: LONG, ..limits() }, service);
    let mut client = server.connect_held(&hold);
    server.shut_down();
    hold.expect(Event::Draining);
    server.abort_drain();
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 1 });
}

#[test]
fn request_of_a_client_that_disconnects_is_neither_drained_nor_aborted() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(limits(), service);
    let client = server.connect_held(&hold);
    server.shut_down();
    hold.expect(Event::Draining);
    drop(client);
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 0 });
}
