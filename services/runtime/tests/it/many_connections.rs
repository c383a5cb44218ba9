use std::time::Duration;

use runtime::{Connection, Limits, Method, Request, Response, Service, text};

use crate::client::Client;
use crate::server::{Server, limits};

/// Number of idle connections besides the one under test.
const CROWD: usize = 120;

/// Responds with the path, and reads the body afterwards.
struct ReadsLate;

impl Service for ReadsLate {
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
fn every_connection_is_served_repeatedly() {
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
fn request_that_arrives_in_part_with_another_is_answered() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    let mut client = server.connect();
    client.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\nGET /sec");
    assert_eq!(client.read_response().body, "/first");
    client.send("ond HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.read_response().body, "/second");
}

#[test]
fn header_that_arrives_in_part_with_another_request_has_the_idle_timeout() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(500), ..limits() }, path);
    let mut client = server.connect();
    client.send("GET /first HTTP/1.1\r\nhost: test\r\n\r\nGET /sec");
    assert_eq!(client.read_response().body, "/first");
    client.expect_end();
}

#[test]
fn body_read_after_the_response_is_not_parsed_as_a_request() {
    let server = Server::start(limits(), ReadsLate);
    let _crowd = crowd(&server);
    let mut client = server.connect();
    let body = "GET /body HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(format!("POST /first HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len()));
    assert_eq!(client.read_response().body, "/first");
    client.send(body);
    client.send("GET /second HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.read_response().body, "/second");
}

#[test]
fn connection_close_and_http_1_0_close_the_connection() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    for request in ["GET /1 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", "GET /1 HTTP/1.0\r\n\r\n"] {
        let mut client = server.connect();
        client.get("/");
        client.send(request);
        assert_eq!(client.read_response().body, "/1");
        client.expect_end();
    }
}

#[test]
fn connection_close_after_pipelined_requests_closes_the_connection() {
    let server = Server::start(limits(), path);
    let _crowd = crowd(&server);
    for count in 10..20 {
        let mut client = server.connect();
        let requests = "GET /1 HTTP/1.1\r\nhost: test\r\n\r\n".repeat(count);
        client.send(requests + "GET /2 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        for _ in 0..count {
            assert_eq!(client.read_response().body, "/1");
        }
        assert_eq!(client.read_response().body, "/2");
        client.expect_end();
    }
}

#[test]
fn idle_connections_are_closed_after_the_idle_timeout() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(200), ..limits() }, path);
    crowd(&server).iter_mut().for_each(Client::expect_end);
}

#[test]
fn drain_closes_idle_connections() {
    let mut server = Server::start(limits(), path);
    let mut crowd = crowd(&server);
    server.shut_down();
    crowd.iter_mut().for_each(Client::expect_end);
    assert_eq!(server.drained().aborted, 0);
}
