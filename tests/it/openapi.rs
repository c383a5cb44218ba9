//! The HTTP APIs of hub and echo match their descriptions in docs/openapi.

use std::process::Command;
use std::time::Duration;

use harness::conformance::check_openapi;
use harness::hub::HubOptions;
use harness::tokens::{Master, write_token};
use harness::{Binaries, Hub, Loopback, Process, SpawnOptions, TIMEOUT, eventually, http};
use serde_json::json;

#[test]
fn hub_matches_its_openapi_description() {
    let directory = tempfile::tempdir().unwrap();
    let options = HubOptions {
        program: Binaries::find().unwrap().path("hub"),
        address: Loopback::new().free().unwrap(),
        token_file: directory.path().join("token"),
        // The instances below send no heartbeat.
        arguments: ["--ttl", "1h", "--lost-after", "1h"].map(str::to_owned).into(),
    };
    write_token(&options.token_file, Master::random().unwrap().as_str()).unwrap();
    let mut hub = Hub::start(options, Some(Duration::ZERO), SpawnOptions::default()).unwrap();
    let token = hub.token().unwrap();

    // Instances in each state.
    for (id, labels) in [
        ("unrouted.1", json!({})),
        ("refused.1", json!({"traefik.http.routers.refused.rool": "Path(`/`)"})),
        (
            "routed.1",
            json!({
                "traefik.http.routers.routed.rule": "Path(`/`)",
                "traefik.http.middlewares.routed.compress": "true",
                "traefik.tcp.routers.routed.rule": "HostSNI(`*`)",
                "traefik.tcp.routers.routed.entrypoints": "db",
                "traefik.udp.routers.routed.entrypoints": "dns",
                "traefik.tls.stores.default.defaultgeneratedcert.resolver": "le",
            }),
        ),
    ] {
        let registration = json!({
            "service": id.trim_end_matches(".1"), "host": id, "address": "127.0.0.1", "port": 8080, "started": 1,
            "health": "healthy", "labels": labels,
        });
        let url = format!("{}/v1/instances/{id}", hub.url());
        let request = ureq::http::Request::put(url).header("authorization", format!("Bearer {token}"));
        let request = request.body(registration.to_string()).unwrap();
        assert_eq!(http::agent(TIMEOUT, false).run(request).unwrap().status(), 200);
    }
    eventually(TIMEOUT, || http::get_ok(&format!("{}/readyz", hub.url()))).unwrap();

    let metrics = http::get(&format!("{}/metrics", hub.url())).unwrap();
    let puts = "swarmlings_requests_total{method=\"PUT\",code=\"200\",route=\"/v1/instances/{id}\"} 3";
    assert!(metrics.body.lines().any(|line| line == puts), "{}", metrics.body);

    check_openapi("hub", &hub.url(), Some(&token)).unwrap();
    assert!(hub.process().try_wait().unwrap().is_none(), "the hub has exited");
}

#[test]
fn echo_matches_its_openapi_description() {
    let loopback = Loopback::new();
    let (address, admin) = (loopback.free().unwrap(), loopback.free().unwrap());
    let mut command = Command::new(Binaries::find().unwrap().path("echo"));
    command.args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--admin-port", &admin.port().to_string()]);
    // Less than the request timeout of schemathesis.
    command.args(["--max-delay", "3s"]);
    let mut echo = Process::spawn("echo", &mut command, SpawnOptions::default()).unwrap();
    let url = format!("http://{address}");
    eventually(TIMEOUT, || http::get_ok(&format!("{url}/bench"))).unwrap();

    check_openapi("echo", &url, None).unwrap();
    assert!(echo.try_wait().unwrap().is_none(), "echo has exited");
}
