use std::time::Duration;

use cli::{ProbeError, probe};
use runtime::{Connection, Request, Response, Service, text};

use crate::server::{Event, Holding, Server, context, eventually, limits};

fn hello(_: &Request) -> Response {
    text("hello\n")
}

#[test]
fn ready_once_the_last_latch_is_dropped() {
    let context = context(limits());
    let (first, second) = (context.latch(), context.latch());
    let admin = Server::admin(&context);
    let ask = || probe(admin.address, "/readyz", Duration::from_secs(10));
    drop(first);
    assert!(matches!(ask(), Err(ProbeError::Status(503))));
    assert_eq!(admin.connect().get("/healthz").code, 200, "health does not depend on readiness");
    drop(second);
    assert!(ask().is_ok());
}

#[test]
fn unready_from_the_start_of_the_drain() {
    let (service, hold) = Holding::new();
    let mut server = Server::start(limits(), service);
    let admin = Server::admin(&server.context);
    assert_eq!(admin.connect().get("/readyz").code, 200);
    let _client = server.connect_held(&hold);
    server.shut_down();
    hold.expect(Event::Draining);
    let response = admin.connect().get("/readyz");
    assert_eq!((response.code, &*response.body), (503, "draining\n"));
    hold.release();
}

#[test]
fn metrics_count_responses() {
    let server = Server::start(limits(), hello);
    let mut client = server.connect();
    client.get("/");
    client.get("/");
    client.ask("HEAD", "/");
    client.ask("PUT", "/");
    client.send("nonsense\r\n\r\n");
    client.read_response();
    for (series, count) in [
        ("swarmlings_requests_total{method=\"GET\",code=\"200\",route=\"*\"}", "2"),
        ("swarmlings_requests_total{method=\"HEAD\",code=\"200\",route=\"*\"}", "1"),
        ("swarmlings_requests_total{method=\"PUT\",code=\"405\",route=\"*\"}", "1"),
        ("swarmlings_requests_total{method=\"other\",code=\"400\",route=\"other\"}", "1"),
        (
            concat!("swarmlings_build_info{service=\"runtime\",version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
            "1",
        ),
    ] {
        eventually(series, || server.metric(series).as_deref() == Some(count));
    }
}

#[test]
fn metrics_show_requests_in_flight_and_connections() {
    let (service, hold) = Holding::new();
    let server = Server::start(limits(), service);
    let mut client = server.connect_held(&hold);
    assert_eq!(server.in_flight(), 1);
    assert_eq!(server.metric("swarmlings_connections_open").as_deref(), Some("1"));
    hold.release();
    client.read_response();
    drop(client);
    hold.expect(Event::Disconnected);
    assert_eq!(server.in_flight(), 0);
    assert_eq!(server.metric("swarmlings_connections_open").as_deref(), Some("0"));
}

#[test]
fn metrics_include_those_of_the_service() {
    struct Counting;
    impl Service for Counting {
        async fn call(&self, _: Request, _: &Connection) -> Response {
            text("")
        }
        fn metrics(&self, out: &mut String) {
            out.push_str("own_total 7\n");
        }
    }
    let server = Server::start(limits(), Counting);
    assert_eq!(server.metric("own_total").as_deref(), Some("7"));
}

#[test]
fn version_unknown_paths_and_methods() {
    let admin = Server::admin(&context(limits()));
    let mut client = admin.connect();
    assert_eq!(client.get("/version").body, concat!("runtime ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(client.get("/other").code, 404);
    assert_eq!(client.ask("HEAD", "/healthz").code, 200);
    assert_eq!(client.ask("POST", "/healthz").header("allow"), Some("GET, HEAD"));
}

#[test]
fn metrics_are_openmetrics_on_request() {
    let server = Server::start(limits(), hello);
    server.connect().get("/");
    let admin = Server::admin(&server.context);
    let mut client = admin.connect();
    client.send(
        "GET /metrics HTTP/1.1\r\nhost: test\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n",
    );
    let response = client.read_response();
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(
        response.body.contains("# TYPE swarmlings_requests counter\nswarmlings_requests_total{"),
        "{response:?}"
    );
    assert!(response.body.ends_with("\n# EOF\n"), "{response:?}");
    let usual = client.get("/metrics");
    assert!(usual.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
}

#[test]
fn requests_are_counted_and_timed_by_route() {
    struct Two;
    impl Service for Two {
        fn routes(&self) -> &'static [&'static str] {
            &["/one", "*"]
        }

        fn route(&self, path: &str) -> usize {
            usize::from(path != "/one")
        }

        async fn call(&self, _request: Request, _connection: &Connection) -> Response {
            text("hello\n")
        }
    }
    let server = Server::start(limits(), Two);
    let mut client = server.connect();
    for path in ["/one", "/two", "/three"] {
        client.get(path);
    }
    for (route, count) in [("/one", "1"), ("*", "2")] {
        let series = format!("swarmlings_requests_total{{method=\"GET\",code=\"200\",route=\"{route}\"}}");
        assert_eq!(server.metric(&series).as_deref(), Some(count));
        let series = format!("swarmlings_request_duration_seconds_count{{route=\"{route}\"}}");
        assert_eq!(server.metric(&series).as_deref(), Some(count));
        let all = format!("swarmlings_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}}");
        assert_eq!(server.metric(&all).as_deref(), Some(count));
    }
}
