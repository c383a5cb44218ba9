//! Invalid labels and conflicts between services, with real Traefik. Invariants 5 and 6.

use std::time::Duration;

use harness::labels::{LabelList, routed};
use harness::{Fleet, FleetOptions, http};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn bad_label_harms_only_the_service_that_carries_it() {
    let fleet = Fleet::start().unwrap();
    let good = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    let bad = "traefik.http.middlewares.hello-prefix.strippprefix.prefixes";
    spec.labels.push((bad.to_owned(), "/hello".to_owned()));
    let bad_one = fleet.launch(spec).unwrap();
    let reason = fleet.hub.wait_routing(bad_one.host(), "refused").unwrap();
    assert!(reason.contains(bad) && reason.contains("strippprefix"), "{reason}");
    // Later instances are routed: Traefik accepted the document.
    let more = fleet.start_all("ping", 2).unwrap();
    fleet.wait_responses("/ping", more.iter().chain(&good)).unwrap();
    assert_eq!(http::get(&format!("{}/hello/viktor", fleet.traefik.url())).unwrap().status, 404);
}

#[test]
fn refusal_is_in_the_log_once_and_in_the_metrics_while_it_lasts() {
    let mut fleet = Fleet::start().unwrap();
    let mut holder = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.labels = routed("ping", "Path(`/hello`)", None, spec.address.port());
    let refused = fleet.launch(spec).unwrap();
    fleet.hub.wait_routing(refused.host(), "refused").unwrap();
    let metrics = |fleet: &Fleet| http::get_ok(&format!("{}/metrics", fleet.hub.url())).unwrap().body;
    let line = "hub_instances{service=\"hello\",health=\"healthy\",routing=\"refused\"} 1";
    assert!(metrics(&fleet).contains(line), "{}", metrics(&fleet));
    holder[0].stop().unwrap();
    // The router name stays reserved for an update. Meanwhile many heartbeats could repeat the message.
    let again = fleet.start_all("ping", 1).unwrap();
    let log = fleet.hub.process().log();
    assert_eq!(log.count("refused: traefik.http.routers.ping already belongs to service ping"), 1);
    let line = log.wait_for("refused: ", SOON).unwrap();
    assert!(
        line.contains("WARN")
            && line.contains("service=\"hello\"")
            && line.contains("instance=hello.hello-1"),
        "{line}"
    );
    drop((again, holder));
}

/// Returns labels of a service that is routed by `rule`, and more labels below `traefik.`.
fn own(name: &str, rule: &str, more: &[(&str, &str)]) -> LabelList {
    let mut labels = vec![(format!("traefik.http.routers.{name}.rule"), rule.to_owned())];
    labels.extend(more.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned())));
    labels
}

#[test]
fn rule_that_traefik_rejects_or_that_never_matches_is_refused() {
    // Rules of routers by protocol, and a part of the reason.
    let rules = [
        ("http", "Host(`shop.lan`, `www.shop.lan`)", "Host(`shop.lan`) || Host(`www.shop.lan`)"),
        ("http", "PathPrefix(`/docs`, `/help`)", "PathPrefix(`/docs`) || PathPrefix(`/help`)"),
        ("http", "Host(`api.lan`) && Headers(`X-Version`, `2`)", "Header(`name`, `value`)"),
        ("http", "HostRegexp(`{tenant:[a-z]+}.lan`)", "HostRegexp(`^[a-z]+"),
        ("http", "PathPrefix(`/{id:[0-9]+}`)", "PathRegexp(`"),
        ("http", "Host('blog.lan')", "Host(`blog.lan`)"),
        ("http", "Host:wiki.lan", "Host(`wiki.lan`)"),
        ("http", "HostRegexp(`(`)", "missing closing )"),
        ("http", "Foo(`", "unterminated string"),
        ("http", "Path(`/\u{feff}`)", "invalid character"),
        ("tcp", "HostSNI(`*`)", "set traefik.tcp.routers.r10.entrypoints"),
        ("tcp", "HostSNI(`db.lan`)", "set traefik.tcp.routers.r11.tls=true"),
    ];
    let fleet = Fleet::start().unwrap();
    let mut good = fleet.start_all("ping", 1).unwrap();
    let refused: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(number, (protocol, rule, _))| {
            let mut spec = fleet.ping_as(&format!("r{number}"), &format!("r{number}-1")).unwrap();
            spec.labels = vec![(format!("traefik.{protocol}.routers.r{number}.rule"), (*rule).to_owned())];
            fleet.launch(spec).unwrap()
        })
        .collect();
    for (instance, (protocol, rule, expected)) in refused.iter().zip(&rules) {
        let reason = fleet.hub.wait_routing(instance.host(), "refused").unwrap();
        assert!(reason.starts_with(&format!("traefik.{protocol}.routers.r")), "{rule}: {reason}");
        assert!(reason.contains(expected), "{rule}: {reason}");
    }
    assert_eq!(fleet.traefik.api().routers().unwrap().keys().collect::<Vec<_>>(), ["ping@http"]);
    fleet.wait_routed(&mut good).unwrap();
}

#[test]
fn value_that_traefik_cannot_use_is_refused() {
    // Labels of a service, and a part of the reason. Traefik disables the router of the first ones; the others stop,
    // block or exhaust it, read a file on its host, or take routes of other services.
    let cases: [(&str, &str, &str); 20] = [
        ("http.middlewares.m.basicauth.users", "admin", "expected NAME:HASH"),
        ("http.middlewares.m.ipallowlist.sourcerange", "10.0.0.0/99", "an IP address, or a network"),
        ("http.middlewares.m.circuitbreaker.expression", "NetworkErrorRatio() > 1", "such as 1.0"),
        ("http.middlewares.m.redirectregex.regex", "(", "missing closing )"),
        ("http.middlewares.m.errors.status", "5xx", "500-599"),
        ("http.middlewares.m.headers.customrequestheaders.X Y", "a", "without spaces"),
        ("http.services.m.loadbalancer.server.url", "::", "begins with http://"),
        ("http.services.m.loadbalancer.strategy", "any", "\"wrr\", \"p2c\""),
        ("http.middlewares.m.compress.encodings", "deflate", "\"gzip\", \"br\", \"zstd\""),
        ("http.middlewares.m.ratelimit.redis.poolsize", "-1", "from 0 to 1000"),
        ("http.middlewares.m.basicauth.usersfile", "/dev/ptmx", "cannot name files on Traefik's host"),
        ("http.serverstransports.m.rootcas", "/dev/zero", "cannot name files on Traefik's host"),
        ("tls.options.m.clientauth.cafiles", "/dev/zero", "cannot name files on Traefik's host"),
        ("tls.certificates[0].certfile", "/dev/zero", "does not allow this option in labels"),
        ("http.services.m.mirroring.service", "m", "does not allow this option in labels"),
        ("http.services.m.failover.service", "m", "does not allow this option in labels"),
        ("http.services.m.highestrandomweight.services[0].name", "m", "does not allow this option in labels"),
        ("http.routers.m.parentrefs", "ping", "does not allow this option in labels"),
        ("http.services.m.loadbalancer.healthcheck.interval", "1ns", "at least 100ms"),
        ("http.middlewares.m.retry.attempts", "2147483647", "from 1 to 100"),
    ];
    let fleet = Fleet::start().unwrap();
    let mut good = fleet.start_all("ping", 1).unwrap();
    let refused: Vec<_> = (0_usize..)
        .zip(&cases)
        .map(|(number, (key, value, _))| {
            let mut spec = fleet.ping_as(&format!("v{number}"), &format!("v{number}-1")).unwrap();
            spec.labels = own(&spec.service, "Path(`/a`)", &[(key, value)]);
            fleet.launch(spec).unwrap()
        })
        .collect();
    for (instance, (key, _, expected)) in refused.iter().zip(&cases) {
        let reason = fleet.hub.wait_routing(instance.host(), "refused").unwrap();
        assert!(
            reason.starts_with(&format!("traefik.{key}: ")) && reason.contains(expected),
            "{key}: {reason}"
        );
    }
    assert_eq!(fleet.traefik.api().routers().unwrap().keys().collect::<Vec<_>>(), ["ping@http"]);
    fleet.wait_routed(&mut good).unwrap();
}

#[test]
fn value_that_only_traefik_can_check_harms_only_its_router() {
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    const VALUES: [Case; 3] = [
        ("file", "Path(`/a`)", &[("http.routers.file.middlewares", "missing@file")]),
        ("entrypoint", "Path(`/a`)", &[("http.routers.entrypoint.entrypoints", "missing")]),
        (
            "plugin",
            "Path(`/a`)",
            &[
                ("http.routers.plugin.middlewares", "plugin"),
                ("http.middlewares.plugin.plugin.missing.a", "b"),
            ],
        ),
    ];
    let fleet = Fleet::start().unwrap();
    let mut good = fleet.start_all("ping", 1).unwrap();
    let bad: Vec<_> = VALUES
        .into_iter()
        .map(|(name, rule, more)| {
            let mut spec = fleet.ping_as(name, &format!("{name}-1")).unwrap();
            spec.labels = own(name, rule, more);
            fleet.launch(spec).unwrap()
        })
        .collect();
    for instance in &bad {
        let reason = fleet.hub.wait_routing(instance.host(), "refused").unwrap();
        assert!(reason.starts_with("Traefik reports for traefik.http."), "{reason}");
    }
    let routers = fleet.traefik.api().routers().unwrap();
    for (name, ..) in VALUES {
        assert_eq!(routers[&format!("{name}@http")]["status"], "disabled", "{name}: {routers:?}");
    }
    assert_eq!(routers["ping@http"]["status"], "enabled");
    fleet.wait_routed(&mut good).unwrap();
}

#[test]
fn value_that_would_invalidate_the_whole_document_does_not_reach_traefik() {
    let long = "n".repeat(1100);
    let too_long = format!("http.routers.{long}.priority");
    let values: [(&str, &str, &str); 7] = [
        ("type", "http.middlewares.m1.retry.attempts", "many"),
        ("duration", "http.middlewares.m2.retry.initialinterval", "2562048h"),
        ("plugin", "http.middlewares.m3.plugin.p.option", "║x"),
        ("name", &too_long, "1"),
        ("standalone", "http.middlewares.m4.retry", "true"),
        ("tls", "tls.options.default.ciphersuites", "missing"),
        ("cycle", "tcp.services.cycle.weighted.services[0].name", "cycle"),
    ];
    let fleet = Fleet::start().unwrap();
    for (name, key, value) in values {
        let mut spec = fleet.ping_as(name, &format!("{name}-1")).unwrap();
        spec.labels = own(name, "Path(`/a`)", &[(key, value)]);
        let refused = fleet.launch(spec).unwrap();
        let reason = fleet.hub.wait_routing(refused.host(), "refused").unwrap();
        let section = key.split('.').take(2).collect::<Vec<_>>().join(".");
        assert!(reason.contains(&format!("traefik.{section}.")), "{name}: {reason}");
    }
    // Characters that YAML rejects are escaped and arrive unchanged.
    let strange = "Path(`/\u{7f}\u{9f}\u{2028}\u{ffff}<<: é`)";
    let mut spec = fleet.ping_as("strange", "strange-1").unwrap();
    spec.labels = own("<<", strange, &[]);
    let instance = fleet.launch(spec).unwrap();
    fleet.hub.wait_routing(instance.host(), "confirmed").unwrap();
    assert_eq!(fleet.traefik.api().routers().unwrap()["<<@http"]["rule"], strange);
    let _good = fleet.start_all("ping", 1).unwrap();
}

#[test]
fn cycle_of_weighted_tcp_services_does_not_reach_traefik() {
    let fleet = Fleet::start().unwrap();
    let half = |name: &str, other: &str| {
        let mut spec = fleet.ping_as(name, &format!("{name}-1")).unwrap();
        let service = format!("tcp.services.{name}.weighted.services[0].name");
        let router = format!("tcp.routers.{name}.rule");
        let entry_points = format!("tcp.routers.{name}.entrypoints");
        let tcp = [(&*service, other), (&*router, "HostSNI(`*`)"), (&*entry_points, "web")];
        spec.labels = own(name, "Path(`/a`)", &tcp);
        fleet.launch(spec).unwrap()
    };
    let first = half("one", "other");
    let reason = fleet.hub.wait_routing(first.host(), "refused").unwrap();
    assert!(reason.contains("refers to service other, which no service defines"), "{reason}");
    let second = half("other", "one@docker");
    let reason = fleet.hub.wait_routing(second.host(), "refused").unwrap();
    assert_eq!(reason, "traefik.tcp.services.other: the definition leads back to itself through \"other\"");
    let mut good = fleet.start_all("ping", 1).unwrap();
    fleet.wait_routed(&mut good).unwrap();
}

#[test]
fn exposure_flags_decide_which_services_are_routed() {
    let arguments = [
        "--exposed-by-default=false",
        "--constraints",
        "!Label(`stage`, `test`)",
        "--default-rule",
        "Path(`/{{ .Name }}`)",
    ];
    let options =
        FleetOptions { hub_arguments: arguments.map(str::to_owned).to_vec(), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let launch = |name: &str, labels: &[(&str, &str)]| {
        let mut spec = fleet.ping_as(name, &format!("{name}-1")).unwrap();
        spec.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        fleet.launch(spec).unwrap()
    };
    let hidden = launch("hidden", &[]);
    let test = launch("test", &[("traefik.enable", "true"), ("stage", "test")]);
    let exposed = launch("exposed", &[("traefik.enable", "true")]);
    fleet.hub.wait_routing(exposed.host(), "confirmed").unwrap();
    fleet.hub.wait_routing(hidden.host(), "unrouted").unwrap();
    fleet.hub.wait_routing(test.host(), "unrouted").unwrap();
    let routers = fleet.traefik.api().routers().unwrap();
    assert_eq!(routers.keys().collect::<Vec<_>>(), ["exposed@http"]);
    assert_eq!(routers["exposed@http"]["rule"], "Path(`/exposed`)");
}

#[test]
fn router_name_stays_with_the_service_that_came_first() {
    let fleet = Fleet::start().unwrap();
    let mut first = fleet.start_all("ping", 1).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.labels = routed("ping", "PathPrefix(`/`)", None, spec.address.port());
    let second = fleet.launch(spec).unwrap();
    let reason = fleet.hub.wait_routing(second.host(), "refused").unwrap();
    assert!(reason.contains("traefik.http.routers.ping") && reason.contains("service ping"), "{reason}");
    fleet.wait_responses("/ping", &first).unwrap();
    let routers = fleet.traefik.api().routers().unwrap();
    assert_eq!(routers["ping@http"]["status"], "enabled", "{routers:?}");
    first[0].stop().unwrap();
    fleet.hub.wait_routing(second.host(), "refused").unwrap();
}

#[test]
fn service_without_a_router_label_gets_none() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.labels = vec![("traefik.enable".to_owned(), "true".to_owned())];
    let unlabelled = fleet.launch(spec).unwrap();
    fleet.hub.wait_routing(unlabelled.host(), "unrouted").unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.labels.push(("traefik.enable".to_owned(), "false".to_owned()));
    let disabled = fleet.launch(spec).unwrap();
    fleet.hub.wait_routing(disabled.host(), "unrouted").unwrap();
    assert!(fleet.traefik.api().routers().unwrap().is_empty());
}
