//! HTTP/2, upgrades and transports.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{
    Body, Bytes, Connection, DrainReport, EstablishFuture, Established, Limits, Peer, Request, Response,
    Service, StatusCode, Stream, Transport, Upgraded, header, status, text,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::TIMEOUT;
use crate::server::{Event, Hold, Holding, Server, eventually, limits};

/// A service that also speaks HTTP/2.
struct Http2<S>(S);

impl<S: Service> Service for Http2<S> {
    const HTTP2: bool = true;

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        self.0.call(request, connection).await
    }

    fn on_disconnect(&self, connection: &Connection) {
        self.0.on_disconnect(connection);
    }

    fn on_drain(&self) {
        self.0.on_drain();
    }
}

fn holding(limits: Limits) -> (Server, Hold) {
    let (service, hold) = Holding::new();
    (Server::start(limits, Http2(service)), hold)
}

/// Runs an HTTP/2 client.
fn with_client<T>(
    address: SocketAddr,
    use_it: impl AsyncFnOnce(SendRequest<Empty<Bytes>>, tokio::task::JoinHandle<hyper::Result<()>>) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        use_it(sender, tokio::spawn(connection)).await
    })
}

fn request(path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://test{path}")).body(Empty::new()).unwrap()
}

#[test]
fn one_port_serves_http_1_and_http_2() {
    let (server, _hold) = holding(limits());
    let mut old = server.connect();
    assert_eq!(old.get("/").body, "done\n");
    assert_eq!(old.get("/").body, "done\n", "the connection serves another request");
    with_client(server.address, async |mut client, _| {
        for _ in 0..2 {
            let response = client.send_request(request("/")).await.unwrap();
            assert_eq!(response.headers()["x-served-by"], "test-1");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done\n");
        }
    });
    eventually("nothing is in flight", || server.in_flight() == 0);
    assert_eq!(
        server.metric("swarmlings_requests_total{method=\"GET\",code=\"200\",route=\"*\"}").as_deref(),
        Some("4")
    );
}

#[test]
fn connection_without_the_preface_is_http_1_from_its_first_byte() {
    let (server, _hold) = holding(limits());
    for beginning in ["P", "PRI ", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut client = server.connect();
        client.send(beginning);
        client.send("X / HTTP/1.1\r\nhost: test\r\n\r\n");
        let response = client.try_read_response("GET").unwrap();
        assert!([400, 405].contains(&response.code), "{beginning:?}: {response:?}");
    }
}

#[test]
fn preface_closes_the_connection_of_a_service_without_http2() {
    let (service, _hold) = Holding::new();
    let server = Server::start(limits(), service);
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.expect_end();
}

#[test]
fn client_without_a_request_times_out() {
    let (server, _hold) = holding(Limits { idle_timeout: Duration::from_millis(50), ..limits() });
    server.connect().expect_end();
    let (server, _hold) = holding(Limits { header_timeout: Duration::from_millis(50), ..limits() });
    let mut client = server.connect();
    client.send("PRI * HTT");
    client.expect_end();
}

#[test]
fn drain_answers_concurrent_requests_and_closes_the_connection() {
    let (mut server, hold) = holding(limits());
    let address = server.address;
    let drained = with_client(address, async |mut client, connection| {
        let waiting = [client.send_request(request("/held")), client.send_request(request("/held"))];
        let [one, other] = waiting.map(tokio::spawn);
        let drained = tokio::task::spawn_blocking(move || {
            hold.expect(Event::Called);
            hold.expect(Event::Called);
            server.shut_down();
            server.eventually_draining();
            server.eventually_refusing();
            hold.release();
            server.drained()
        });
        for response in [one, other] {
            let response = response.await.unwrap().unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done\n");
        }
        connection.await.unwrap().unwrap();
        drained.await.unwrap()
    });
    assert_eq!(drained, DrainReport { drained: 2, aborted: 0 });
}

#[test]
fn cancelled_request_is_no_longer_in_flight() {
    let (server, hold) = holding(limits());
    with_client(server.address, async |mut client, _connection| {
        let mut given_up = Box::pin(client.send_request(request("/held")));
        let polled = tokio::time::timeout(Duration::from_millis(1), &mut given_up);
        assert!(polled.await.is_err(), "it is held");
        tokio::task::spawn_blocking(move || hold.expect(Event::Called)).await.unwrap();
        drop(given_up);
        let start = std::time::Instant::now();
        while in_flight(&server).await != 0 {
            assert!(start.elapsed() < TIMEOUT, "the request stays in flight");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Reads the metric on another thread, since the client must keep sending.
async fn in_flight(server: &Server) -> u32 {
    let context = server.context.clone();
    let asking = move || Server::admin(&context).connect().get("/metrics").body;
    let metrics = tokio::task::spawn_blocking(asking).await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("swarmlings_requests_in_flight "));
    line.unwrap().parse().unwrap()
}

/// Upgrades to a protocol that echoes bytes and says goodbye at the end.
fn upgrade_to_echo(_: &Request) -> Response {
    let mut response = status(StatusCode::SWITCHING_PROTOCOLS, Body::upgrade(echo));
    for (name, value) in [(header::CONNECTION, "upgrade"), (header::UPGRADE, "repeat")] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn echo(mut client: Upgraded) {
    let mut closing = Box::pin(client.closing());
    let mut bytes = [0; 100];
    loop {
        tokio::select! {
            read = client.read(&mut bytes) => match read {
                Ok(count @ 1..) => client.write_all(&bytes[..count]).await.unwrap(),
                _ => return,
            },
            () = &mut closing => return client.write_all(b"goodbye\n").await.unwrap(),
        }
    }
}

#[test]
fn upgraded_protocol_gets_early_bytes_and_is_told_about_the_drain() {
    let mut server = Server::start(limits(), upgrade_to_echo);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: repeat\r\n\r\nearly\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.line(), "early\n");
    client.send("late\n");
    assert_eq!(client.line(), "late\n");
    assert_eq!(server.in_flight(), 0);
    assert_eq!(server.metric("swarmlings_connections_open").as_deref(), Some("1"));
    server.shut_down();
    assert_eq!(client.line(), "goodbye\n");
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 0 });
}

#[test]
fn aborted_response_sends_no_byte() {
    let server = Server::start(limits(), |_: &Request| text(Body::abort()));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.expect_end();
    eventually("nothing is in flight", || server.in_flight() == 0);
}

/// Clients send their name in a line before the first request.
struct NameTransport;

struct Name(String);

impl Transport for NameTransport {
    fn establish(&self, mut stream: Stream, _peer: Peer) -> EstablishFuture<'_> {
        Box::pin(async move {
            let mut name = String::new();
            loop {
                match stream.read_u8().await? {
                    b'\n' => break,
                    b'!' => return Err(io::Error::other("invalid name")),
                    byte => name.push(char::from(byte)),
                }
            }
            stream.write_all(b"hello\n").await?;
            Ok(Established { stream: Stream::layered(stream), info: Some(Box::new(Name(name))) })
        })
    }
}

impl Service for NameTransport {
    fn transport(&self) -> Option<&dyn Transport> {
        Some(self)
    }

    async fn call(&self, _request: Request, connection: &Connection) -> Response {
        text(connection.transport_info::<Name>().map_or_else(String::new, |name| name.0.clone()))
    }
}

#[test]
fn transport_info_is_available_to_each_request() {
    let server = Server::start(limits(), NameTransport);
    let mut client = server.connect();
    client.send("viktor\n");
    assert_eq!(client.line(), "hello\n");
    for _ in 0..2 {
        assert_eq!(client.get("/").body, "viktor");
    }
}

#[test]
fn failed_or_slow_transport_handshake_closes_the_connection() {
    let server =
        Server::start(Limits { header_timeout: Duration::from_millis(50), ..limits() }, NameTransport);
    let mut client = server.connect();
    client.send("viktor!");
    client.expect_end();
    let mut client = server.connect();
    client.send("vik");
    client.expect_end();
}

#[test]
fn pending_transport_handshake_does_not_delay_the_drain() {
    let mut server = Server::start(limits(), NameTransport);
    let mut client = server.connect();
    eventually("the client is connected", || {
        server.metric("swarmlings_connections_open").as_deref() == Some("1")
    });
    server.shut_down();
    client.expect_end();
    assert_eq!(server.drained(), DrainReport { drained: 0, aborted: 0 });
}
