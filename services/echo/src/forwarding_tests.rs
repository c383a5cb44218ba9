use super::*;
use crate::random::{Random, gibberish};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn follow(
    peer: &str,
    origin: Option<&TransportInfo>,
    lines: &[(&str, &str)],
    trusted: &[&str],
) -> ForwardingChain {
    let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
    let headers = headers(lines);
    let peer = if peer == "unix" { Peer::Unix } else { Peer::Tcp(peer.parse().unwrap()) };
    forwarding_chain(
        IncomingRequest { peer, origin, headers: &headers, host: "echo:8080", here: "echo-1" },
        &trusted,
    )
}

/// Formats each hop as `address by from`, with `!` for trusted and `?` for not believed.
fn shown(chain: &ForwardingChain) -> Vec<String> {
    let show = |hop: &Hop| {
        let mark = if hop.trusted {
            "!"
        } else if hop.believed {
            ""
        } else {
            "?"
        };
        format!("{}{mark} by {} from {}", hop.address, hop.by, hop.from)
    };
    chain.hops.iter().map(show).collect()
}

fn origin(source: &str) -> TransportInfo {
    TransportInfo { client: Some(source.parse().unwrap()), tls: None }
}

#[test]
fn without_trusted_proxies_the_client_is_the_peer() {
    let lines =
        [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/a")];
    let chain = follow("10.0.0.2:5000", None, &lines, &[]);
    assert_eq!(
        (chain.client.as_str(), chain.scheme.as_str(), chain.prefix.as_deref()),
        ("10.0.0.2", "http", None)
    );
    assert_eq!(chain.external_host, "echo:8080");
    assert_eq!(
        shown(&chain),
        ["1.2.3.4? by 10.0.0.2 from x-forwarded-for", "10.0.0.2 by echo-1 from connection"]
    );
}

#[test]
fn report_of_a_trusted_proxy_is_believed() {
    let lines = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/a"),
        ("x-forwarded-server", "traefik-1"),
        ("x-real-ip", "9.9.9.9"),
    ];
    let chain = follow("10.0.0.2:5000", None, &lines, &["10.0.0.0/8"]);
    assert_eq!(chain.client, "1.2.3.4");
    assert_eq!((chain.scheme.as_str(), chain.external_host.as_str()), ("https", "app.example"));
    assert_eq!(chain.external_port.as_deref(), Some("443"));
    assert_eq!(chain.prefix.as_deref(), Some("/a"));
    assert_eq!(chain.server.as_deref(), Some("traefik-1"));
    assert_eq!(
        shown(&chain),
        ["1.2.3.4 by 10.0.0.2 from x-forwarded-for", "10.0.0.2! by echo-1 from connection"]
    );
}

#[test]
fn first_untrusted_hop_is_the_client() {
    let lines = [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.3")];
    let chain = follow("10.0.0.2:5000", None, &lines, &["10.0.0.0/8"]);
    assert_eq!(chain.client, "1.2.3.4");
    assert_eq!(
        shown(&chain),
        [
            "6.6.6.6? by 1.2.3.4 from x-forwarded-for",
            "1.2.3.4 by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3! by 10.0.0.2 from x-forwarded-for",
            "10.0.0.2! by echo-1 from connection",
        ]
    );
}

#[test]
fn report_of_an_untrusted_hop_makes_no_hop_trusted() {
    let chain = follow("9.9.9.9:1", None, &[("x-forwarded-for", "1.2.3.4, 10.0.0.3")], &["10.0.0.0/8"]);
    assert_eq!(chain.client, "9.9.9.9");
    assert_eq!(
        shown(&chain),
        [
            "1.2.3.4? by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3? by 9.9.9.9 from x-forwarded-for",
            "9.9.9.9 by echo-1 from connection",
        ]
    );
}

#[test]
fn first_hop_is_the_client_if_all_are_trusted() {
    let chain = follow("10.0.0.2:1", None, &[("x-forwarded-for", "10.0.0.4, 10.0.0.3")], &["10.0.0.0/8"]);
    assert_eq!(chain.client, "10.0.0.4");
}

#[test]
fn forwarded_header_takes_precedence() {
    let lines = [
        ("forwarded", "for=1.2.3.4:99;proto=https;host=app.example;by=_edge"),
        ("forwarded", "for=\"[fd00::3]\";proto=http"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-proto", "ftp"),
    ];
    let chain = follow("[fd00::2]:5000", None, &lines, &["fd00::/8"]);
    assert_eq!(
        (chain.client.as_str(), chain.scheme.as_str(), chain.external_host.as_str()),
        ("1.2.3.4", "https", "app.example")
    );
    assert_eq!(
        shown(&chain),
        [
            "1.2.3.4 by _edge from forwarded",
            "fd00::3! by fd00::2 from forwarded",
            "fd00::2! by echo-1 from connection",
        ]
    );
}

#[test]
fn obfuscated_name_is_not_trusted() {
    let lines = [("forwarded", "for=1.2.3.4, for=unknown")];
    let chain = follow("10.0.0.2:1", None, &lines, &["0.0.0.0/0"]);
    assert_eq!(chain.client, "unknown");
    assert!(!chain.hops[0].believed);
}

#[test]
fn invalid_header_is_reported_and_ignored() {
    let lines = [("forwarded", "for=1.2.3.4 for"), ("x-forwarded-for", "what, 1.2.3.4")];
    let chain = follow("10.0.0.2:1", None, &lines, &["10.0.0.2", "1.2.3.4"]);
    assert_eq!(chain.client, "what");
    assert_eq!(
        chain.errors,
        [
            "forwarded: 'f' at byte 13: expected a comma or a semicolon",
            "x-forwarded-for: invalid address \"what\""
        ]
    );
}

#[test]
fn x_real_ip_is_used_without_other_headers() {
    let chain = follow("10.0.0.2:1", None, &[("x-real-ip", "1.2.3.4")], &["10.0.0.2"]);
    assert_eq!(shown(&chain), ["1.2.3.4 by 10.0.0.2 from x-real-ip", "10.0.0.2! by echo-1 from connection"]);
}

#[test]
fn proxy_protocol_adds_a_hop() {
    let chain =
        follow("10.0.0.2:1", Some(&origin("10.0.0.3:7")), &[("x-forwarded-for", "1.2.3.4")], &["10.0.0.0/8"]);
    assert_eq!(
        shown(&chain),
        [
            "1.2.3.4 by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3! by 10.0.0.2 from proxy protocol",
            "10.0.0.2! by echo-1 from connection",
        ]
    );
    let chain =
        follow("10.0.0.2:1", Some(&origin("1.2.3.4:7")), &[("x-forwarded-proto", "https")], &["10.0.0.2"]);
    assert_eq!((chain.client.as_str(), chain.scheme.as_str()), ("1.2.3.4", "http"));
}

#[test]
fn hop_reported_by_protocol_and_header_is_counted_once() {
    let lines = [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-proto", "https")];
    let chain = follow("10.0.0.2:1", Some(&origin("1.2.3.4:7")), &lines, &["10.0.0.2"]);
    assert_eq!((chain.client.as_str(), chain.scheme.as_str()), ("1.2.3.4", "https"));
    assert_eq!(chain.hops.len(), 3);
}

#[test]
fn remote_address_comes_from_a_trusted_proxy() {
    let trusted = ["10.0.0.2".parse().unwrap()];
    let peer = Peer::Tcp("[::ffff:10.0.0.2]:1".parse().unwrap());
    assert_eq!(remote(peer, None, &trusted), "10.0.0.2:1");
    assert_eq!(remote(peer, Some(&origin("1.2.3.4:7")), &trusted), "1.2.3.4:7");
    assert_eq!(remote(peer, Some(&origin("1.2.3.4:7")), &[]), "10.0.0.2:1");
    assert_eq!(remote(Peer::Unix, None, &[]), "unix");
}

#[test]
fn unix_socket_can_be_trusted() {
    assert_eq!(follow("unix", None, &[("x-real-ip", "1.2.3.4")], &["unix"]).client, "1.2.3.4");
    assert_eq!(follow("unix", None, &[("x-real-ip", "1.2.3.4")], &["0.0.0.0/0"]).client, "unix");
}

#[test]
fn values_are_matched_to_hops_if_their_numbers_are_equal() {
    let lines = [("x-forwarded-for", "1.2.3.4, 10.0.0.3"), ("x-forwarded-proto", "https, http")];
    assert_eq!(follow("10.0.0.2:1", None, &lines, &["10.0.0.0/8"]).scheme, "https");
    // The client is 10.0.0.3, to which the second value belongs.
    assert_eq!(follow("10.0.0.2:1", None, &lines, &["10.0.0.2"]).scheme, "http");
}

#[test]
fn tls_is_https() {
    let origin = TransportInfo { client: None, tls: Some(Session::default()) };
    assert_eq!(follow("10.0.0.2:1", Some(&origin), &[], &[]).scheme, "https");
}

#[test]
fn text_lists_hops_in_order() {
    let chain = follow("10.0.0.2:1", None, &[("x-forwarded-for", "1.2.3.4")], &["10.0.0.2"]);
    assert_eq!(
        chain.to_string(),
        "client: 1.2.3.4\nscheme: http\nhost: echo:8080\n\n\
         1. 1.2.3.4, says 10.0.0.2 (x-forwarded-for): believed\n2. 10.0.0.2, says echo-1 (connection): trusted\n"
    );
}

#[test]
fn arbitrary_headers_never_panic() {
    let mut random = Random::new(14);
    let origin = origin("1.2.3.4:7");
    for _ in 0..5_000 {
        let mut header = || {
            let text = gibberish(&mut random, "for=1.2.3.4,;:[]_\"");
            text.replace(|c: char| c.is_control(), "")
        };
        let lines =
            [("forwarded", &*header()), ("x-forwarded-for", &*header()), ("x-forwarded-proto", &*header())];
        let origin = Some(&origin).filter(|_| lines[0].1.len() % 2 == 0);
        let chain = follow("10.0.0.2:1", origin, &lines, &["10.0.0.0/8", "1.2.3.4"]);
        assert_eq!(chain.hops.last().map(|hop| hop.from), Some("connection"));
        // A believed hop has only trusted hops after it.
        for hops in chain.hops.windows(2) {
            assert_eq!(hops[0].believed, hops[1].trusted, "{chain:?}");
        }
    }
}
