//! The HTTP APIs of hub and echo match their descriptions in docs/openapi.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::conformance::check_openapi;
use harness::hub::HubOptions;
use harness::tokens::{Master, write_token};
use harness::{Binaries, Fleet, Hub, Loopback, Process, SpawnOptions, TIMEOUT, eventually, http};
use serde_json::{Value, json};
use yaml_rust2::YamlLoader;

#[test]
fn hub_matches_its_openapi_description() {
    let directory = tempfile::tempdir().unwrap();
    let options = HubOptions {
        program: Binaries::find().unwrap().path("hub"),
        address: Loopback::new().free().unwrap(),
        token_file: directory.path().join("token"),
        ca: None,
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

/// Errors that the requests of schemathesis, with the master token, do not cause.
#[test]
fn errors_of_the_hub_are_in_its_openapi_description() {
    let fleet = Fleet::start().unwrap();
    let master = fleet.hub.master().unwrap();
    let (ping, agent, reader) = (master.service("ping"), master.role("agent"), master.role("reader"));
    let registration = |address: &str, source: &str| {
        json!({
            "service": "ping", "host": "h", "address": address, "port": 8080, "started": 1, "health": "healthy", "source": source,
        })
    };
    let own = registration("127.0.0.1", "sidecar");
    let none = Value::Null;
    let instance = "/v1/instances/{id}";
    let expected = [
        ("put", instance, "", &own, 401),
        ("put", instance, &reader, &own, 403),
        // The address is not that of the connection.
        ("put", instance, &ping, &registration("10.0.0.1", "sidecar"), 403),
        ("put", instance, &ping, &own, 200),
        // The instance has a sidecar.
        ("put", instance, &agent, &registration("10.0.0.1", "agent"), 403),
        ("delete", instance, "", &none, 401),
        ("delete", instance, &reader, &none, 403),
        ("delete", instance, &agent, &none, 403),
        ("delete", instance, &ping, &none, 200),
        ("put", instance, &ping, &own, 409),
        ("post", "/v1/heartbeat", "", &none, 401),
        ("post", "/v1/heartbeat", &reader, &none, 403),
        ("put", "/v1/managers/{node}", "", &none, 401),
        ("put", "/v1/managers/{node}", &agent, &none, 403),
        ("put", "/v1/updates/{service}", "", &none, 401),
        ("put", "/v1/updates/{service}", &agent, &none, 403),
        ("get", "/v1/services/{service}", "", &none, 401),
        ("get", "/v1/services/{service}", &agent, &none, 403),
        ("get", "/v1/routed/{service}", "", &none, 401),
        ("get", "/v1/routed/{service}", &master.role("router"), &none, 403),
        ("get", "/v1/instances", "", &none, 401),
        ("get", "/v1/instances", &agent, &none, 403),
        ("get", "/v1/events", "", &none, 401),
        ("get", "/v1/events", &agent, &none, 403),
        ("get", "/traefik", "", &none, 401),
        ("get", "/traefik", &reader, &none, 403),
        ("get", "/traefik/beacon", "", &none, 400),
    ];
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi/hub.yaml");
    let description = fs::read_to_string(description).unwrap();
    let description = &YamlLoader::load_from_str(&description).unwrap()[0];
    for (method, path, token, body, status) in expected {
        let url = format!(
            "{}{}",
            fleet.hub.url(),
            path.replace("{id}", "ping.1").replace("{node}", "n").replace("{service}", "s")
        );
        let request = ureq::http::Request::builder().method(&*method.to_uppercase()).uri(url);
        let request = request.header("authorization", format!("Bearer {token}"));
        let response = http::agent(TIMEOUT, false).run(request.body(body.to_string()).unwrap()).unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        let described = &description["paths"][path][method]["responses"][status.to_string().as_str()];
        assert!(!described.is_badvalue(), "{method} {path}: {status}");
    }
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
