//! docker-compose files on a Docker engine.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use harness::process::run_ok;
use harness::{Compose, Load, LoadOptions, eventually, http};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn compose_file_answers_as_in_the_article_and_scales_without_failed_requests() {
    check("stacks/compose.yml", &["traefik", "hub", "ping", "hello"]);
}

#[test]
fn compose_file_with_agent_answers_as_in_the_article_and_scales_without_failed_requests() {
    check("stacks/compose-agent.yml", &["traefik", "hub", "agent", "ping", "hello"]);
}

fn check(file: &str, services: &[&str]) {
    let compose = Compose::up(file).unwrap();
    let ping = hosts(&compose, "ping");
    assert_eq!(compose.wait_body("/ping").unwrap(), format!("Pong from {}\n", ping[0]));
    let hello = hosts(&compose, "hello");
    assert_eq!(compose.wait_body("/hello/viktor").unwrap(), format!("Hello, Viktor! (from {})\n", hello[0]));
    for service in services {
        for container in compose.containers_of(service).unwrap() {
            let holds = container.inspect("{{json .Mounts}}").unwrap().contains("docker.sock");
            assert_eq!(holds, *service == "agent", "{service}");
        }
    }

    // Scales up and down under load.
    let load = Load::start(compose.url("/ping"), &LoadOptions::default()).unwrap();
    compose.run(&["up", "--detach", "--no-build", "--scale", "ping=2"]).unwrap();
    let both: BTreeSet<_> = hosts(&compose, "ping").into_iter().collect();
    assert_eq!(both.len(), 2);
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        let response = http::get(&compose.url("/ping")).unwrap();
        seen.extend(response.body.trim_end().strip_prefix("Pong from ").map(str::to_owned));
        seen == both
    })
    .unwrap_or_else(|error| panic!("{error}: {seen:?} instead of {both:?}"));
    compose.run(&["up", "--detach", "--no-build", "--scale", "ping=1"]).unwrap();
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
}

#[test]
fn rollout_script_replaces_containers_without_failed_requests_and_keeps_them_if_a_new_one_fails() {
    let compose = Compose::up("stacks/compose.yml").unwrap();
    compose.run(&["up", "--detach", "--no-build", "--scale", "ping=2"]).unwrap();
    compose.wait_body("/ping").unwrap();
    let old = hosts(&compose, "ping");
    assert_eq!(old.len(), 2);
    let load = Load::start(compose.url("/ping"), &LoadOptions::default()).unwrap();

    // The sidecar reads this file as a user who must not.
    let unreadable = tempfile::NamedTempFile::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/rollout.sh");
    let mut rollout = compose.command(&script).unwrap();
    rollout.arg("ping");
    let error = run_ok(rollout.env("SWARMLINGS_TOKEN_FILE", unreadable.path())).unwrap_err().to_string();
    assert!(error.contains("permission denied") && error.contains("the old ones stay"), "{error}");
    assert_eq!(hosts(&compose, "ping"), old);

    run_ok(compose.command(&script).unwrap().arg("ping")).unwrap();
    let new = hosts(&compose, "ping");
    assert!(new.len() == 2 && new.iter().all(|host| !old.contains(host)), "{old:?}, then {new:?}");
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
}

/// Host names of the running containers of `service`.
fn hosts(compose: &Compose, service: &str) -> Vec<String> {
    let containers = compose.containers_of(service).unwrap();
    containers.iter().map(|container| container.host().unwrap()).collect()
}
