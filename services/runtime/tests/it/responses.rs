use runtime::{Body, Context, Identity, Request, Response, app_info, text};

use crate::server::{BodyLength, Event, Holding, Server, limits};

fn hello(_: &Request) -> Response {
    text("hello\n")
}

#[test]
fn closure_is_a_service() {
    let name = "a closure".to_owned();
    let server = Server::start(limits(), move |request: &Request| {
        text(format!("{name} at {}\n", request.uri().path()))
    });
    let response = server.connect().get("/path?query");
    assert_eq!((response.code, &*response.body), (200, "a closure at /path\n"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn responses_name_their_host() {
    let server = Server::start(limits(), hello);
    assert_eq!(server.connect().get("/").header("x-served-by"), Some("test-1"));
    assert_eq!(server.connect().ask("POST", "/").header("x-served-by"), Some("test-1"));
}

#[test]
fn responses_name_task_and_node_if_both_are_known() {
    for (task, node, expected) in [
        (Some("demo_ping.1.u2w0"), Some("leader"), Some("demo_ping.1@leader")),
        (Some("ping"), Some("leader"), Some("ping@leader")),
        (Some("demo_ping.1.u2w0"), None, None),
        (None, Some("leader"), None),
    ] {
        let [task, node] = [task, node].map(|name| name.map(str::to_owned));
        let identity = Identity { host: "test-1".to_owned(), task, slot: None, node };
        let context = Context::new(app_info!("A service under test"), identity, limits());
        let response = Server::with_context(&context, hello).connect().get("/");
        assert_eq!(response.header("x-instance"), expected);
        assert_eq!(response.header("x-served-by"), Some("test-1"));
    }
}

#[test]
fn malformed_requests_get_one_error_response_and_a_close() {
    let server = Server::start(limits(), hello);
    for (request, code) in
        [("nonsense\r\n\r\n".to_owned(), 400), (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000)), 431)]
    {
        let mut client = server.connect();
        client.send(request);
        let response = client.read_response();
        assert_eq!(response.code, code, "{}", response.head);
        assert_eq!(response.head.matches("HTTP/1.1").count(), 1);
        client.expect_end();
    }
}

#[test]
fn malformed_pipelined_request_is_answered_after_the_valid_one() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\nnonsense\r\n\r\n");
    assert_eq!(client.read_response().code, 200);
    assert_eq!(client.read_response().code, 400);
}

#[test]
fn other_methods_get_405_with_the_allowed_ones() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    for method in ["POST", "DELETE", "OPTIONS", "FROBNICATE"] {
        let response = client.ask(method, "/");
        assert_eq!((response.code, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(client.get("/").code, 200, "the connection stays open");
}

#[test]
fn service_can_accept_every_method() {
    let server = Server::start(limits(), BodyLength);
    assert_eq!(server.connect().ask("FROBNICATE", "/").code, 200);
}

#[test]
fn head_response_has_the_length_and_no_body() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    let response = client.ask("HEAD", "/");
    assert_eq!((response.code, response.header("content-length")), (200, Some("6")));
    assert_eq!(client.get("/").body, "hello\n", "the next response starts right after the header");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(limits(), |request: &Request| text(request.uri().path().to_owned()));
    let mut client = server.connect();
    assert_eq!(client.get("/1").body, "/1");
    client.send("GET /2 HTTP/1.1\r\nhost: test\r\n\r\nGET /3 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.read_response().body, "/2");
    assert_eq!(client.read_response().body, "/3");
}

#[test]
fn response_without_a_body_keeps_the_connection_usable() {
    let server = Server::start(limits(), |request: &Request| {
        // HTTP allows no body with this code.
        let mut response = Response::new(Body::from("stowaway"));
        if request.uri().path() == "/204" {
            *response.status_mut() = runtime::StatusCode::NO_CONTENT;
        }
        response
    });
    let mut client = server.connect();
    client.send("GET /204 HTTP/1.1\r\nhost: test\r\n\r\nGET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.try_read_response("HEAD").unwrap().code, 204);
    assert_eq!(client.read_response().body, "stowaway");
    server.eventually_in_flight(0);
}

#[test]
fn disconnect_ends_the_request() {
    let (service, hold) = Holding::new();
    let server = Server::start(limits(), service);
    let client = server.connect_held(&hold);
    assert_eq!(server.in_flight(), 1);
    drop(client);
    hold.expect(Event::Disconnected);
    assert_eq!(server.in_flight(), 0);
    hold.expect_nothing_more();
}

#[test]
fn connection_without_a_request_is_reported_as_disconnected_once() {
    let (service, hold) = Holding::new();
    let server = Server::start(limits(), service);
    drop(server.connect());
    hold.expect(Event::Disconnected);
    drop(server);
    hold.expect(Event::Draining);
    hold.expect_nothing_more();
}
