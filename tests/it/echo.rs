//! Echo behind Traefik: HTTP/2, WebSocket and the PROXY protocol.

use harness::labels::LabelList;
use harness::{Binaries, Fleet, Instance, TIMEOUT, conformance, eventually, http};

/// Starts an instance with these labels, without their prefix `traefik.`, and flags.
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

/// Echo's description of a request through Traefik.
fn get_api(fleet: &Fleet) -> String {
    let url = format!("{}/api", fleet.traefik.url());
    eventually(TIMEOUT, || http::get_ok(&url)).unwrap().body
}

#[test]
fn traefik_uses_http_2_without_tls_for_scheme_h2c() {
    let fleet = Fleet::start().unwrap();
    let scheme = [("http.services.echo.loadbalancer.server.scheme", "h2c")];
    let _echo = launch(&fleet, &[&ROUTED[..], &scheme].concat(), &[]);
    let body = get_api(&fleet);
    assert!(body.contains("\"protocol\":\"HTTP/2.0\""), "{body}");
}

#[test]
fn traefik_uses_http_1_by_default() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    let body = get_api(&fleet);
    assert!(body.contains("\"protocol\":\"HTTP/1.1\""), "{body}");
}

#[test]
fn websocket_works_through_traefik() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    get_api(&fleet);
    let url = format!("{}/echo", fleet.traefik.url().replacen("http", "ws", 1));
    conformance::check_websocket(&url, None).unwrap();
}

#[test]
fn traefik_sends_the_client_address_by_proxy_protocol() {
    let fleet = Fleet::start().unwrap();
    for version in ["1", "2"] {
        let labels = [
            ("tcp.routers.echo.rule", "HostSNI(`*`)"),
            ("tcp.routers.echo.entrypoints", "web"),
            ("tcp.services.echo.loadbalancer.server.port", "PORT"),
            ("tcp.services.echo.loadbalancer.proxyprotocol.version", version),
        ];
        let flags = ["--proxy-protocol", "required", "--trusted-proxy", "127.0.0.0/8"];
        let mut echo = launch(&fleet, &labels, &flags);
        let body = get_api(&fleet);
        assert!(body.contains("\"from\":\"proxy protocol\""), "version {version}: {body}");
        echo.stop().unwrap();
    }
}
