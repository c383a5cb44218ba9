//! Generations of a service, and services that define the same names, with real Traefik. Invariant 5.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use harness::labels::LabelList;
use harness::{Fleet, FleetOptions, Instance, Load, LoadOptions, TIMEOUT, eventually, http};
use serde_json::json;

/// Starts an instance of `service` with these labels, below `traefik.`, and the port of its server.
fn launch(fleet: &Fleet, service: &str, host: &str, labels: &[(&str, &str)]) -> Instance {
    let mut spec = fleet.ping_as(service, host).unwrap();
    let labels = labels.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned()));
    spec.labels = labels.collect::<LabelList>();
    fleet.launch(spec).unwrap()
}

/// Waits until an instance that starts now is clearly newer than `older`: generations that start within a second have no
/// order.
fn wait_for_next_generation(fleet: &Fleet, older: &Instance) {
    let passed = || {
        let started = fleet.hub.instance(older.host())?["started"].as_u64().unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        ensure!(now > u128::from(started.saturating_add(1_100)), "started a moment ago");
        Ok(())
    };
    eventually(TIMEOUT, passed).unwrap();
}

fn load(fleet: &Fleet, path: &str) -> Load {
    Load::start(format!("{}{path}", fleet.traefik.url()), &LoadOptions::default()).unwrap()
}

/// Checks that each request succeeds, for some more requests.
fn pass(load: Load) {
    load.wait_for_more(100, TIMEOUT).unwrap();
    load.pass().unwrap();
}

fn router_is_enabled(fleet: &Fleet, name: &str) -> bool {
    fleet.traefik.api().routers().unwrap()[&format!("{name}@http")]["status"] == "enabled"
}

#[test]
fn labels_of_the_newest_task_apply_and_both_generations_serve() {
    let fleet = Fleet::start().unwrap();
    let old = launch(&fleet, "b", "b-1", &[("http.routers.b.rule", "Path(`/b`)")]);
    fleet.hub.wait_routing(old.host(), "confirmed").unwrap();
    let load = load(&fleet, "/b");
    wait_for_next_generation(&fleet, &old);
    let new = launch(&fleet, "b", "b-2", &[("http.routers.b.rule", "Path(`/b`) || Path(`/new`)")]);
    fleet.hub.wait_routing(new.host(), "confirmed").unwrap();
    fleet.wait_responses("/new", [&old, &new]).unwrap();
    fleet.wait_responses("/b", [&old, &new]).unwrap();
    pass(load);
}

#[test]
fn conflicting_generation_takes_neither_service_out_of_routing() {
    let fleet = Fleet::start().unwrap();
    let a = launch(&fleet, "a", "a-1", &[("http.routers.a.rule", "Path(`/a`)")]);
    fleet.hub.wait_routing(a.host(), "confirmed").unwrap();
    let b = launch(&fleet, "b", "b-1", &[("http.routers.b.rule", "Path(`/b`)")]);
    fleet.hub.wait_routing(b.host(), "confirmed").unwrap();
    let loads = [load(&fleet, "/a"), load(&fleet, "/b")];
    wait_for_next_generation(&fleet, &b);
    let both = [("http.routers.b.rule", "Path(`/b2`)"), ("http.routers.a.rule", "Path(`/b`)")];
    let faulty = launch(&fleet, "b", "b-2", &both);
    let reason = fleet.hub.wait_routing(faulty.host(), "refused").unwrap();
    assert!(reason.contains("traefik.http.routers.a already belongs to service a"), "{reason}");
    assert!(http::get(&format!("{}/b2", fleet.traefik.url())).unwrap().status == 404);
    loads.into_iter().for_each(pass);
    fleet.wait_responses("/b", [&b]).unwrap();
    drop(faulty);
}

#[test]
fn generation_that_traefik_rejects_leaves_the_old_one_in_routing() {
    let fleet = Fleet::start().unwrap();
    let good = ("http.routers.b.rule", "Path(`/b`)");
    let old = launch(&fleet, "b", "b-1", &[good]);
    fleet.hub.wait_routing(old.host(), "confirmed").unwrap();
    let load = load(&fleet, "/b");
    for (host, option, value, expected) in [
        ("b-2", "http.routers.b.entrypoints", "missing", "missing"),
        ("b-3", "http.routers.b.middlewares", "x@file", "x@file"),
    ] {
        wait_for_next_generation(&fleet, &old);
        let mut new = launch(&fleet, "b", host, &[good, (option, value)]);
        let reason = fleet.hub.wait_routing(new.host(), "refused").unwrap();
        assert!(reason.starts_with("Traefik reports for traefik.http.routers.b: "), "{reason}");
        assert!(reason.contains(expected) && !reason.contains("trial"), "{reason}");
        load.wait_for_more(100, TIMEOUT).unwrap();
        assert!(router_is_enabled(&fleet, "b"));
        new.stop().unwrap();
    }
    pass(load);
    fleet.wait_responses("/b", [&old]).unwrap();
}

#[test]
fn middleware_that_two_services_share_may_change_in_one_of_them() {
    let fleet = Fleet::start().unwrap();
    let labels = |service: &str, prefix: &str| {
        vec![
            (format!("http.routers.{service}.rule"), format!("PathPrefix(`/{service}`)")),
            (format!("http.routers.{service}.middlewares"), "prefix".to_owned()),
            ("http.middlewares.prefix.addprefix.prefix".to_owned(), prefix.to_owned()),
        ]
    };
    let launch = |service: &str, host: &str, prefix: &str| {
        let labels = labels(service, prefix);
        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        launch(&fleet, service, host, &labels)
    };
    let a = launch("a", "a-1", "/old");
    fleet.hub.wait_routing(a.host(), "confirmed").unwrap();
    let b = launch("b", "b-1", "/old");
    fleet.hub.wait_routing(b.host(), "confirmed").unwrap();
    let loads = [load(&fleet, "/a"), load(&fleet, "/b")];
    wait_for_next_generation(&fleet, &b);
    let new = launch("a", "a-2", "/new");
    fleet.hub.wait_routing(new.host(), "confirmed").unwrap();
    assert_eq!(fleet.traefik.api().routers().unwrap()["b@http"]["middlewares"][0], "prefix-b@http");
    let new = [new, launch("b", "b-2", "/new")];
    fleet.hub.wait_routing(new[1].host(), "confirmed").unwrap();
    assert_eq!(fleet.traefik.api().routers().unwrap()["b@http"]["middlewares"][0], "prefix@http");
    loads.into_iter().for_each(pass);
}

#[test]
fn services_with_equal_definitions_are_one_service_for_clients() {
    let fleet = Fleet::start().unwrap();
    let instances: Vec<_> = ["store1", "store2", "store3"]
        .iter()
        .map(|service| {
            let labels = [
                ("http.routers.store.rule", "Path(`/store`)"),
                ("http.routers.store.service", "store"),
                ("http.services.store.loadbalancer.passhostheader", "true"),
            ];
            launch(&fleet, service, &format!("{service}-1"), &labels)
        })
        .collect();
    for instance in &instances {
        fleet.hub.wait_routing(instance.host(), "confirmed").unwrap();
    }
    fleet.wait_responses("/store", &instances).unwrap();
}

#[test]
fn reference_to_a_missing_definition_is_refused_until_a_service_defines_it() {
    let fleet = Fleet::start().unwrap();
    let cases = [
        ("http.routers.a.middlewares", "auth", "middleware auth"),
        ("http.routers.a.service", "other@docker", "service other"),
        ("http.routers.a.tls.options", "strict", "TLS options strict"),
        ("http.services.a.loadbalancer.serverstransport", "quick", "servers transport quick"),
    ];
    let rule = ("http.routers.a.rule", "Host(`a.lan`)");
    for (number, (option, value, expected)) in (0..).zip(cases) {
        let service = format!("s{number}");
        let mut instance = launch(&fleet, &service, &format!("{service}-1"), &[rule, (option, value)]);
        let reason = fleet.hub.wait_routing(instance.host(), "refused").unwrap();
        assert!(reason.starts_with(&format!("traefik.{option} refers to {expected}, ")), "{reason}");
        instance.stop().unwrap();
    }
    let user = launch(
        &fleet,
        "u",
        "u-1",
        &[("http.routers.u.rule", "Path(`/u`)"), ("http.routers.u.middlewares", "gzip")],
    );
    fleet.hub.wait_routing(user.host(), "refused").unwrap();
    let definer = launch(
        &fleet,
        "d",
        "d-1",
        &[("http.middlewares.gzip.compress", "true"), ("http.routers.d.rule", "Path(`/d`)")],
    );
    fleet.hub.wait_routing(user.host(), "confirmed").unwrap();
    assert!(router_is_enabled(&fleet, "u"));
    drop(definer);
}

#[test]
fn definition_stays_while_another_service_refers_to_it() {
    let hub_arguments = vec!["--keep-empty".to_owned(), "200ms".to_owned()];
    let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let gzip = ("http.middlewares.gzip.compress", "true");
    let mut definer = launch(&fleet, "my_def", "d-1", &[gzip, ("http.routers.d.rule", "Path(`/d`)")]);
    fleet.hub.wait_routing(definer.host(), "confirmed").unwrap();
    let labels = [("http.routers.u.rule", "Path(`/u`)"), ("http.routers.u.middlewares", "gzip@docker")];
    let user = launch(&fleet, "u", "u-1", &labels);
    // Refers to a service by the name that Traefik's own providers give it.
    let labels = [("http.routers.v.rule", "Path(`/v`)"), ("http.routers.v.service", "my-def@docker")];
    let shared = launch(&fleet, "v", "v-1", &labels);
    for instance in [&user, &shared] {
        fleet.hub.wait_routing(instance.host(), "confirmed").unwrap();
    }
    fleet.wait_responses("/v", [&definer]).unwrap();
    let load = load(&fleet, "/u");
    definer.stop().unwrap();
    let url = |path: &str| format!("{}{path}", fleet.traefik.url());
    let status = |path: &str, expected: u16| {
        let status = http::get(&url(path))?.status;
        ensure!(status == expected, "{path}: status {status}");
        Ok(())
    };
    eventually(TIMEOUT, || status("/d", 404)).unwrap();
    eventually(TIMEOUT, || status("/v", 503)).unwrap();
    pass(load);
    assert!(router_is_enabled(&fleet, "u") && router_is_enabled(&fleet, "v"));
}

/// The node's clock is an hour behind. The hub computes the start from the age that the sidecar reports.
#[test]
fn labels_of_the_newest_task_apply_whatever_the_clock_of_its_node() {
    let fleet = Fleet::start().unwrap();
    let old = launch(&fleet, "b", "b-1", &[("http.routers.b.rule", "Path(`/b`)")]);
    fleet.hub.wait_routing(old.host(), "confirmed").unwrap();
    wait_for_next_generation(&fleet, &old);
    let known = fleet.hub.instance(old.host()).unwrap();
    let registration = json!({
        "service": "b", "host": "b-2", "address": known["address"], "port": known["port"], "health": "healthy",
        "started": known["started"].as_u64().unwrap() - 3_600_000, "age_ms": 0,
        "labels": {"traefik.http.routers.b.rule": "Path(`/new`)"},
    });
    let request = ureq::http::Request::put(format!("{}/v1/instances/b-2", fleet.hub.url()))
        .header("authorization", format!("Bearer {}", fleet.hub.token().unwrap()))
        .body(registration.to_string())
        .unwrap();
    let agent = http::agent(http::TIMEOUT, true);
    let is_new = || {
        agent.run(request.clone())?.body_mut().read_to_vec()?;
        let response = http::get(&format!("{}/new", fleet.traefik.url()))?;
        ensure!(response.status == 200, "status {}", response.status);
        Ok(())
    };
    eventually(TIMEOUT, is_new).unwrap();
}
