use std::time::Duration;

use runtime::{Connection, Limits, Method, Request, Response, Service, text};

use crate::client::Client;
use crate::server::{Server, limits};

/// More connections than hyper keeps buffers for.
const CROWD: usize = 120;

/// Answers at once, with the path, and only then reads the body.
struct Hasty;

impl Service for Hasty {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    async fn call(&self, request: Request, _connection: &Connection) -> Response {
        let path = request.uri().path().to_owned();
        tokio::spawn(async move { request.into_body().bytes().await.map(drop) });
        text(path)
    }
}

fn crowd(server: &Server) -> Vec<Client> {
    let mut clients: Vec<_> = (0..CROWD).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").code, 200);
    }
    clients
}

fn path(request: &Request) -> Response {
    text(request.uri().path().to_owned())
}

#[test]
fn each_of_a_crowd_is_answered_again_and_again() {
    let server = Server::start(limits(), path);
    let mut crowd = crowd(&server);
    for turn in 0..3 {
        for (number, client) in crowd.iter_mut().enumerate() {
            let path = format!("/{turn}/{number}");
            assert_eq!(client.get(&path).body, path);
        }
    }
}

#[test]
fn a_request_that_comes_in_part_with_another_is_answered_in_a_crowd() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    let mut client = server.connect();
    client.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\nGET /sec");
    assert_eq!(client.answer().body, "/first");
    client.send("ond HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.answer().body, "/second");
}

#[test]
fn a_header_that_comes_in_part_with_another_request_has_the_idle_time_out() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(500), ..limits() }, path);
    let mut client = server.connect();
    client.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\nGET /sec");
    assert_eq!(client.answer().body, "/first");
    client.expect_end();
}

#[test]
fn a_body_that_is_read_after_the_answer_is_not_taken_for_a_request_in_a_crowd() {
    let server = Server::start(limits(), Hasty);
    let _crowd = crowd(&server);
    let mut client = server.connect();
    let body = "GET /body HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(format!("POST /first HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len()));
    assert_eq!(client.answer().body, "/first");
    client.send(body);
    client.send("GET /second HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.answer().body, "/second");
}

#[test]
fn who_asks_for_the_end_has_it_in_a_crowd() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    for request in ["GET /1 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", "GET /1 HTTP/1.0\r\n\r\n"] {
        let mut client = server.connect();
        client.get("/");
        client.send(request);
        assert_eq!(client.answer().body, "/1");
        client.expect_end();
    }
}

#[test]
fn who_asks_for_the_end_behind_many_requests_has_it_in_a_crowd() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    for count in 10..20 {
        let mut client = server.connect();
        let requests = "GET /1 HTTP/1.1\r\nhost: test\r\n\r\n".repeat(count);
        client.send(requests + "GET /2 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        for _ in 0..count {
            assert_eq!(client.answer().body, "/1");
        }
        assert_eq!(client.answer().body, "/2");
        client.expect_end();
    }
}

#[test]
fn a_silent_crowd_is_closed_in_the_end() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(200), ..limits() }, path);
    crowd(&server).iter_mut().for_each(Client::expect_end);
}

#[test]
fn a_drain_closes_a_silent_crowd() {
    let mut server = Server::start(limits(), path);
    let mut crowd = crowd(&server);
    server.shut_down();
    crowd.iter_mut().for_each(Client::expect_end);
    assert_eq!(server.drained().aborted, 0);
}
