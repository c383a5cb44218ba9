//! Labels that are wrong, or claim what another service holds, through real Traefik. Invariants 6 and 7.

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
