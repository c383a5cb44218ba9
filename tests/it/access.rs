//! Invariants 2 and 9: each request needs the token of its role, and only agents have `docker.sock`. Errors for invalid
//! requests.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use harness::{
    Binaries, Fleet, FleetOptions, Loopback, Master, Process, SpawnOptions, TIMEOUT, eventually, http,
    process,
};
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

/// Registration of an instance without a sidecar, which agents may replace.
fn registration() -> Value {
    json!({
        "service": "ping", "host": "ping-1", "address": "127.0.0.1", "port": 8080, "started": 1, "health": "healthy",
        "source": "agent",
        "labels": {"traefik.http.routers.ping.rule": "Path(`/ping`)"},
    })
}

/// Requests with the roles that may send them. A body of the service `ping`.
const ALLOWED: [(&str, &str, &[&str]); 16] = [
    ("GET", "/traefik", &["router"]),
    ("GET", "/traefik?wait=1ms&router=r", &["router"]),
    ("GET", "/v1/instances", &["reader"]),
    ("GET", "/v1/services/ping", &["reader"]),
    ("GET", "/v1/routed/hello", &["service.ping", "service.hello", "agent", "manager", "reader"]),
    ("PUT", "/v1/updates/ping", &["manager"]),
    ("GET", "/v1/events", &["reader"]),
    ("GET", "/v1/status", &["reader"]),
    ("GET", "/prometheus", &["reader"]),
    ("GET", "/", &["reader"]),
    ("GET", "/page.js", &["reader"]),
    ("PUT", "/v1/instances/ping.1", &["service.ping", "agent", "manager"]),
    ("POST", "/v1/heartbeat", &["service.ping", "service.hello", "agent", "manager"]),
    ("PUT", "/v1/managers/n", &["manager"]),
    ("DELETE", "/v1/instances/ping.1", &["service.ping", "agent", "manager"]),
    ("GET", "/v1/nothing", &["service.ping", "service.hello", "router", "agent", "manager", "reader"]),
];

#[test]
fn each_role_may_send_its_own_requests_only() {
    let fleet = fleet_with_long_leases();
    let master = fleet.hub.master().unwrap();
    let tokens = [
        ("service.ping", master.service("ping")),
        ("service.hello", master.service("hello")),
        ("router", master.role("router")),
        ("agent", master.role("agent")),
        ("manager", master.role("manager")),
        ("reader", master.role("reader")),
        ("master", master.as_str().to_owned()),
    ];
    for (method, path, allowed) in ALLOWED {
        let url = format!("{}{path}", fleet.hub.url());
        let body = match path {
            "/v1/instances/ping.1" => registration(),
            _ => json!({"services": {}}),
        };
        for (number, (role, token)) in tokens.iter().enumerate() {
            if method == "DELETE" {
                // It belongs to a service, and to another task each time.
                let mut registration = registration();
                registration["started"] = json!(number + 2);
                assert_eq!(send("PUT", &url, Some(master.as_str()), &registration.to_string()).0, 200);
            }
            let (status, answer) = status_of(method, &url, &bearer(token), &body);
            if *role == "master" || allowed.contains(role) {
                assert!(![401, 403].contains(&status), "{method} {path} as {role}: {status} {answer}");
                continue;
            }
            assert_eq!(status, 403, "{method} {path} as {role}: {answer}");
            let need = allowed[0].split('.').next().unwrap();
            assert!(answer.contains(need), "{method} {path} as {role}: {answer}");
        }
        let other = Master::random().unwrap();
        let forged = tokens[0].1.replace("service.ping", "service.hello");
        let invalid = ["wrong", &other.role("router"), &other.service("ping"), &forged, other.as_str(), ""];
        for header in invalid.map(bearer).into_iter().chain(["Basic eDp5".to_owned(), String::new()]) {
            let (status, answer) = status_of(method, &url, &header, &body);
            assert_eq!(status, 401, "{method} {path} with {header:?}: {answer}");
            assert!(answer.contains("token"), "{method} {path} with {header:?}: {answer}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/version"] {
        let status = http::get(&format!("{}{path}", fleet.hub.url())).unwrap().status;
        assert!(![401, 403].contains(&status), "{path}: {status}");
    }
}

/// Starts a hub whose leases stay without heartbeats and connections.
fn fleet_with_long_leases() -> Fleet {
    let hub_arguments = ["--ttl", "1h", "--lost-after", "1h"].map(str::to_owned).into();
    let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    fleet
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Sends a request and does not wait for the end of the response, which may be a stream.
fn status_of(method: &str, url: &str, authorization: &str, body: &Value) -> (u16, String) {
    let request =
        ureq::http::Request::builder().method(method).uri(url).header("authorization", authorization);
    let agent = harness::http::agent(Duration::from_secs(10), false);
    let mut response = agent.run(request.body(body.to_string()).unwrap()).unwrap();
    let status = response.status().as_u16();
    let text = if status < 400 { String::new() } else { response.body_mut().read_to_string().unwrap() };
    (status, text)
}

#[test]
fn service_token_acts_for_its_own_service_only() {
    let fleet = fleet_with_long_leases();
    let master = fleet.hub.master().unwrap();
    let [ping, hello] = ["ping", "hello"].map(|name| master.service(name));
    let url = format!("{}/v1/instances/ping.1", fleet.hub.url());
    let registration = registration();
    let mut takeover = registration.clone();
    takeover["service"] = json!("hello");
    let error =
        |(status, error): (u16, Value)| (status, error["error"].as_str().unwrap_or_default().to_owned());
    let (status, message) = error(send("PUT", &url, Some(&hello), &registration.to_string()));
    assert_eq!(status, 403, "{message}");
    assert!(message.contains("that of service hello") && message.contains("service ping"), "{message}");
    assert_eq!(send("PUT", &url, Some(&ping), &registration.to_string()).0, 200);
    // The instance ID belongs to ping.
    for (method, body) in [("PUT", &takeover), ("DELETE", &takeover)] {
        let (status, message) = error(send(method, &url, Some(&hello), &body.to_string()));
        assert_eq!(status, 403, "{method}: {message}");
        assert!(message.contains("instance ping.1 of service ping"), "{method}: {message}");
    }
    assert_eq!(fleet.hub.instances().unwrap().len(), 1);
    assert_eq!(send("DELETE", &url, Some(&ping), "").0, 200);
    assert!(fleet.hub.instances().unwrap().is_empty());
}

#[test]
fn password_of_basic_authentication_is_a_token() {
    let fleet = Fleet::start().unwrap();
    let url = format!("{}/v1/instances", fleet.hub.url());
    let missing = http::get(&url).unwrap();
    assert_eq!((missing.status, missing.header("connection")), (401, Some("close")));
    // A browser then asks for the password.
    assert!(missing.header("www-authenticate").unwrap().contains("Basic"), "{:?}", missing.headers);
    let reader = fleet.hub.master().unwrap().role("reader");
    let url = url.replace("http://", &format!("http://anyone:{reader}@"));
    let output = Command::new("curl").args(["--silent", "--fail", &url]).output().unwrap();
    assert_eq!(output.stdout, b"[]\n", "{output:?}");
}

#[test]
fn hub_token_prints_the_tokens_that_derive_from_the_master_token() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("master");
    let master = Master::random().unwrap();
    fs::write(&file, format!("{}\n{}\n", master.as_str(), Master::random().unwrap().as_str())).unwrap();
    let hub = Binaries::find().unwrap().path("hub");
    let run = |arguments: &[&str]| {
        let output = process::command(&hub)
            .arg("token")
            .args(arguments)
            .env("HUB_TOKEN_FILE", &file)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    assert_eq!(run(&["service", "demo_ping"]), (Some(0), master.service("demo_ping") + "\n"));
    assert_eq!(run(&["service", "a.b"]), (Some(0), master.service("a.b") + "\n"));
    for role in ["router", "agent", "manager", "reader"] {
        assert_eq!(run(&[role]), (Some(0), master.role(role) + "\n"));
    }
    for (arguments, cause) in
        [(&["service"][..], "<NAME>"), (&["router", "x"], "role router has no NAME"), (&["admin"], "admin")]
    {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains(cause), "{text}");
    }
    fs::write(&file, "too short").unwrap();
    let (code, text) = run(&["router"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("at least 32 bytes") && text.contains("openssl rand -hex 32"), "{text}");
}

#[test]
fn master_token_is_replaced_in_two_steps_while_clients_stay() {
    let mut fleet = Fleet::start().unwrap();
    let file = fleet.hub.options().token_file.clone();
    let old = fleet.hub.master().unwrap();
    let mut ping = fleet.start_all("ping", 1).unwrap();
    let new = Master::random().unwrap();
    fs::write(&file, format!("{}\n{}\n", new.as_str(), old.as_str())).unwrap();
    fleet.hub.restart().unwrap();
    // Sidecar and Traefik still have tokens of the old one, a new task has one of the new one.
    fleet.wait_routed(&mut ping).unwrap();
    let hello = fleet.start_all("hello", 1).unwrap();
    assert_eq!(
        fs::read_to_string(&hello[0].spec().token_file).unwrap(),
        fleet.hub.master().unwrap().service("hello")
    );
    fs::write(&ping[0].spec().token_file, new.service("ping")).unwrap();
    fs::write(&file, new.as_str()).unwrap();
    fleet.hub.restart().unwrap();
    let url = format!("{}/traefik", fleet.hub.url());
    for (token, expected) in [(old.role("router"), 401), (old.as_str().to_owned(), 401)] {
        assert_eq!(send("GET", &url, Some(&token), "").0, expected);
    }
    eventually(TIMEOUT, || {
        ensure!(fleet.hub.instances()?.len() == 2, "not both are registered");
        Ok(())
    })
    .unwrap();
}

#[test]
fn sidecar_with_a_wrong_token_logs_it_and_is_not_routed() {
    let fleet = Fleet::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let own = fs::read_to_string(&spec.token_file).unwrap();
    spec.token_file = directory.path().join("token");
    fs::write(&spec.token_file, "wrong").unwrap();
    let mut instance = fleet.launch(spec).unwrap();
    instance.sidecar().log().wait_for("token rejected", TIMEOUT).unwrap();
    fs::write(directory.path().join("token"), fleet.hub.master().unwrap().service("hello")).unwrap();
    instance.sidecar().log().wait_for("that of service hello", TIMEOUT).unwrap();
    assert!(fleet.hub.instances().unwrap().is_empty());
    // The sidecar reads the file again without a restart.
    fs::write(directory.path().join("token"), own).unwrap();
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
        ("PUT", "/v1/instances/a", with("node", json!("n".repeat(256))), 400, "at most 255 bytes, not 256"),
        ("PUT", "/v1/instances/a", with("slot", json!("n".repeat(256))), 400, "at most 255 bytes, not 256"),
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
fn in_stack_files_only_agents_without_ports_have_docker_sock_and_no_api_is_insecure() {
    let stacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks");
    let mut holders = Vec::new();
    for path in fs::read_dir(stacks)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
    {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.to_lowercase().contains("insecure"), "{}", path.display());
        // The configuration of Traefik is a template for YAML, without services.
        if path.ends_with("traefik.yml") {
            continue;
        }
        let file = &YamlLoader::load_from_str(&text).unwrap()[0];
        for (name, service) in file["services"].as_hash().into_iter().flatten() {
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
    let expected = [
        "agent.yml: agent",
        "article.yml: agent",
        "classic.yml: traefik",
        "compose-agent.yml: agent",
        "published.yml: agent",
    ];
    assert_eq!(holders, expected);
}
