use super::*;
use crate::random::{Random, gibberish};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn follow(peer: &str, origin: Option<&Origin>, lines: &[(&str, &str)], trusted: &[&str]) -> Way {
    let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
    let headers = headers(lines);
    let peer = if peer == "unix" { Peer::Unix } else { Peer::Tcp(peer.parse().unwrap()) };
    way(Arrival { peer, origin, headers: &headers, host: "echo:8080", here: "echo-1" }, &trusted)
}

/// `address by from`, with `!` for trusted and `?` for not believed.
fn shown(way: &Way) -> Vec<String> {
    let show = |hop: &Hop| {
        let mark = if hop.trusted {
            "!"
        } else if hop.believed {
            ""
        } else {
            "?"
        };
        format!("{}{mark} by {} from {}", hop.address, hop.by, hop.from.as_str())
    };
    way.hops.iter().map(show).collect()
}

fn origin(source: &str) -> Origin {
    let destination = "10.0.0.9:8080".parse().unwrap();
    Origin { proxied: Some(Proxied { source: source.parse().unwrap(), destination }), tls: None }
}

#[test]
fn without_trust_the_client_is_the_connections_other_end() {
    let lines =
        [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/a")];
    let way = follow("10.0.0.2:5000", None, &lines, &[]);
    assert_eq!((way.client.as_str(), way.scheme.as_str(), way.prefix.as_deref()), ("10.0.0.2", "http", None));
    assert_eq!(way.external_host, "echo:8080");
    assert_eq!(
        shown(&way),
        ["1.2.3.4? by 10.0.0.2 from x-forwarded-for", "10.0.0.2 by echo-1 from connection"]
    );
}

#[test]
fn what_a_trusted_proxy_says_is_believed() {
    let lines = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/a"),
        ("x-forwarded-server", "traefik-1"),
        ("x-real-ip", "9.9.9.9"),
    ];
    let way = follow("10.0.0.2:5000", None, &lines, &["10.0.0.0/8"]);
    assert_eq!(way.client, "1.2.3.4");
    assert_eq!((way.scheme.as_str(), way.external_host.as_str()), ("https", "app.example"));
    assert_eq!(way.external_port.as_deref(), Some("443"));
    assert_eq!(way.prefix.as_deref(), Some("/a"));
    assert_eq!(way.server.as_deref(), Some("traefik-1"));
    assert_eq!(
        shown(&way),
        ["1.2.3.4 by 10.0.0.2 from x-forwarded-for", "10.0.0.2! by echo-1 from connection"]
    );
}

#[test]
fn belief_ends_at_the_first_who_is_not_trusted() {
    let lines = [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.3")];
    let way = follow("10.0.0.2:5000", None, &lines, &["10.0.0.0/8"]);
    assert_eq!(way.client, "1.2.3.4");
    assert_eq!(
        shown(&way),
        [
            "6.6.6.6? by 1.2.3.4 from x-forwarded-for",
            "1.2.3.4 by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3! by 10.0.0.2 from x-forwarded-for",
            "10.0.0.2! by echo-1 from connection",
        ]
    );
}

#[test]
fn nobody_becomes_trusted_by_the_word_of_who_is_not() {
    let way = follow("9.9.9.9:1", None, &[("x-forwarded-for", "1.2.3.4, 10.0.0.3")], &["10.0.0.0/8"]);
    assert_eq!(way.client, "9.9.9.9");
    assert_eq!(
        shown(&way),
        [
            "1.2.3.4? by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3? by 9.9.9.9 from x-forwarded-for",
            "9.9.9.9 by echo-1 from connection",
        ]
    );
}

#[test]
fn where_all_are_trusted_the_client_is_the_first() {
    let way = follow("10.0.0.2:1", None, &[("x-forwarded-for", "10.0.0.4, 10.0.0.3")], &["10.0.0.0/8"]);
    assert_eq!(way.client, "10.0.0.4");
}

#[test]
fn forwarded_is_read_before_its_forerunners() {
    let lines = [
        ("forwarded", "for=1.2.3.4:99;proto=https;host=app.example;by=_edge"),
        ("forwarded", "for=\"[fd00::3]\";proto=http"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-proto", "ftp"),
    ];
    let way = follow("[fd00::2]:5000", None, &lines, &["fd00::/8"]);
    assert_eq!(
        (way.client.as_str(), way.scheme.as_str(), way.external_host.as_str()),
        ("1.2.3.4", "https", "app.example")
    );
    assert_eq!(
        shown(&way),
        [
            "1.2.3.4 by _edge from forwarded",
            "fd00::3! by fd00::2 from forwarded",
            "fd00::2! by echo-1 from connection",
        ]
    );
}

#[test]
fn who_is_hidden_is_not_trusted() {
    let lines = [("forwarded", "for=1.2.3.4, for=unknown")];
    let way = follow("10.0.0.2:1", None, &lines, &["0.0.0.0/0"]);
    assert_eq!(way.client, "unknown");
    assert!(!way.hops[0].believed);
}

#[test]
fn a_header_that_makes_no_sense_is_named_and_passed_over() {
    let lines = [("forwarded", "for=1.2.3.4 for"), ("x-forwarded-for", "what, 1.2.3.4")];
    let way = follow("10.0.0.2:1", None, &lines, &["10.0.0.2", "1.2.3.4"]);
    assert_eq!(way.client, "what");
    assert_eq!(
        way.faults,
        [
            "forwarded: 'f' at byte 13: a comma or a semicolon is expected",
            "x-forwarded-for: \"what\": an address is expected"
        ]
    );
}

#[test]
fn x_real_ip_is_heard_where_nothing_else_is_said() {
    let way = follow("10.0.0.2:1", None, &[("x-real-ip", "1.2.3.4")], &["10.0.0.2"]);
    assert_eq!(shown(&way), ["1.2.3.4 by 10.0.0.2 from x-real-ip", "10.0.0.2! by echo-1 from connection"]);
}

#[test]
fn the_proxy_protocol_tells_of_a_hop_between() {
    let way =
        follow("10.0.0.2:1", Some(&origin("10.0.0.3:7")), &[("x-forwarded-for", "1.2.3.4")], &["10.0.0.0/8"]);
    assert_eq!(
        shown(&way),
        [
            "1.2.3.4 by 10.0.0.3 from x-forwarded-for",
            "10.0.0.3! by 10.0.0.2 from proxy protocol",
            "10.0.0.2! by echo-1 from connection",
        ]
    );
    let way =
        follow("10.0.0.2:1", Some(&origin("1.2.3.4:7")), &[("x-forwarded-proto", "https")], &["10.0.0.2"]);
    assert_eq!((way.client.as_str(), way.scheme.as_str()), ("1.2.3.4", "http"));
}

#[test]
fn who_is_told_of_twice_is_one_hop() {
    let lines = [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-proto", "https")];
    let way = follow("10.0.0.2:1", Some(&origin("1.2.3.4:7")), &lines, &["10.0.0.2"]);
    assert_eq!((way.client.as_str(), way.scheme.as_str()), ("1.2.3.4", "https"));
    assert_eq!(way.hops.len(), 3);
}

#[test]
fn the_remote_address_is_the_proxied_one_if_the_proxy_is_trusted() {
    let trusted = ["10.0.0.2".parse().unwrap()];
    let peer = Peer::Tcp("[::ffff:10.0.0.2]:1".parse().unwrap());
    assert_eq!(remote(peer, None, &trusted), "10.0.0.2:1");
    assert_eq!(remote(peer, Some(&origin("1.2.3.4:7")), &trusted), "1.2.3.4:7");
    assert_eq!(remote(peer, Some(&origin("1.2.3.4:7")), &[]), "10.0.0.2:1");
    assert_eq!(remote(Peer::Unix, None, &[]), "unix");
}

#[test]
fn the_unix_socket_may_be_trusted_by_name() {
    assert_eq!(follow("unix", None, &[("x-real-ip", "1.2.3.4")], &["unix"]).client, "1.2.3.4");
    assert_eq!(follow("unix", None, &[("x-real-ip", "1.2.3.4")], &["0.0.0.0/0"]).client, "unix");
}

#[test]
fn values_that_match_the_hops_are_taken_by_hop() {
    let lines = [("x-forwarded-for", "1.2.3.4, 10.0.0.3"), ("x-forwarded-proto", "https, http")];
    assert_eq!(follow("10.0.0.2:1", None, &lines, &["10.0.0.0/8"]).scheme, "https");
    // The one who is believed says nothing of the hop before it.
    assert_eq!(follow("10.0.0.2:1", None, &lines, &["10.0.0.2"]).scheme, "http");
}

#[test]
fn tls_is_https() {
    let origin = Origin { proxied: None, tls: Some(Session::default()) };
    assert_eq!(follow("10.0.0.2:1", Some(&origin), &[], &[]).scheme, "https");
}

#[test]
fn people_can_read_it() {
    let way = follow("10.0.0.2:1", None, &[("x-forwarded-for", "1.2.3.4")], &["10.0.0.2"]);
    assert_eq!(
        way.to_string(),
        "client: 1.2.3.4\nscheme: http\nhost: echo:8080\n\n\
         1. 1.2.3.4, says 10.0.0.2 (x-forwarded-for): believed\n2. 10.0.0.2, says echo-1 (connection): trusted\n"
    );
}

#[test]
fn no_headers_are_too_strange() {
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
        let way = follow("10.0.0.2:1", origin, &lines, &["10.0.0.0/8", "1.2.3.4"]);
        assert_eq!(way.hops.last().map(|hop| hop.from), Some(Said::Connection));
        // Belief has no gaps: whoever is believed is so by those who are trusted.
        for hops in way.hops.windows(2) {
            assert_eq!(hops[0].believed, hops[1].trusted, "{way:?}");
        }
    }
}
