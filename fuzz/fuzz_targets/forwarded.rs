//! The proxies that a request passed. The first line of the input lists trusted addresses, separated by spaces; the other
//! lines are the request's headers. A header `proxied` stands for the client's address from the PROXY protocol.
#![no_main]

// Replaces the runtime, of which the sources below need only a few items.
extern crate fuzz as runtime;

use fuzz::Peer;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

use forwarded::{Element, Node};
use forwarding::{IncomingRequest, TransportInfo, TrustedProxy};
use trace::TraceParent;

#[path = "../../services/echo/src/forwarded.rs"]
mod forwarded;
#[allow(dead_code)]
#[path = "../../services/echo/src/forwarding.rs"]
mod forwarding;
#[allow(dead_code)]
#[path = "../../services/echo/src/headers.rs"]
mod headers;
#[allow(dead_code)]
#[path = "../../services/echo/src/query.rs"]
mod query;
#[allow(dead_code)]
#[path = "../../services/runtime/src/trace.rs"]
mod trace;

/// Replaces TLS sessions, which this target does not use.
mod transport {
    pub mod tls {
        #[derive(Clone, Debug)]
        pub enum Session {}
    }
}

fuzz_target!(|text: &str| {
    let (first, lines) = text.split_once('\n').unwrap_or((text, ""));
    let trusted: Vec<TrustedProxy> = first.split(' ').filter_map(|word| word.parse().ok()).collect();
    for one in &trusted {
        if let TrustedProxy::Network(network) = one {
            assert_eq!(network.to_string().parse(), Ok(*network));
        }
    }
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            continue;
        };
        headers.append(name, value);
    }
    let values = headers.values().map(headers::text);
    values.for_each(|value| {
        elements(&value);
        node(&value);
        traceparent(&value);
    });

    let proxied = headers::joined(&headers, "proxied").and_then(|address| address.parse().ok());
    let origin = TransportInfo { client: proxied, tls: None };
    for peer in [Peer::Tcp(([10, 0, 0, 1], 80).into()), Peer::Unix] {
        let arrival =
            IncomingRequest { peer, origin: Some(&origin), headers: &headers, host: "host", here: "here" };
        follow(arrival, &trusted);
    }
});

fn follow(arrival: IncomingRequest<'_>, trusted: &[TrustedProxy]) {
    let way = forwarding::forwarding_chain(arrival, trusted);
    let is_heard = trusted.iter().any(|one| one.covers(arrival.peer));
    let connection = way.hops.last().expect("the last hop is the connection");
    assert!(connection.believed && connection.trusted == is_heard, "{way:?}");
    // Information from an untrusted hop is not believed.
    for pair in way.hops.windows(2) {
        assert_eq!(pair[0].believed, pair[1].trusted, "{way:?}");
    }
    assert!(way.hops.iter().all(|hop| hop.believed || !hop.trusted), "{way:?}");
    let client = way.hops.iter().find(|hop| hop.believed).map(|hop| &hop.address);
    assert_eq!(client, Some(&way.client), "{way:?}");

    let remote = forwarding::remote(arrival.peer, arrival.origin, trusted);
    if !is_heard {
        assert_eq!(way.client, connection.address);
        assert_eq!((way.scheme.as_str(), way.external_host.as_str()), ("http", arrival.host), "{way:?}");
        assert_eq!((&way.external_port, &way.prefix, &way.server), (&None, &None, &None), "{way:?}");
        assert_eq!(remote, arrival.peer.to_string());
    }
    assert!(!way.to_string().is_empty());
}

fn elements(header: &str) {
    match forwarded::parse(header) {
        Ok(elements) => {
            let expected = elements.into_iter().filter(|element| *element != Element::default());
            let expected: Vec<_> = expected.collect();
            let written: Vec<_> = expected.iter().map(Element::to_string).collect();
            assert_eq!(forwarded::parse(&written.join(", ")), Ok(expected), "{written:?}");
        }
        Err(error) => assert!(!error.contains(char::is_control), "{error:?}"),
    }
}

fn node(text: &str) {
    let Ok(node) = text.parse::<Node>() else { return };
    assert_eq!(node.to_string().parse(), Ok(node));
}

fn traceparent(text: &str) {
    let Some(parent) = TraceParent::parse(text.as_bytes()) else { return };
    let written = parent.to_string();
    assert_eq!(TraceParent::parse(written.as_bytes()), Some(parent));
    if text.starts_with("00") {
        assert_eq!(written, text);
    }
}
