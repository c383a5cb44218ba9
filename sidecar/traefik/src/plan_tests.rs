//! What Traefik's own providers do with the labels of a container, done here.

use serde_json::json;

use super::*;
use crate::{Constraints, DefaultRule};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn read(pairs: &[(&str, &str)]) -> Result<Plan, String> {
    Plan::read("demo_ping", &labels(pairs), &Exposure::default())
}

/// Where whoever runs the hub has given this default rule.
fn ruled(rule: &str, pairs: &[(&str, &str)]) -> Plan {
    let default_rule: Option<DefaultRule> = Some(rule.parse().unwrap());
    Plan::read("demo_ping", &labels(pairs), &Exposure { default_rule, ..Exposure::default() }).unwrap()
}

#[test]
fn a_router_without_a_service_gets_one_of_its_own() {
    let plan = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.swarm.network", "web"),
        ("traefik.docker.lbswarm", "true"),
    ]);
    assert_eq!(
        Value::Object(plan.unwrap().tree),
        json!({"http": {
            "routers": {"a": {"rule": "Path(`/a`)", "service": "demo_ping"}},
            "services": {"demo_ping": {}},
        }})
    );
}

#[test]
fn a_router_without_a_service_gets_the_only_one() {
    let plan = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.http.routers.b.rule", "Path(`/b`)"),
        ("traefik.http.routers.b.service", "elsewhere@file"),
        ("traefik.http.services.x.loadbalancer.server.port", "80"),
    ])
    .unwrap();
    assert_eq!(plan.tree["http"]["routers"]["a"]["service"], "x");
    assert_eq!(plan.tree["http"]["routers"]["b"]["service"], "elsewhere@file");
    assert_eq!(plan.server[&("http".to_owned(), "x".to_owned())]["port"], "80");
}

#[test]
fn each_protocol_has_services_of_its_own() {
    let plan = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.http.services.web.loadbalancer.server.port", "80"),
        ("traefik.tcp.routers.a.rule", "HostSNI(`*`)"),
        ("traefik.tcp.services.db.loadbalancer.server.port", "5432"),
        ("traefik.udp.routers.a.entrypoints", "dns"),
    ])
    .unwrap();
    let service = |protocol: &str| plan.tree[protocol]["routers"]["a"]["service"].clone();
    assert_eq!(["http", "tcp", "udp"].map(service), ["web", "db", "demo_ping"]);
}

#[test]
fn a_fault_names_what_is_incomplete_or_at_odds() {
    let fault = |pairs: &[(&str, &str)]| read(pairs).unwrap_err();
    assert!(fault(&[("traefik.http.routers.a.priority", "1")]).ends_with("routers.a: it has no rule"));
    assert!(fault(&[("traefik.tcp.routers.a.rule", "")]).ends_with("routers.a: it has no rule"));
    let server = "traefik.http.services.x.loadbalancer.server";
    for port in ["70000", "0", "", "web", "-1"] {
        assert_eq!(
            fault(&[(&format!("{server}.port"), port)]),
            format!("{server}.port: a port from 1 to 65535 is expected, not {port:?}")
        );
    }
    assert_eq!(
        fault(&[(&format!("{server}.url"), "http://a:1"), (&format!("{server}.port"), "1")]),
        format!("{server}.port: it is part of the URL already, which a label says")
    );
    let two = fault(&[
        ("traefik.http.routers.a.rule", "r"),
        ("traefik.http.services.x.loadbalancer.server.port", "1"),
        ("traefik.http.services.y.loadbalancer.server.port", "2"),
    ]);
    assert!(two.ends_with("it names no service, and there are x, y"));
    let both = fault(&[
        ("traefik.http.services.x.loadbalancer.server.port", "1"),
        ("traefik.http.services.x.weighted.services[0].name", "y"),
    ]);
    assert_eq!(both, "traefik.http.services.x: it is both loadbalancer and weighted");
    let several = fault(&[("traefik.http.routers.a.priority", "x"), ("traefik.htpp.b", "c")]);
    assert_eq!(several.matches("traefik.").count(), 2, "{several}");
}

#[test]
fn what_is_disabled_or_unlabelled_is_not_routed() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "r");
    assert!(!read(&[]).unwrap().is_routed());
    assert!(!read(&[("traefik.enable", "false"), RULE]).unwrap().is_routed());
    assert!(!read(&[("traefik.http.middlewares.m.compress", "true")]).unwrap().is_routed());
    assert!(read(&[("Traefik.Enable", "1"), RULE]).unwrap().is_routed());
    // Its other labels may be wrong, since nobody reads them.
    assert!(!read(&[("traefik.enable", "false"), ("traefik.http.rooters.a", "r")]).unwrap().is_routed());
}

#[test]
fn where_nothing_is_exposed_by_default_a_label_has_to_ask_for_it() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "r");
    let exposure = Exposure { by_default: false, ..Exposure::default() };
    let read = |pairs: &[(&str, &str)]| Plan::read("s", &labels(pairs), &exposure);
    assert!(!read(&[RULE]).unwrap().is_routed());
    assert!(read(&[RULE, ("traefik.enable", "true")]).unwrap().is_routed());
    assert!(read(&[RULE, ("traefik.enable", "yes")]).unwrap_err().contains("true or false"));
}

#[test]
fn what_does_not_fit_the_constraints_is_not_routed() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "r");
    let constraints: Constraints = "Label(`traefik.constraint-label`, `public`)".parse().unwrap();
    let exposure = Exposure { constraints: Some(constraints), ..Exposure::default() };
    let read = |pairs: &[(&str, &str)]| Plan::read("s", &labels(pairs), &exposure).unwrap();
    assert!(read(&[RULE, ("traefik.constraint-label", "public")]).is_routed());
    assert!(!read(&[RULE]).is_routed());
    assert!(!read(&[("traefik.enable", "true"), ("traefik.http.rooters.a", "r")]).is_routed());
}

#[test]
fn a_default_rule_routes_what_has_no_router() {
    let rule = |pairs: &[(&str, &str)]| {
        let plan = ruled("Host(`{{ normalize .Name }}.lan`)", pairs);
        let routers = plan.section("http", "routers").cloned().unwrap_or_default();
        routers
            .into_iter()
            .map(|(name, router)| (name, router["rule"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let own = [("demo_ping".to_owned(), "Host(`demo-ping.lan`)".to_owned())];
    assert_eq!(rule(&[]), own);
    assert_eq!(rule(&[("traefik.http.middlewares.m.compress", "true")]), own);
    assert_eq!(rule(&[("traefik.http.services.x.loadbalancer.server.port", "1")]), own);
    assert_eq!(rule(&[("traefik.enable", "false")]), []);
    assert_eq!(rule(&[("traefik.tcp.routers.a.rule", "HostSNI(`*`)")]), []);
    let named = [("a".to_owned(), own[0].1.clone())];
    assert_eq!(rule(&[("traefik.http.routers.a.entrypoints", "web")]), named);
    // With two services to choose from there is nothing to be made.
    let server = "loadbalancer.server.port";
    let two = [format!("traefik.http.services.x.{server}"), format!("traefik.http.services.y.{server}")];
    assert_eq!(rule(&[(&two[0], "1"), (&two[1], "2")]), []);
    // A rule of TCP's is not made of one for HTTP.
    let tcp = Plan::read(
        "s",
        &labels(&[("traefik.tcp.routers.a.entrypoints", "web")]),
        &Exposure { default_rule: Some("Path(`/`)".parse().unwrap()), ..Exposure::default() },
    );
    assert!(tcp.unwrap_err().ends_with("it has no rule"));
}

#[test]
fn a_default_rule_that_comes_to_nothing_is_none() {
    let rule = "{{ if .Labels.host }}Host(`{{ .Labels.host }}`){{ end }}";
    assert!(!ruled(rule, &[]).is_routed());
    assert!(ruled(rule, &[("host", "a.lan")]).is_routed());
}
