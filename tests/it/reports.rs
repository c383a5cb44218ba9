//! Traefik's own word: the API of routers, which only the hub can read. Invariant 3.

use std::fs;

use harness::loopback::free_at_source;
use harness::{
    Fleet, FleetOptions, Instance, InstanceSpec, Load, LoadOptions, SpawnOptions, TIMEOUT, Traefik, http,
};

/// Sets a label.
fn with_label(mut spec: InstanceSpec, key: &str, value: &str) -> InstanceSpec {
    spec.labels.retain(|(present, _)| present != key);
    spec.labels.push((key.to_owned(), value.to_owned()));
    spec
}

/// Starts one instance of ping with a further label.
fn launch(fleet: &Fleet, key: &str, value: &str) -> Instance {
    fleet.launch(with_label(fleet.spec("ping", "ping-1").unwrap(), key, value)).unwrap()
}

fn warnings(fleet: &mut Fleet, text: &str) -> usize {
    let lines = fleet.hub.process().log().matching(text);
    lines.iter().filter(|line| line.contains("WARN")).count()
}

/// Starts a new generation of ping, which Traefik rejects with `reason`, under load on the old one.
fn rejected(fleet: &Fleet, key: &str, value: &str, reason: &str) -> (Instance, Load) {
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    // Of generations that start within 1 s, the one in use stays.
    load.wait_for_more(600, TIMEOUT).unwrap();
    let new = fleet.launch(with_label(fleet.spec("ping", "ping-2").unwrap(), key, value)).unwrap();
    let text = fleet.hub.wait_routing("ping-2", "refused").unwrap();
    assert!(text.contains(reason), "{text}");
    fleet.hub.wait_routing("ping-1", "confirmed").unwrap();
    load.wait_for_more(400, TIMEOUT).unwrap();
    (new, load)
}

#[test]
fn generation_with_a_missing_entry_point_stays_red_and_fails_no_request() {
    let fleet = Fleet::start().unwrap();
    let _old = fleet.start_all("ping", 1).unwrap();
    let (_new, load) =
        rejected(&fleet, "traefik.http.routers.ping.entrypoints", "missing", "\"missing\" doesn't exist");
    load.pass().unwrap();
}

#[test]
fn generation_with_a_missing_middleware_turns_green_once_that_appears() {
    let directory = tempfile::tempdir().unwrap();
    let files = Some(directory.path().to_owned());
    let mut fleet = Fleet::spawn(FleetOptions { files, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut old = fleet.start_all("ping", 1).unwrap();
    let (_new, load) =
        rejected(&fleet, "traefik.http.routers.ping.middlewares", "ping-prefix,x@file", "x@file");
    let middleware = "http: {middlewares: {x: {headers: {customresponseheaders: {x: y}}}}}\n";
    fs::write(directory.path().join("x.yaml"), middleware).unwrap();
    fleet.hub.wait_routing("ping-2", "confirmed").unwrap();
    old[0].stop().unwrap();
    load.wait_for_more(400, TIMEOUT).unwrap();
    let report = load.pass().unwrap();
    assert_eq!(report.instances.len(), 2, "the new generation serves too");
}

#[test]
fn api_is_open_only_to_the_hub() {
    let mut fleet = Fleet::spawn(FleetOptions { is_api_secure: true, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let _instance = launch(&fleet, "traefik.http.routers.ping.entrypoints", "web,missing");
    fleet.hub.wait_routing("ping-1", "confirmed").unwrap();
    let report = "Traefik reports http.routers.ping: entryPoint \"missing\" doesn't exist";
    fleet.hub.process().log().wait_for(report, TIMEOUT).unwrap();
    assert_eq!(warnings(&mut fleet, "own checks"), 0);

    let status = |url: &str, headers: &[(&str, &str)]| {
        http::request("GET", &format!("{url}/api/rawdata"), headers).unwrap().status
    };
    let (api, web) = (fleet.traefik.api_url(), fleet.traefik.url());
    let host = ("host", "swarmlings-api.invalid");
    assert_eq!(status(&api, &[]), 404);
    assert_eq!(status(&api, &[host]), 401, "the document does not tell the password");
    // hub:wrong
    assert_eq!(status(&api, &[host, ("authorization", "Basic aHViOndyb25n")]), 401);
    assert_eq!(status(&web, &[host]), 404, "only the internal entry point has the API");
}

#[test]
fn without_an_api_the_hub_warns_once_and_relies_on_its_own_checks() {
    let mut fleet = Fleet::spawn(FleetOptions { is_api_hidden: true, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let _instances = fleet.start_all("ping", 2).unwrap();
    for host in ["ping-1", "ping-2"] {
        fleet.hub.wait_routing(host, "confirmed").unwrap();
    }
    assert_eq!(warnings(&mut fleet, "own checks"), 1);
}

#[test]
fn failing_api_is_warned_of_once() {
    let mut fleet = Fleet::start().unwrap();
    fleet.traefik.kill().unwrap();
    // Nothing listens on the port that this Traefik tells.
    let mut options = fleet.traefik.options().clone();
    options.told_api_port = Some(free_at_source().unwrap().port());
    let mut traefik = Traefik::spawn(options, SpawnOptions::default()).unwrap();
    traefik.wait_ready().unwrap();
    let _instances = fleet.launch_all("ping", 2).unwrap();
    for host in ["ping-1", "ping-2"] {
        fleet.hub.wait_routing(host, "confirmed").unwrap();
    }
    assert_eq!(warnings(&mut fleet, "own checks"), 1);
}

#[test]
fn every_router_reports_also_after_its_restart() {
    let mut fleet = Fleet::start().unwrap();
    let mut other = fleet.another_traefik("other").unwrap();
    let _ping = fleet.start_all("ping", 1).unwrap();
    fleet.hub.wait_routing("ping-1", "confirmed").unwrap();
    other.restart().unwrap();
    let _hello = fleet.start_all("hello", 1).unwrap();
    fleet.hub.wait_routing("hello-1", "confirmed").unwrap();
    let servers = other.api().servers().unwrap();
    assert_eq!(servers.len(), 2, "{servers:?}");
    assert_eq!(warnings(&mut fleet, "own checks"), 0);
}

#[test]
fn middleware_of_an_entry_point_has_the_provider_http() {
    for (entry_middleware, is_known) in [("auth@docker", false), ("auth@http", true)] {
        let entry_middleware = Some(entry_middleware);
        let mut fleet = Fleet::spawn(FleetOptions { entry_middleware, ..FleetOptions::default() }).unwrap();
        fleet.traefik.wait_ready().unwrap();
        let _instance = launch(&fleet, "traefik.http.middlewares.auth.addprefix.prefix", "/");
        let state = if is_known { "confirmed" } else { "refused" };
        let reason = fleet.hub.wait_routing("ping-1", state).unwrap();
        let remedy = "does not exist; in Traefik's own configuration write @http";
        assert!(is_known || reason.ends_with(remedy), "{reason}");
    }
}
