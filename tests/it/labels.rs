//! Labels that are wrong, or claim what another service holds, through real Traefik. Invariants 6 and 7.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use swarmlings_harness::labels::routed;
use swarmlings_harness::{Fleet, Instance, eventually, http};

const SOON: Duration = Duration::from_secs(20);

/// Waits until the hub shows `instance` in `state`, and returns the reason if there is one.
fn wait_for_state(fleet: &Fleet, instance: &Instance, state: &str) -> Result<String> {
    eventually(SOON, || {
        let listed = fleet.hub.instances()?;
        let found = listed.iter().find(|entry| entry["host"] == instance.host());
        let routing = found.map(|entry| entry["routing"].clone()).unwrap_or_default();
        ensure!(routing["state"] == state, "{} is {routing}, not {state}", instance.host());
        Ok(routing["reason"].as_str().unwrap_or_default().to_owned())
    })
}

#[test]
fn bad_label_harms_only_the_service_that_carries_it() {
    let fleet = Fleet::start().unwrap();
    let good = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    let bad = "traefik.http.middlewares.hello-prefix.strippprefix.prefixes";
    spec.labels.push((bad.to_owned(), "/hello".to_owned()));
    let bad_one = fleet.launch(spec).unwrap();
    let reason = wait_for_state(&fleet, &bad_one, "refused").unwrap();
    assert!(reason.contains(bad) && reason.contains("strippprefix"), "{reason}");
    // What comes after it is routed as ever: Traefik has taken no offence at the document.
    let more = fleet.start_all("ping", 2).unwrap();
    fleet.wait_answered("/ping", more.iter().chain(&good)).unwrap();
    assert_eq!(http::get(&format!("{}/hello/viktor", fleet.traefik.url())).unwrap().status, 404);
}

#[test]
fn router_name_stays_with_the_service_that_came_first() {
    let fleet = Fleet::start().unwrap();
    let mut first = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.labels = routed("ping", "PathPrefix(`/`)", None, spec.address.port());
    let second = fleet.launch(spec).unwrap();
    let reason = wait_for_state(&fleet, &second, "refused").unwrap();
    assert!(reason.contains("traefik.http.routers.ping") && reason.contains("the service ping"), "{reason}");
    fleet.wait_answered("/ping", &first).unwrap();
    let routers = fleet.traefik.routers().unwrap();
    assert_eq!(routers["ping@http"]["status"], "enabled", "{routers:?}");
    first[0].stop().unwrap();
    wait_for_state(&fleet, &second, "refused").unwrap();
}

#[test]
fn newest_task_says_the_labels_and_both_generations_serve() {
    let fleet = Fleet::start().unwrap();
    let old = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("ping", "ping-new").unwrap();
    spec.labels = routed("ping", "Path(`/ping`) || Path(`/pong`)", None, spec.address.port());
    let mut new = [fleet.launch(spec).unwrap()];
    fleet.wait_routed(&mut new).unwrap();
    fleet.wait_answered("/pong", old.iter().chain(&new)).unwrap();
    fleet.wait_answered("/ping", old.iter().chain(&new)).unwrap();
}

#[test]
fn service_without_a_router_label_gets_none() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.labels = vec![("traefik.enable".to_owned(), "true".to_owned())];
    let unlabelled = fleet.launch(spec).unwrap();
    wait_for_state(&fleet, &unlabelled, "unrouted").unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.labels.push(("traefik.enable".to_owned(), "false".to_owned()));
    let disabled = fleet.launch(spec).unwrap();
    wait_for_state(&fleet, &disabled, "unrouted").unwrap();
    assert!(fleet.traefik.routers().unwrap().is_empty());
}

/// A label for each line of the field tree, with a value of its type.
fn every_label() -> Vec<(String, String)> {
    let fields = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sidecar/traefik/src/fields.txt");
    let fields = fs::read_to_string(fields).unwrap();
    let lines = fields.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut labels = Vec::new();
    for (number, line) in lines {
        let (path, kind) = line.split_once(' ').unwrap();
        // The first name is the router's, service's or middleware's own, so that no line disturbs another.
        let path = path.replacen('*', &format!("n{number}"), 1).replace('*', "key");
        let path = path.replace("**", "plugin.option").replace(".[n]", "[0]");
        let value = match (path.rsplit('.').next().unwrap(), kind) {
            ("scheme", _) => "http",
            ("url", _) => "http://127.0.0.1:1",
            ("port", _) | (_, "int") => "42",
            (_, "bool") => "true",
            (_, "duration") => "42s",
            (_, "list") => "one, other",
            _ => "text",
        };
        if let Some((protocol, _)) = path.split_once(".routers.") {
            let router = format!("traefik.{protocol}.routers.n{number}");
            let needed = [("rule", "Path(`/`)"), ("service", "elsewhere")];
            let needed = needed
                .iter()
                .filter(|(option, _)| !path.ends_with(option) && (*option, protocol) != ("rule", "udp"));
            labels.extend(needed.map(|(option, value)| (format!("{router}.{option}"), (*value).to_owned())));
        }
        labels.push((format!("traefik.{path}"), value.to_owned()));
    }
    labels
}

#[test]
fn traefik_takes_a_document_with_every_field_of_the_tree() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let labels = every_label();
    assert!(labels.len() > 250, "{}", labels.len());
    spec.labels.extend(labels);
    spec.labels.push(("traefik.http.routers.ping.service".to_owned(), "ping".to_owned()));
    let instance = fleet.launch(spec).unwrap();
    // Confirmed is what Traefik has in use: one field that it does not know, and it would not be.
    wait_for_state(&fleet, &instance, "confirmed").unwrap();
    let _more = fleet.start_all("hello", 1).unwrap();
}
