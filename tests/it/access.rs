//! Invariants 2 and 9: registration requires the token, and only agents have `docker.sock`. Errors for invalid requests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::{Binaries, Fleet, Loopback, Process, SpawnOptions, TIMEOUT, process};
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

fn send(method: &str, url: &str, token: Option<&str>, body: &str) -> (u16, Value) {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let agent = harness::http::agent(Duration::from_secs(10), false);
    let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn registration() -> Value {
    json!({
        "service": "ping", "host": "ping-1", "address": "127.0.0.1", "port": 8080, "started": 1, "health": "healthy",
        "labels": {"traefik.http.routers.ping.rule": "Path(`/ping`)"},
    })
}

#[test]
fn registration_and_withdrawal_require_the_token() {
    let fleet = Fleet::start().unwrap();
    let url = format!("{}/v1/instances/ping.1", fleet.hub.url());
    let body = registration().to_string();
    for method in ["PUT", "DELETE"] {
        for token in [None, Some("wrong"), Some("")] {
            let (status, error) = send(method, &url, token, &body);
            assert_eq!(status, 401, "{method} with {token:?}: {error}");
            assert!(error["error"].as_str().unwrap().contains("token"), "{error}");
        }
    }
    for (method, path) in [("POST", "/v1/heartbeat"), ("PUT", "/v1/managers/n")] {
        let url = format!("{}{path}", fleet.hub.url());
        assert_eq!(send(method, &url, Some("wrong"), "{\"services\":{}}").0, 401, "{path}");
    }
    assert!(fleet.hub.instances().unwrap().is_empty());
    let token = fleet.hub.token().unwrap();
    let (status, lease) = send("PUT", &url, Some(&token), &body);
    assert_eq!((status, &lease["routing"]["state"]), (200, &json!("pending")), "{lease}");
}

#[test]
fn sidecar_with_a_wrong_token_logs_it_and_is_not_routed() {
    let fleet = Fleet::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.token_file = directory.path().join("token");
    fs::write(&spec.token_file, "wrong").unwrap();
    let mut instance = fleet.launch(spec).unwrap();
    instance.sidecar().log().wait_for("token", TIMEOUT).unwrap();
    assert!(fleet.hub.instances().unwrap().is_empty());
    // The sidecar reads the file again without a restart.
    fs::write(directory.path().join("token"), fleet.hub.token().unwrap()).unwrap();
    fleet.wait_routed([&mut instance]).unwrap();
}

#[test]
fn hub_does_not_start_without_a_token_unless_insecure() {
    let binaries = Binaries::find().unwrap();
    let hub = |arguments: &[&str]| {
        let address = Loopback::new().free().unwrap();
        let mut command = process::command(binaries.path("hub"));
        command
            .args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(arguments);
        Process::spawn("hub", &mut command, SpawnOptions::default()).unwrap()
    };
    let mut without = hub(&[]);
    assert_eq!(without.wait(TIMEOUT).unwrap().code(), Some(64));
    without.log().wait_for("--token-file", TIMEOUT).unwrap();
    let mut missing = hub(&["--token-file", "/nowhere/token"]);
    assert_eq!(missing.wait(TIMEOUT).unwrap().code(), Some(1));
    missing.log().wait_for("reading token file /nowhere/token", TIMEOUT).unwrap();
    let insecure = hub(&["--insecure"]);
    insecure.log().wait_for("listening", TIMEOUT).unwrap();
}

#[test]
fn errors_name_the_invalid_input() {
    let fleet = Fleet::start().unwrap();
    let (hub, token) = (fleet.hub.url(), fleet.hub.token().unwrap());
    let error = |method: &str, path: &str, body: &Value| {
        let (status, error) = send(method, &format!("{hub}{path}"), Some(&token), &body.to_string());
        (status, error["error"].as_str().unwrap_or_default().to_owned())
    };
    let with = |key: &str, value: Value| {
        let mut registration = registration();
        registration[key] = value;
        registration
    };
    let cases = [
        ("PUT", "/v1/instances/a%2Fb", registration(), 400, "instance ID"),
        ("PUT", "/v1/instances/a?wait=4", registration(), 400, "wait=4"),
        ("PUT", "/v1/instances/a?wiat=4s", registration(), 400, "wiat"),
        ("PUT", "/v1/instances/a", json!("no registration"), 400, "registration: "),
        ("PUT", "/v1/instances/a", with("port", json!(0)), 400, "a port from 1 to 65535"),
        ("PUT", "/v1/instances/a", with("address", json!("ping")), 400, "IP address"),
        ("PUT", "/v1/instances/a", with("address", json!("0.0.0.0")), 400, "0.0.0.0"),
        ("PUT", "/v1/instances/a", with("health", json!("fine")), 400, "fine"),
        ("PUT", "/v1/instances/a", with("service", json!("")), 400, "service"),
        ("POST", "/v1/instances/a", registration(), 405, "PUT, DELETE"),
        ("PUT", "/v1/managers/a%2Fb", json!({"services": {}}), 400, "instance ID"),
        ("PUT", "/v1/managers/a", json!({}), 400, "services: missing field `services`"),
        ("PUT", "/v1/managers/a", json!({"services": {"s": {"version": -1}}}), 400, "an integer"),
        ("DELETE", "/v1/managers/a", json!({}), 405, "PUT"),
        ("POST", "/v1/heartbeat?wait=1s", json!({}), 400, "wait"),
        ("PUT", "/v1/heartbeat", json!({}), 405, "POST"),
        ("PUT", "/traefik", registration(), 405, "GET"),
        ("GET", "/v2/instances", registration(), 404, "/v2/instances"),
    ];
    for (method, path, body, expected, word) in cases {
        let (status, message) = error(method, path, &body);
        assert_eq!(status, expected, "{method} {path}: {message}");
        assert!(message.contains(word), "{method} {path}: {message}");
    }
    let large = with("labels", json!({ "x": "y".repeat(2 << 20) }));
    assert_eq!(error("PUT", "/v1/instances/a", &large).0, 413);
    assert!(fleet.hub.instances().unwrap().is_empty());
}

#[test]
fn in_stack_files_only_agents_without_ports_have_docker_sock() {
    let stacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks");
    let mut holders = Vec::new();
    for path in fs::read_dir(stacks)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let file = &YamlLoader::load_from_str(&text).unwrap()[0];
        for (name, service) in file["services"].as_hash().unwrap() {
            let volumes = service["volumes"].as_vec().cloned().unwrap_or_default();
            let sockets =
                volumes.iter().filter_map(Yaml::as_str).filter(|volume| volume.contains("docker.sock"));
            for socket in sockets {
                let holder = format!("{}: {}", path.file_name().unwrap().display(), name.as_str().unwrap());
                assert!(socket.ends_with(":ro"), "{holder}: {socket}");
                let listens = ["ports", "expose"].iter().any(|key| !service[*key].is_badvalue());
                assert!(!listens || holder == "classic.yml: traefik", "{holder}");
                holders.push(holder);
            }
        }
    }
    holders.sort();
    let expected =
        ["agent.yml: agent", "article.yml: agent", "classic.yml: traefik", "compose-agent.yml: agent"];
    assert_eq!(holders, expected);
}
