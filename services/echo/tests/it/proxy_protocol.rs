use harness::certificates::{Certificates, P256};

use crate::client::{Client, curl, curl_output};
use crate::server::Server;

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x09\xc6\x33\x64\x07\xdc\x04\x01\xbb\x04\0\0";

/// Flags that make this machine a trusted proxy.
fn trusting(whether: &str) -> Vec<&str> {
    vec!["--proxy-protocol", whether, "--trusted-proxy", "127.0.0.0/8"]
}

#[test]
fn trusted_proxy_header_applies_to_every_request() {
    for whether in ["optional", "required"] {
        let server = Server::start(&trusting(whether));
        for (header, source) in [(V1, "192.0.2.1:56324"), (V2, "203.0.113.9:56324")] {
            let mut client = Client::connect(server.address);
            client.send(header);
            for _ in 0..2 {
                let answer = client.get("/api");
                assert!(answer.contains(source), "{answer}");
            }
        }
    }
}

#[test]
fn header_may_arrive_in_pieces_or_with_the_first_request() {
    let server = Server::start(&trusting("required"));
    let mut client = Client::connect(server.address);
    for byte in V1 {
        client.send([*byte]);
    }
    assert!(client.get("/api").contains("192.0.2.1:56324"));

    let mut client = Client::connect(server.address);
    client.send([V2, b"GET /bench HTTP/1.1\r\nhost: test\r\n\r\n"].concat());
    assert!(client.head().starts_with("HTTP/1.1 200 "));
}

#[test]
fn optional_mode_accepts_connections_without_a_header() {
    let server = Server::start(&trusting("optional"));
    assert!(Client::connect(server.address).get("/api").contains("127.0.0.1:"));
    // Starts like a header.
    let mut client = Client::connect(server.address);
    client.send("PROPFIND / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 "));
}

#[test]
fn required_mode_closes_connections_without_a_header() {
    let server = Server::start(&trusting("required"));
    let mut client = Client::connect(server.address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.expect_end();
}

#[test]
fn invalid_header_closes_the_connection() {
    let server = Server::start(&trusting("optional"));
    let mut client = Client::connect(server.address);
    client.send("PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\nGET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.expect_end();
}

#[test]
fn header_from_an_untrusted_peer_closes_the_connection() {
    for whether in ["optional", "required"] {
        let server = Server::start(&["--proxy-protocol", whether, "--trusted-proxy", "192.0.2.0/24"]);
        for header in [V1, V2, b"PROXY nonsense\r\n"] {
            let mut client = Client::connect(server.address);
            client.send([header, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"].concat());
            client.expect_end();
        }
        let mut client = Client::connect(server.address);
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        match whether {
            "optional" => assert!(client.head().starts_with("HTTP/1.1 200 ")),
            _ => client.expect_end(),
        }
    }
}

#[test]
fn without_the_flag_a_header_is_invalid_http() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.0/8"]);
    let mut client = Client::connect(server.address);
    client.send([V1, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"].concat());
    assert!(client.head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn curl_sends_the_header_before_http_and_tls() {
    let server = Server::start(&trusting("required"));
    let url = server.url("http", "/api");
    assert!(curl(&["--haproxy-protocol", &url]).contains("proxy protocol"));
    assert!(!curl_output(&[&url]).status.success());

    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let flags = made.flags("server");
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(trusting("required")).collect();
    let server = Server::start(&flags);
    let url = server.url("https", "/api");
    let answer = curl(&["--cacert", &made.path("ca.pem"), "--haproxy-protocol", &url]);
    assert!(answer.contains("proxy protocol"), "{answer}");
    assert!(answer.contains("\"1.3\""), "{answer}");
}
