use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use runtime::{Connection, DrainReport, Limits, Request, Response, Service, text};

use crate::client::{Client, PATIENCE};
use crate::server::{Event, Holding, LONG, Server, limits};

/// Answers with the thread that it runs on.
fn where_am_i(_: &Request) -> Response {
    text(format!("{:?}", thread::current().id()))
}

#[test]
fn connections_are_handed_round_and_stay_where_they_are() {
    let server = Server::threaded(limits(), 3, where_am_i);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    let threads: Vec<_> = clients.iter_mut().map(|client| client.get("/").body).collect();
    assert_eq!(threads.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(threads[..3], threads[3..]);
    let again: Vec<_> = clients.iter_mut().map(|client| client.get("/").body).collect();
    assert_eq!(again, threads);
}

#[test]
fn a_thread_that_is_kept_busy_does_not_keep_the_others() {
    let (block, blocked) = mpsc::channel();
    let blocked = Mutex::new(blocked);
    let server = Server::threaded(limits(), 2, move |request: &Request| {
        if request.uri().path() == "/block" {
            blocked.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        text("served\n")
    });
    let (mut first, mut second) = (server.connect(), server.connect());
    // So that both have been let in, by the first thread.
    assert_eq!((first.get("/").code, second.get("/").code), (200, 200));
    first.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..10 {
        assert_eq!(second.get("/").body, "served\n");
    }
    block.send(()).unwrap();
    assert_eq!(first.answer().body, "served\n");
}

#[test]
fn a_drain_is_of_all_threads() {
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
        let answer = client.answer();
        assert_eq!((&*answer.body, answer.header("connection")), ("done\n", Some("close")));
        client.expect_end();
    }
    assert_eq!(server.drained(), DrainReport { drained: 6, aborted: 0 });
}

#[test]
fn what_outlasts_the_grace_is_cut_off_on_all_threads() {
    let (service, hold) = Holding::new();
    let mut server = Server::threaded(Limits { linger: LONG, ..limits() }, 3, service);
    let mut waiting: Vec<_> = (0..6).map(|_| server.connect_held(&hold)).collect();
    server.shut_down();
    hold.expect(Event::Draining);
    server.hurry();
    waiting.iter_mut().for_each(Client::expect_end);
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 6 });
    for _ in 0..6 {
        hold.expect(Event::Disconnected);
    }
    hold.expect_nothing_more();
}

#[test]
fn each_thread_minds_the_limits() {
    let short = Duration::from_millis(100);
    let server = Server::threaded(Limits { idle_timeout: short, ..limits() }, 3, where_am_i);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(Client::expect_end);
}

#[test]
fn a_unix_socket_is_served_by_all_threads() {
    struct Where;
    impl Service for Where {
        async fn call(&self, request: Request, _: &Connection) -> Response {
            where_am_i(&request)
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = Server::on_socket(&path, 3, Where);
    let answers: BTreeSet<_> = (0..3).map(|_| Client::connect_unix(&path).get("/").body).collect();
    assert_eq!(answers.len(), 3);
}
