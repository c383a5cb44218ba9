//! Echo behind Traefik, by the protocols that both speak beside HTTP/1.

use std::time::Duration;

use harness::labels::LabelList;
use harness::{Binaries, Fleet, Instance, conformance, eventually, http};

const PATIENCE: Duration = Duration::from_secs(20);

/// An instance with these labels, each after `traefik.`, and flags.
fn launch(fleet: &Fleet, labels: &[(&str, &str)], flags: &[&str]) -> Instance {
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, "echo", "echo-1").unwrap();
    spec.command.extend(flags.iter().map(Into::into));
    let port = spec.address.port().to_string();
    let label = |(key, value): &(&str, &str)| (format!("traefik.{key}"), value.replace("PORT", &port));
    spec.labels = labels.iter().map(label).collect::<LabelList>();
    fleet.launch(spec).unwrap()
}

const ROUTED: [(&str, &str); 2] =
    [("http.routers.echo.rule", "PathPrefix(`/`)"), ("http.services.echo.loadbalancer.server.port", "PORT")];

/// What the service says of a request that comes through Traefik.
fn seen(fleet: &Fleet) -> String {
    let url = format!("{}/api", fleet.traefik.url());
    eventually(PATIENCE, || http::get_ok(&url)).unwrap().body
}

#[test]
fn traefik_speaks_http_2_without_tls_to_a_service_that_says_so() {
    let fleet = Fleet::start().unwrap();
    let scheme = [("http.services.echo.loadbalancer.server.scheme", "h2c")];
    let _echo = launch(&fleet, &[&ROUTED[..], &scheme].concat(), &[]);
    let answer = seen(&fleet);
    assert!(answer.contains("\"protocol\":\"HTTP/2.0\""), "{answer}");
}

#[test]
fn traefik_speaks_http_1_where_nothing_is_said() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    let answer = seen(&fleet);
    assert!(answer.contains("\"protocol\":\"HTTP/1.1\""), "{answer}");
}

#[test]
fn a_websocket_comes_through_traefik() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    seen(&fleet);
    let url = format!("{}/echo", fleet.traefik.url().replacen("http", "ws", 1));
    conformance::check_websocket(&url, None).unwrap();
}

#[test]
fn traefik_says_by_the_proxy_protocol_who_its_client_is() {
    let fleet = Fleet::start().unwrap();
    for version in ["1", "2"] {
        let labels = [
            ("tcp.routers.echo.rule", "HostSNI(`*`)"),
            ("tcp.services.echo.loadbalancer.server.port", "PORT"),
            ("tcp.services.echo.loadbalancer.proxyprotocol.version", version),
        ];
        let flags = ["--proxy-protocol", "required", "--trusted-proxy", "127.0.0.0/8"];
        let mut echo = launch(&fleet, &labels, &flags);
        let answer = seen(&fleet);
        assert!(answer.contains("\"from\":\"proxy protocol\""), "version {version}: {answer}");
        echo.stop().unwrap();
    }
}
