use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use runtime::{Connection, DrainReport, Limits, Request, Response, Service, text};

use crate::client::{Client, TIMEOUT};
use crate::server::{Event, Holding, LONG, Server, limits};

/// Responds with the ID of its thread.
fn thread_id(_: &Request) -> Response {
    text(format!("{:?}", thread::current().id()))
}

#[test]
fn connections_are_assigned_in_turn_and_stay_on_their_thread() {
    let server = Server::threaded(limits(), 3, thread_id);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    let threads: Vec<_> = clients.iter_mut().map(|client| client.get("/").body).collect();
    assert_eq!(threads.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(threads[..3], threads[3..]);
    let again: Vec<_> = clients.iter_mut().map(|client| client.get("/").body).collect();
    assert_eq!(again, threads);
}

#[test]
fn blocked_thread_does_not_block_the_others() {
    let (block, blocked) = mpsc::channel();
    let blocked = Mutex::new(blocked);
    let server = Server::threaded(limits(), 2, move |request: &Request| {
        if request.uri().path() == "/block" {
            blocked.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
        }
        text("served\n")
    });
    let (mut first, mut second) = (server.connect(), server.connect());
    // Ensures that the first thread has accepted both.
    assert_eq!((first.get("/").code, second.get("/").code), (200, 200));
    first.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..10 {
        assert_eq!(second.get("/").body, "served\n");
    }
    block.send(()).unwrap();
    assert_eq!(first.read_response().body, "served\n");
}

#[test]
fn drain_covers_all_threads() {
    let (service, hold) = Holding::new();
    let mut server = Server::threaded(limits(), 3, service);
    let mut idle: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let mut waiting: Vec<_> = (0..6).map(|_| server.connect_held(&hold)).collect();
    server.shut_down();
    hold.expect(Event::Draining);
    idle.iter_mut().for_each(Client::expect_end);
    for _ in 0..3 {
        hold.expect(Event::Disconnected);
    }
    assert_eq!(server.in_flight(), 6);
    hold.release();
    for client in &mut waiting {
        let response = client.read_response();
        assert_eq!((&*response.body, response.header("connection")), ("done\n", Some("close")));
        client.expect_end();
    }
    assert_eq!(server.drained(), DrainReport { drained: 6, aborted: 0 });
}

#[test]
fn second_signal_aborts_requests_on_all_threads() {
    let (service, hold) = Holding::new();
    let mut server = Server::threaded(Limits { linger: LONG, ..limits() }, 3, service);
    let mut waiting: Vec<_> = (0..6).map(|_| server.connect_held(&hold)).collect();
    server.shut_down();
    hold.expect(Event::Draining);
    server.abort_drain();
    waiting.iter_mut().for_each(Client::expect_end);
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 6 });
    for _ in 0..6 {
        hold.expect(Event::Disconnected);
    }
    hold.expect_nothing_more();
}

#[test]
fn every_thread_enforces_the_limits() {
    let short = Duration::from_millis(100);
    let server = Server::threaded(Limits { idle_timeout: short, ..limits() }, 3, thread_id);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(Client::expect_end);
}

#[test]
fn unix_socket_is_served_by_all_threads() {
    struct ThreadId;
    impl Service for ThreadId {
        async fn call(&self, request: Request, _: &Connection) -> Response {
            thread_id(&request)
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = Server::on_socket(&path, 3, ThreadId);
    let responses: BTreeSet<_> = (0..3).map(|_| Client::connect_unix(&path).get("/").body).collect();
    assert_eq!(responses.len(), 3);
}
