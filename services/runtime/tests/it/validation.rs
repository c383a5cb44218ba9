use std::fmt::Write as _;

use runtime::{Request, Response, text};

use crate::client::RawResponse;
use crate::server::{BodyLength, Server, limits};

/// A second request, to be found if the server misjudges the length of the first.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";

fn path(request: &Request) -> Response {
    text(format!("{} {}\n", request.method(), request.uri().path()))
}

/// Sends `request` followed by a second one. Returns all responses until the connection closes.
fn responses(server: &Server, request: &str) -> Vec<RawResponse> {
    let mut client = server.connect();
    client.send(format!("{request}{SMUGGLED}"));
    let responses = std::iter::from_fn(|| client.try_read_response("GET")).collect();
    client.expect_end();
    responses
}

/// Expects one response with this code and then a close, although a second request follows.
fn expect_only(server: &Server, request: &str, code: u16) {
    let responses: Vec<_> = responses(server, request).iter().map(|response| response.code).collect();
    assert_eq!(responses, [code], "{request:?}");
}

#[test]
fn ambiguous_length_gets_400_and_later_bytes_are_ignored() {
    let server = Server::start(limits(), BodyLength);
    for headers in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5\r\ncontent-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length:",
        "content-length: 18446744073709551616",
        "content-length : 5",
        "content-length\t: 5",
        "content-length: 5\r\n content-length: 6",
        "content-length:\r\n 5",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: chunked\r\n , identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunkedx",
        "transfer-encoding: chun ked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding: \0chunked",
        "transfer-encoding:",
        " transfer-encoding: chunked",
        ": chunked",
        "x: a\rtransfer-encoding: chunked",
        "transfer encoding: chunked",
        "transfer-encoding",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\n{headers}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        expect_only(&server, &request, 400);
    }
}

#[test]
fn transfer_encodings_other_than_chunked_get_501() {
    let server = Server::start(limits(), BodyLength);
    for headers in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: ,chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\n{headers}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        expect_only(&server, &request, 501);
    }
    let request =
        "POST / HTTP/1.1\r\nhost: test\r\nTransfer-Encoding: \t Chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(server.connect_and_send(request).read_response().body, "5\n");
    expect_only(&server, "POST / HTTP/1.0\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn transfer_encoding_overrides_content_length_and_closes_the_connection() {
    let server = Server::start(limits(), BodyLength);
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\ncontent-length: 5",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\n{headers}\r\n\r\n2\r\nab\r\n0\r\n\r\n");
        let responses = responses(&server, &request);
        assert_eq!(responses.len(), 1, "{headers}");
        assert_eq!((responses[0].code, &*responses[0].body), (200, "2\n"), "{headers}");
        assert_eq!(responses[0].header("connection"), Some("close"), "{headers}");
    }
}

#[test]
fn equal_content_lengths_are_accepted() {
    let server = Server::start(limits(), BodyLength);
    let mut client = server.connect_and_send(
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\ncontent-length: 05\r\n\r\nhello",
    );
    assert_eq!(client.read_response().body, "5\n");
    assert_eq!(client.get("/").body, "0\n", "the next request starts right after the body");
}

#[test]
fn malformed_chunks_get_400_and_later_bytes_are_ignored() {
    let server = Server::start(limits(), BodyLength);
    let (extension, trailer) = (format!("5;{}", "a".repeat(20_000)), format!("x: {}", "a".repeat(20_000)));
    for body in [
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5x\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx y: z\r\n\r\n",
        &format!("{extension}\r\nhello\r\n0\r\n\r\n"),
        &format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        expect_only(&server, &request, 400);
    }
}

#[test]
fn unusual_valid_chunks_are_accepted() {
    let server = Server::start(limits(), BodyLength);
    let mut client = server.connect();
    for body in [
        "005\r\nhello\r\n000\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n",
    ] {
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        assert_eq!(client.read_response().body, "5\n", "{body}");
    }
}

#[test]
fn exactly_one_valid_host_is_required() {
    let server = Server::start(limits(), path);
    for headers in
        ["", "x: y\r\n", "host: a\r\nhost: b\r\n", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host: a/b\r\n"]
    {
        expect_only(&server, &format!("GET / HTTP/1.1\r\n{headers}\r\n"), 400);
    }
    expect_only(&server, "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400);
    // HTTP/1.0 predates the header, and closes the connection.
    expect_only(&server, "GET / HTTP/1.0\r\n\r\n", 200);
    assert_eq!(server.connect_and_send("GET / HTTP/1.1\r\nhost:\r\n\r\n").read_response().code, 200);
}

#[test]
fn request_target_is_a_path_or_a_url() {
    let server = Server::start(limits(), path);
    for (target, path) in [
        ("/", "/"),
        ("/a/../b?c", "/a/../b"),
        ("//a", "//a"),
        ("http://elsewhere/a?b", "/a"),
        ("HTTP://elsewhere:1", "/"),
    ] {
        let mut client = server.connect_and_send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!(client.read_response().body, format!("GET {path}\n"), "{target}");
    }
    for line in [
        "GET test:80 HTTP/1.1",
        "GET test HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET  HTTP/1.1",
        "GET",
        "GET /",
        " GET / HTTP/1.1",
        "G(T / HTTP/1.1",
        "CONNECT test:80 HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/9",
        "GET / http/1.1",
    ] {
        expect_only(&server, &format!("{line}\r\nhost: test\r\n\r\n"), 400);
    }
    let mut client = server.connect_and_send("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.read_response().code, 405, "valid, but not an allowed method");
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    let server = Server::start(limits(), path);
    let mut client =
        server.connect_and_send("GET /a HTTP/1.1\nhost: test\n\nGET /b HTTP/1.1\r\nhost: test\n\r\n");
    assert_eq!(client.read_response().body, "GET /a\n");
    assert_eq!(client.read_response().body, "GET /b\n");
}

#[test]
fn more_than_a_hundred_headers_get_431() {
    let server = Server::start(limits(), path);
    let request = |count: usize| {
        let mut request = "GET / HTTP/1.1\r\nhost: test\r\n".to_owned();
        for number in 1..count {
            let _ = write!(request, "x-{number}: y\r\n");
        }
        request + "\r\n"
    };
    assert_eq!(server.connect_and_send(request(100)).read_response().code, 200);
    expect_only(&server, &request(101), 431);
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let server = Server::start(limits(), path);
    let mut client = server.connect();
    let requests: Vec<_> =
        (0..1000).map(|number| format!("GET /{number} HTTP/1.1\r\nhost: test\r\n\r\n")).collect();
    client.send(requests.concat());
    for number in 0..1000 {
        assert_eq!(client.read_response().body, format!("GET /{number}\n"));
    }
    assert_eq!(client.get("/after").body, "GET /after\n");
}
