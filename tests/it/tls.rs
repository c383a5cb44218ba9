//! HTTPS between the hub and its clients.

use std::process::Command;

use anyhow::ensure;
use harness::certificates::{Certificates, P256, RSA};
use harness::hub::HubOptions;
use harness::{
    Binaries, Fleet, FleetOptions, Hub, Instance, Loopback, SpawnOptions, TIMEOUT, WatchedEngine,
    WatchedEngineOptions, eventually, http, process,
};

/// Hub with a certificate, and Traefik.
fn fleet() -> Fleet {
    let mut fleet = Fleet::spawn(FleetOptions { has_tls: true, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    fleet
}

/// Starts another hub with the same token and these flags.
fn another_hub(fleet: &Fleet, at: &Loopback, flags: impl IntoIterator<Item = String>) -> Hub {
    let options = HubOptions {
        address: at.free().unwrap(),
        arguments: flags.into_iter().collect(),
        // Its URL is https.
        ..fleet.hub.options().clone()
    };
    Hub::start(options, None, SpawnOptions::default()).unwrap()
}

fn flags([cert, key]: &[String; 2]) -> [String; 4] {
    ["--cert", cert, "--key", key].map(str::to_owned)
}

/// A ping at the hub with this URL, and the command `sidecar healthcheck` for it.
fn ping(fleet: &Fleet, url: &str, ca: Option<&str>) -> (Instance, Command) {
    let mut spec = fleet.spec("ping", "ping").unwrap();
    url.clone_into(&mut spec.hub);
    let task = format!("ping.{}", spec.address.port());
    spec.sidecar_arguments = ["--task".to_owned(), task.clone()].into();
    spec.sidecar_arguments.extend(ca.into_iter().flat_map(|ca| ["--hub-ca".to_owned(), ca.to_owned()]));
    let mut healthcheck = process::command(&spec.sidecar);
    healthcheck.arg("healthcheck").envs([("SIDECAR_TASK", &task), ("SIDECAR_HUB", &spec.hub)]);
    (fleet.launch(spec).unwrap(), healthcheck)
}

/// Waits until the health check is green, or red with these texts.
fn wait_for(healthcheck: &mut Command, is_green: bool, texts: &[&str]) {
    eventually(TIMEOUT, || {
        let output = healthcheck.output()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let has_all = texts.iter().all(|expected| text.contains(expected));
        ensure!(output.status.success() == is_green && has_all, "{}: {text}", output.status);
        Ok(())
    })
    .unwrap();
}

#[test]
fn tasks_are_routed_and_withdrawn_over_https() {
    let fleet = fleet();
    let mut pings = fleet.start_all("ping", 2).unwrap();
    fleet.wait_responses("/ping", &pings).unwrap();
    let (mut third, mut healthcheck) = ping(&fleet, &fleet.hub.url(), fleet.hub.options().ca.as_deref());
    wait_for(&mut healthcheck, true, &[]);
    assert!(third.stop().unwrap().success());
    third.sidecar().log().wait_for("withdrawn routers=\"traefik\"", TIMEOUT).unwrap();
    fleet.wait_unrouted(&third, TIMEOUT).unwrap();
    pings[0].kill().unwrap();
    fleet.wait_unrouted(&pings[0], TIMEOUT).unwrap();
}

#[test]
fn without_tls_only_requests_that_need_no_token_are_answered() {
    let fleet = fleet();
    let url = |path: &str| format!("{}{path}", fleet.hub.plain_url());
    let authorization = format!("Bearer {}", fleet.hub.token().unwrap());
    for path in ["/traefik?wait=1ms", "/v1/instances", "/v1/events", "/else"] {
        let response = http::request("GET", &url(path), &[("authorization", &authorization)]).unwrap();
        assert_eq!(response.status, 400, "{path}: {}", response.body);
        assert!(response.body.contains("the hub expects HTTPS here"), "{path}: {}", response.body);
    }
    for path in ["/healthz", "/metrics", "/version"] {
        assert_eq!(http::get(&url(path)).unwrap().status, 200, "{path}");
    }
    let beacon = http::get(&url("/traefik/beacon?connection=1&generation=1&nonce=a")).unwrap();
    assert_eq!(beacon.status, 404, "{}", beacon.body);

    let options = fleet.hub.options();
    let mut healthcheck = process::command(&options.program);
    healthcheck.args(["healthcheck", "--address", &options.address.ip().to_string()]);
    healthcheck.args(["--port", &options.address.port().to_string()]);
    assert!(healthcheck.status().unwrap().success());
}

#[test]
fn failed_handshake_keeps_the_task_red_with_the_reason() {
    let fleet = fleet();
    let at = Loopback::new();
    let ip = at.free().unwrap().ip();
    let hub = |certificate: Option<[String; 2]>| {
        another_hub(&fleet, &at, certificate.into_iter().flat_map(|files| flags(&files)))
    };
    let [made, expired, rsa] = [P256, P256, RSA].map(Certificates::new);
    let [made_ca, expired_ca, rsa_ca] = [&made, &expired, &rsa].map(|made| made.path("ca.pem"));
    let wrong_name = hub(Some(made.issue_for_address([127, 0, 0, 1].into(), P256)));
    let authority = hub(Some(["ca.pem", "ca.key"].map(|name| made.path(name))));
    let expired = hub(Some(expired.issue_expired(ip, P256)));
    let rsa = hub(Some(rsa.issue_for_address(ip, P256)));
    let plain = hub(None);

    for (url, ca, reason) in [
        (fleet.hub.url(), Some(&made_ca), "is not issued by a CA in --hub-ca"),
        (wrong_name.url(), Some(&made_ca), "is not for 127."),
        (authority.url(), Some(&made_ca), "is that of a CA"),
        (expired.url(), Some(&expired_ca), " days ago; renew it"),
        (rsa.url(), Some(&rsa_ca), "its CA has an unsupported key or signature; use P-256"),
        (plain.url(), Some(&made_ca), "the server does not speak TLS; use http://"),
        (fleet.hub.plain_url(), None, "status 400: the hub expects HTTPS here; use https://"),
    ] {
        let (mut instance, mut healthcheck) = ping(&fleet, &url, ca.map(String::as_str));
        wait_for(&mut healthcheck, false, &[&format!("not yet routed: hub {url}: "), reason]);
        instance.sidecar().log().wait_for(reason, TIMEOUT).unwrap();
    }
}

#[test]
fn renewed_certificate_is_used_without_a_restart() {
    let fleet = fleet();
    let at = Loopback::new();
    let ip = at.free().unwrap().ip();
    let made = Certificates::new(P256);
    let files = made.issue_expired(ip, P256);
    let mut hub = another_hub(&fleet, &at, flags(&files));
    hub.process().log().wait_for("certificate expired at 2020", TIMEOUT).unwrap();
    let (mut instance, mut healthcheck) = ping(&fleet, &hub.url(), Some(&made.path("ca.pem")));
    wait_for(&mut healthcheck, false, &["renew it"]);
    made.issue_for_address(ip, P256);
    instance.sidecar().log().wait_for("registered", TIMEOUT).unwrap();
}

#[test]
fn agent_registers_containers_over_https() {
    let watched =
        WatchedEngine::with(|_| Ok(WatchedEngineOptions { has_tls: true, ..Default::default() })).unwrap();
    let ping = watched.ping("web", &[], &[]).unwrap();
    assert_eq!(watched.wait_answer("web").unwrap(), format!("Pong from {}\n", ping.host().unwrap()));
}

#[test]
fn certificate_and_key_of_the_hub_are_checked_at_the_start() {
    let made = Certificates::new(P256);
    let [cert, key] = made.issue_for_address([127, 0, 0, 1].into(), P256);
    made.issue("rsa", RSA, "/CN=rsa");
    let program = Binaries::find().unwrap().path("hub");
    for (flags, reason) in [
        (&["--cert", &cert][..], "--key <FILE>"),
        (&["--cert", &cert, "--key", &made.path("ca.key")], "does not match the certificate in"),
        (&["--cert", &made.path("rsa.pem"), "--key", &made.path("rsa.key")], "unsupported key; use P-256"),
        (&["--cert", "/missing", "--key", &key], "reading certificate /missing: no such file or directory"),
    ] {
        let output = process::run(process::command(&program).arg("--insecure").args(flags)).unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(64) && text.contains(reason), "{flags:?}: {text}");
    }
}
