//! Attacks by clients on the overlay network, with and without tokens. SECURITY.md lists them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::certificates::{Certificates, P256};
use harness::{Binaries, Fleet, FleetOptions, Signal, TIMEOUT, eventually, process};
use serde_json::{Value, json};

/// Flags of a hub whose leases stay after the connection of each request.
const LONG_LEASES: [&str; 4] = ["--ttl", "1h", "--lost-after", "1h"];

/// A fleet, and requests of an attacker to its hub.
struct Scene {
    fleet: Fleet,
}

impl Scene {
    fn start(hub_arguments: &[&str]) -> Self {
        Self::start_with(hub_arguments, FleetOptions::default())
    }

    fn start_with(hub_arguments: &[&str], options: FleetOptions) -> Self {
        let hub_arguments = hub_arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..options }).unwrap();
        fleet.traefik.wait_ready().unwrap();
        Self { fleet }
    }

    /// Returns the token of a role, such as `service ping`.
    fn token(&self, role: &[&str]) -> String {
        let options = self.fleet.hub.options();
        let mut command = Command::new(&options.program);
        command.arg("token").args(role).arg("--token-file").arg(&options.token_file);
        process::run_ok(&mut command).unwrap().trim().to_owned()
    }

    fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(self.fleet.hub.url() + path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let agent = harness::http::agent(Duration::from_secs(10), false);
        let mut response = agent.run(request.body(body.to_string()).unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Registers the first instance of a service, and waits for the hub to decide. Returns status and body.
    fn register(&self, service: &str, token: &str, labels: &[(&str, &str)]) -> (u16, Value) {
        self.send("PUT", &format!("/v1/instances/{service}.1?wait=1s"), token, &registration(service, labels))
    }

    /// Returns why the first instance of a service is refused; empty if it is not.
    fn refusal(&self, service: &str, token: &str, labels: &[(&str, &str)]) -> String {
        let (status, lease) = self.register(service, token, labels);
        assert_eq!(status, 200, "{lease}");
        lease["routing"]["reason"].as_str().unwrap_or_default().to_owned()
    }

    fn instances(&self) -> Value {
        self.send("GET", "/v1/instances", &self.token(&["reader"]), &Value::Null).1
    }
}

fn registration(service: &str, labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<_, _> =
        labels.iter().map(|(key, value)| (format!("traefik.{key}"), Value::from(*value))).collect();
    json!({
        "service": service, "host": "h", "address": "127.0.0.1", "port": 9, "started": 1, "health": "healthy",
        "labels": labels,
    })
}

const RULE: (&str, &str) = ("http.routers.victim.rule", "Host(`victim.lan`)");

#[test]
fn token_of_a_service_does_not_act_for_another_one() {
    let scene = Scene::start(&LONG_LEASES);
    let (victim, attacker) = (scene.token(&["service", "victim"]), scene.token(&["service", "attacker"]));
    assert_eq!(scene.refusal("victim", &victim, &[RULE]), "");
    let before = scene.instances();
    let forbidden = |method: &str, path: &str, body: &Value, expected: &str| {
        let (status, error) = scene.send(method, path, &attacker, body);
        let message = error["error"].as_str().unwrap_or_default();
        assert!(status == 403 && message.contains(expected), "{method} {path}: {status} {error}");
    };
    forbidden("PUT", "/v1/instances/attacker.1", &registration("victim", &[RULE]), "service victim");
    forbidden("PUT", "/v1/instances/victim.1", &registration("attacker", &[]), "instance victim.1");
    forbidden("DELETE", "/v1/instances/victim.1", &Value::Null, "instance victim.1");
    forbidden("PUT", "/v1/managers/n", &json!({"services": {}}), "manager");
    // At the address of another host: the connection comes from a loopback address.
    let mut elsewhere = registration("attacker", &[]);
    elsewhere["address"] = "10.1.2.3".into();
    forbidden("PUT", "/v1/instances/attacker.1", &elsewhere, "--allow-address 10.1.2.3");
    assert_eq!(scene.instances(), before);
    // An agent registers the addresses of its containers.
    let agent = scene.token(&["agent"]);
    assert_eq!(scene.send("PUT", "/v1/instances/attacker.1", &agent, &elsewhere).0, 200);
}

#[test]
fn allowed_network_is_for_sidecars_on_two_networks() {
    let scene = Scene::start(&["--allow-address", "10.1.0.0/16,fd00::/8"]);
    let token = scene.token(&["service", "ping"]);
    for (address, expected) in [("10.1.2.3", 200), ("fd00::1", 200), ("10.2.0.1", 403)] {
        let mut body = registration("ping", &[]);
        body["address"] = address.into();
        assert_eq!(scene.send("PUT", "/v1/instances/ping.1", &token, &body).0, expected, "{address}");
    }
}

#[test]
fn labels_of_a_services_own_token_reach_no_other_service() {
    let mut scene = Scene::start(&[]);
    let master = scene.fleet.hub.token().unwrap();
    let victim = [
        RULE,
        ("http.routers.victim.service", "victim"),
        ("http.services.victim.loadbalancer.server.port", "9"),
        ("http.serverstransports.victim.insecureskipverify", "true"),
    ];
    assert_eq!(scene.refusal("victim", &master, &victim), "");
    let attacker = scene.token(&["service", "attacker"]);
    let router = ("http.routers.attacker.rule", "Host(`attacker.lan`)");
    for (key, value, expected) in [
        ("http.routers.attacker.priority", "1000", "routers.attacker.priority: "),
        ("http.routers.attacker.service", "api@internal", "api@internal is not the service's own"),
        ("http.routers.attacker.service", "victim", "victim is not the service's own"),
        ("http.services.attacker.loadbalancer.serverstransport", "victim", "victim is not the service's own"),
        ("http.services.attacker.loadbalancer.server.url", "http://10.1.2.3", "server.url: "),
        ("tls.stores.default.defaultgeneratedcert.resolver", "le", "traefik.tls.stores.default: "),
    ] {
        let reason = scene.refusal("attacker", &attacker, &[router, (key, value)]);
        assert!(reason.contains(expected), "{key}={value}: {reason}");
    }
    // The same names with equal options would add its servers to those of the other service.
    let reason = scene.refusal("attacker", &attacker, &victim);
    assert!(
        reason.contains("already belongs to service victim") && reason.contains("shares no name"),
        "{reason}"
    );
    assert_eq!(scene.refusal("attacker", &attacker, &[router]), "");
    let log = scene.fleet.hub.process().log().clone();
    assert_eq!(log.count("Without --policy FILE"), 1, "the missing policy is reported once");
}

#[test]
fn policy_limits_hosts_paths_and_entry_points() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.json");
    let policy = json!({
        "services": {
            "shop": {"hosts": ["shop.lan"], "paths": ["/shop"], "entrypoints": ["web"]},
            "tools": {"references": ["api@internal"]},
        },
        "merge": [["shop", "tools"]],
    });
    std::fs::write(&file, policy.to_string()).unwrap();
    let scene = Scene::start(&["--policy", file.to_str().unwrap()]);
    let shop = scene.token(&["service", "shop"]);
    let rule = "http.routers.shop.rule";
    let point = ("http.routers.shop.entrypoints", "web");
    let good = [(rule, "Host(`shop.lan`) && PathPrefix(`/shop`)"), point];
    for (labels, expected) in [
        (&good[..], ""),
        (&[(rule, "PathPrefix(`/shop`)"), point], "requests for shop.lan only"),
        (&[(rule, "Host(`shop.lan`)"), point], "paths that begin with /shop only"),
        (&good[..1], "entrypoints: the policy allows web"),
    ] {
        let reason = scene.refusal("shop", &shop, labels);
        assert!(
            reason.contains(expected) && reason.is_empty() == expected.is_empty(),
            "{labels:?}: {reason}"
        );
    }
    let api = [("http.routers.tools.rule", "Host(`a`)"), ("http.routers.tools.service", "api@internal")];
    assert_eq!(scene.refusal("tools", &scene.token(&["service", "tools"]), &api), "");
    let reason = scene.refusal("other", &scene.token(&["service", "other"]), &[RULE]);
    assert!(reason.contains("has no entry for this service"), "{reason}");
    assert_eq!(scene.refusal("other", &scene.fleet.hub.token().unwrap(), &[RULE]), "");
}

#[test]
fn invalid_policy_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.json");
    std::fs::write(&file, "{\n  \"services\": {\n    \"shop\": {\"host\": [\"shop.lan\"]}\n  }\n}").unwrap();
    let hub = Binaries::find().unwrap().path("hub");
    let output = process::run(Command::new(hub).arg("--insecure").arg("--policy").arg(&file)).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for expected in ["policy.json", "unknown field `host`", "line 3", "--policy"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn forged_acknowledgement_confirms_nothing() {
    // Without Traefik's API, the request for a beacon is the only proof.
    let options = FleetOptions { is_api_hidden: true, ..FleetOptions::default() };
    let mut scene = Scene::start_with(&LONG_LEASES, options);
    let master = scene.fleet.hub.token().unwrap();
    let confirmed = |scene: &Scene| {
        let (_, lease) = scene.register("victim", &master, &[RULE]);
        ensure!(lease["routing"]["state"] == "confirmed", "{lease}");
        Ok(())
    };
    eventually(TIMEOUT, || confirmed(&scene)).unwrap();
    scene.fleet.traefik.process().signal(Signal::STOP).unwrap();
    let changed = [RULE, ("http.routers.victim-2.rule", "Host(`other.lan`)")];
    let state = |scene: &Scene| {
        let (_, lease) = scene.register("victim-2", &master, &[changed[1]]);
        lease["routing"]["state"].clone()
    };
    assert_eq!(state(&scene), "pending");
    // Each connection and generation that the hub can have by now. The responses are delayed: do not wait.
    let nonce = "0".repeat(64);
    let forged: Vec<_> = (0..20)
        .flat_map(|connection| (1..10).map(move |generation| (connection, generation)))
        .map(|(connection, generation)| {
            let path =
                format!("/traefik/beacon?connection={connection}&generation={generation}&nonce={nonce}");
            let mut stream = TcpStream::connect(scene.fleet.hub.options().address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let without = "/traefik/beacon?connection=1&generation=1";
    assert_eq!(scene.send("GET", without, &master, &Value::Null).0, 400);
    // The answer to a beacon of another hub comes at once.
    let wrong = format!("{without}&nonce={nonce}");
    assert_eq!(scene.send("GET", &wrong, &master, &Value::Null).0, 404);
    assert_eq!(state(&scene), "pending");
    drop(forged);
    scene.fleet.traefik.process().signal(Signal::CONT).unwrap();
    eventually(TIMEOUT, || {
        let state = state(&scene);
        ensure!(state == "confirmed", "{state}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn mutual_tls_of_another_service_cannot_be_switched_off() {
    let scene = Scene::start(&[]);
    let master = scene.fleet.hub.token().unwrap();
    let certificates = Certificates::new(P256);
    certificates.issue("client", P256, "/CN=client");
    let authority = std::fs::read_to_string(certificates.path("ca.pem")).unwrap();
    let victim = [
        RULE,
        ("http.routers.victim.tls.options", "mutual"),
        ("tls.options.mutual.clientauth.cafiles[0]", &authority),
        ("tls.options.mutual.clientauth.clientauthtype", "RequireAndVerifyClientCert"),
    ];
    assert_eq!(scene.refusal("victim", &master, &victim), "");
    let get = |flags: &[String]| {
        let mut command = Command::new("openssl");
        let address = scene.fleet.traefik.options().entry.to_string();
        command.args(["s_client", "-quiet", "-servername", "victim.lan", "-connect", &address]).args(flags);
        let mut client =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: victim.lan\r\nconnection: close\r\n\r\n";
        // It fails if the server has rejected the client already.
        let _ = client.stdin.as_mut().unwrap().write_all(request);
        let mut response = String::new();
        client.stdout.as_mut().unwrap().read_to_string(&mut response).unwrap();
        drop(client.stdin.take());
        client.wait().unwrap();
        response.lines().next().unwrap_or_default().to_owned()
    };
    let own: Vec<_> = [
        "-cert".to_owned(),
        certificates.path("client.pem"),
        "-key".to_owned(),
        certificates.path("client.key"),
    ]
    .into();
    // Nothing listens at the instance's address, and its lease ends with the connection.
    eventually(TIMEOUT, || {
        let status = get(&own);
        ensure!(status.starts_with("HTTP/1.1 50"), "{status:?}");
        Ok(())
    })
    .unwrap();
    assert_eq!(get(&[]), "");
    let attacks: [&[(&str, &str)]; 3] = [
        &[
            ("http.routers.attacker.rule", "Host(`victim.lan`) && Path(`/x`)"),
            ("http.routers.attacker.tls", "true"),
        ],
        &[
            ("http.routers.attacker.rule", "Host(`VICTIM.lan`)"),
            ("http.routers.attacker.tls.options", "default"),
        ],
        &[
            ("http.routers.attacker.rule", "Host(`victim.lan`)"),
            ("http.routers.attacker.tls.options", "mutual"),
            ("tls.options.mutual.clientauth.clientauthtype", "NoClientCert"),
        ],
    ];
    let attacker = scene.token(&["service", "attacker"]);
    for labels in attacks {
        for token in [&attacker, &master] {
            let reason = scene.refusal("attacker", token, labels);
            assert!(reason.contains("service victim protects victim.lan"), "{labels:?}: {reason}");
        }
    }
    // Once Traefik has what is routed after that, it would have the attacker's router, too.
    assert_eq!(scene.refusal("last", &master, &[("http.routers.last.rule", "Host(`last.lan`)")]), "");
    eventually(TIMEOUT, || {
        scene.fleet.traefik.api().routers()?.contains_key("last@http").then_some(()).context("not routed")
    })
    .unwrap();
    assert_eq!(get(&[]), "");
    assert!(get(&own).starts_with("HTTP/1.1 50"));
}

#[test]
fn secrets_in_labels_reach_routers_only() {
    const SECRET: &str = "s3cr3t";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----";
    let mut scene = Scene::start(&[]);
    let master = scene.fleet.hub.token().unwrap();
    let reader = scene.token(&["reader"]);
    let mut events = TcpStream::connect(scene.fleet.hub.options().address).unwrap();
    write!(events, "GET /v1/events HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {reader}\r\n\r\n").unwrap();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----");
    let user = format!("{SECRET}:$apr1${SECRET}");
    let good = [
        RULE,
        ("http.middlewares.a.basicauth.users", &*user),
        ("http.middlewares.b.headers.customrequestheaders.authorization", SECRET),
        ("http.middlewares.c.plugin.p.token", SECRET),
        ("http.middlewares.d.forwardauth.address", "http://user:s3cr3t@auth"),
        ("http.serverstransports.t.certificates[0].keyfile", &key),
        ("http.serverstransports.t.certificates[0].certfile", CERTIFICATE),
        ("http.services.victim.loadbalancer.healthcheck.headers.x", SECRET),
    ];
    assert_eq!(scene.refusal("victim", &master, &good), "");
    // Also in labels that are refused, or of Traefik 1.
    for (service, label) in [
        ("bad", ("http.middlewares.m.basicauth.users", SECRET)),
        ("typo", ("http.middleware.m.basicauth.users", &*user)),
        ("digest", ("http.middlewares.m.digestauth.users", SECRET)),
        ("control", ("http.middlewares.m.headers.customrequestheaders.a", "s3cr3t\n")),
        ("old", ("frontend.auth.basic.users", SECRET)),
    ] {
        assert_ne!(scene.refusal(service, &master, &[("enable", "true"), label]), "", "{label:?}");
    }
    scene.register("last", &master, &[]);
    let mut seen = String::new();
    events.set_read_timeout(Some(TIMEOUT)).unwrap();
    while !seen.contains("\"id\":\"last.1\"") {
        let mut buffer = [0; 4_096];
        let count = events.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    events.shutdown(Shutdown::Both).unwrap();
    seen += &scene.instances().to_string();
    let router = scene.token(&["router"]);
    seen += &scene.send("GET", "/traefik", &router, &Value::Null).1.to_string();
    seen += &scene.send("GET", "/metrics", &reader, &Value::Null).1.to_string();
    seen += &scene.fleet.hub.process().log().lines().join("\n");
    assert!(seen.contains("(redacted)") && seen.contains("refused: "), "{seen}");
    assert!(!seen.contains(SECRET), "{seen}");
    let polled = scene.send("GET", "/traefik?router=r&wait=1ms", &router, &Value::Null).1.to_string();
    assert!(polled.contains(SECRET), "{polled}");
}
