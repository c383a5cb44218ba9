//! Behaviour of Traefik's Docker and Swarm providers, and the errors that the hub adds.

use serde_json::json;

use super::*;
use crate::{API, Constraints, DefaultRule, Document};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn read(pairs: &[(&str, &str)]) -> Result<ServiceConfig, LabelErrors> {
    ServiceConfig::read("demo_ping", &labels(pairs), &Exposure::default())
}

/// Reads labels with a default rule.
fn with_default_rule(rule: &str, pairs: &[(&str, &str)]) -> ServiceConfig {
    let default_rule: Option<DefaultRule> = Some(rule.parse().unwrap());
    ServiceConfig::read("demo_ping", &labels(pairs), &Exposure { default_rule, ..Exposure::default() })
        .unwrap()
}

#[test]
fn router_gets_a_service_named_after_the_swarm_service_as_in_traefik() {
    let config = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.swarm.network", "web"),
        ("traefik.docker.lbswarm", "true"),
    ]);
    assert_eq!(
        Value::Object(config.unwrap().tree),
        json!({"http": {
            "routers": {"a": {"rule": "Path(`/a`)", "service": "demo-ping"}},
            "services": {"demo-ping": {}},
        }})
    );
}

#[test]
fn router_gets_the_only_service() {
    let config = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.http.routers.b.rule", "Path(`/b`)"),
        ("traefik.http.routers.b.service", "elsewhere@file"),
        ("traefik.http.services.x.loadbalancer.server.port", "80"),
    ])
    .unwrap();
    assert_eq!(config.tree["http"]["routers"]["a"]["service"], "x");
    assert_eq!(config.tree["http"]["routers"]["b"]["service"], "elsewhere@file");
    assert_eq!(config.server_options[&("http".to_owned(), "x".to_owned())]["port"], "80");
}

#[test]
fn protocols_have_separate_services() {
    let config = read(&[
        ("traefik.http.routers.a.rule", "Path(`/a`)"),
        ("traefik.http.services.web.loadbalancer.server.port", "80"),
        ("traefik.tcp.routers.a.rule", "HostSNI(`*`)"),
        ("traefik.tcp.routers.a.entrypoints", "db"),
        ("traefik.tcp.services.db.loadbalancer.server.port", "5432"),
        ("traefik.udp.routers.a.entrypoints", "dns"),
    ])
    .unwrap();
    let service = |protocol: &str| config.tree[protocol]["routers"]["a"]["service"].clone();
    assert_eq!(["http", "tcp", "udp"].map(service), ["web", "db", "demo-ping"]);
}

#[test]
fn errors_name_label_and_remedy() {
    let error = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
    assert!(
        error(&[("traefik.http.routers.a.priority", "1")])
            .ends_with("routers.a: the router has no rule; set traefik.http.routers.a.rule")
    );
    assert!(error(&[("traefik.tcp.routers.a.rule", "")]).ends_with("set traefik.tcp.routers.a.rule"));
    let server = "traefik.http.services.x.loadbalancer.server";
    for port in ["70000", "0", "", "web", "-1"] {
        assert_eq!(
            error(&[(&format!("{server}.port"), port)]),
            format!("{server}.port: expected a port from 1 to 65535, got {port:?}")
        );
    }
    assert_eq!(
        error(&[(&format!("{server}.url"), "http://a:1"), (&format!("{server}.port"), "1")]),
        format!("{server}.port: conflicts with {server}.url, which contains the port; remove one of them")
    );
    let two = error(&[
        ("traefik.http.routers.a.rule", "Path(`/`)"),
        ("traefik.http.services.x.loadbalancer.server.port", "1"),
        ("traefik.http.services.y.loadbalancer.server.port", "2"),
    ]);
    assert!(two.ends_with(
        "the router names no service and there are several (x, y); set traefik.http.routers.a.service"
    ));
    let both = error(&[
        ("traefik.http.services.x.loadbalancer.server.port", "1"),
        ("traefik.http.services.x.weighted.services[0].name", "y"),
    ]);
    assert_eq!(
        both,
        "traefik.http.services.x: a service is either loadbalancer or weighted; remove the labels of one"
    );
    let several = error(&[("traefik.http.routers.a.priority", "x"), ("traefik.htpp.b", "c")]);
    assert_eq!(several.matches("traefik.").count(), 2, "{several}");
}

#[test]
fn no_router_receives_requests_to_traefiks_api() {
    let mut document = Document::default();
    document.add_api("hub:x");
    let document: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
    let own = document["http"]["routers"][API]["priority"].as_str().unwrap();
    let below = (own.parse::<i64>().unwrap() - 1).to_string();
    let http = |priority: &str| {
        let (rule, entry) =
            (("traefik.http.routers.a.rule", "Path(`/`)"), "traefik.http.routers.a.entrypoints");
        read(&[rule, (entry, "traefik"), ("traefik.http.routers.a.priority", priority)])
    };
    assert!(http(&below).is_ok());
    assert!(http(own).unwrap_err().to_string().contains(&format!("to {below}, got")));
    let rule = ("traefik.tcp.routers.a.rule", "HostSNI(`*`)");
    assert_eq!(
        read(&[rule, ("traefik.tcp.routers.a.entrypoints", "web,traefik")]).unwrap_err().to_string(),
        "traefik.tcp.routers.a.entrypoints: TCP routers cannot use `traefik`, the entry point of Traefik's API; name \
         another one"
    );
}

#[test]
fn disabled_or_unlabelled_service_is_not_routed() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "Path(`/`)");
    assert!(!read(&[]).unwrap().is_routed());
    assert!(!read(&[("traefik.enable", "false"), RULE]).unwrap().is_routed());
    assert!(!read(&[("traefik.http.middlewares.m.compress", "true")]).unwrap().is_routed());
    assert!(read(&[("Traefik.Enable", "1"), RULE]).unwrap().is_routed());
    // Errors in the other labels of a disabled service are ignored.
    assert!(
        !read(&[("traefik.enable", "false"), ("traefik.http.rooters.a", "Path(`/`)")]).unwrap().is_routed()
    );
}

#[test]
fn without_exposed_by_default_only_enabled_services_are_routed() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "Path(`/`)");
    let exposure = Exposure { by_default: false, ..Exposure::default() };
    let read = |pairs: &[(&str, &str)]| ServiceConfig::read("s", &labels(pairs), &exposure);
    assert!(!read(&[RULE]).unwrap().is_routed());
    assert!(read(&[RULE, ("traefik.enable", "true")]).unwrap().is_routed());
    assert!(read(&[RULE, ("traefik.enable", "yes")]).unwrap_err().to_string().contains("true or false"));
}

#[test]
fn service_that_fails_the_constraints_is_not_routed() {
    const RULE: (&str, &str) = ("traefik.http.routers.a.rule", "Path(`/`)");
    let constraints: Constraints = "Label(`traefik.constraint-label`, `public`)".parse().unwrap();
    let exposure = Exposure { constraints: Some(constraints), ..Exposure::default() };
    let read = |pairs: &[(&str, &str)]| ServiceConfig::read("s", &labels(pairs), &exposure).unwrap();
    assert!(read(&[RULE, ("traefik.constraint-label", "public")]).is_routed());
    assert!(!read(&[RULE]).is_routed());
    assert!(!read(&[("traefik.enable", "true"), ("traefik.http.rooters.a", "Path(`/`)")]).is_routed());
}

#[test]
fn default_rule_applies_to_services_and_routers_without_a_rule() {
    let rule = |pairs: &[(&str, &str)]| {
        let config = with_default_rule("Host(`{{ normalize .Name }}.lan`)", pairs);
        let routers = config.section("http", "routers").cloned().unwrap_or_default();
        routers
            .into_iter()
            .map(|(name, router)| (name, router["rule"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let own = [("demo-ping".to_owned(), "Host(`demo-ping.lan`)".to_owned())];
    assert_eq!(rule(&[]), own);
    assert_eq!(rule(&[("traefik.http.middlewares.m.compress", "true")]), own);
    assert_eq!(rule(&[("traefik.http.services.x.loadbalancer.server.port", "1")]), own);
    assert_eq!(rule(&[("traefik.enable", "false")]), []);
    assert_eq!(
        rule(&[("traefik.tcp.routers.a.rule", "HostSNI(`a.lan`)"), ("traefik.tcp.routers.a.tls", "")]),
        []
    );
    let named = [("a".to_owned(), own[0].1.clone())];
    assert_eq!(rule(&[("traefik.http.routers.a.entrypoints", "web")]), named);
    // Two services to choose from: no router.
    let server = "loadbalancer.server.port";
    let two = [format!("traefik.http.services.x.{server}"), format!("traefik.http.services.y.{server}")];
    assert_eq!(rule(&[(&two[0], "1"), (&two[1], "2")]), []);
    // A rule for HTTP is not used for TCP.
    let tcp = ServiceConfig::read(
        "s",
        &labels(&[("traefik.tcp.routers.a.entrypoints", "web")]),
        &Exposure { default_rule: Some("Path(`/`)".parse().unwrap()), ..Exposure::default() },
    );
    assert!(tcp.unwrap_err().to_string().ends_with("the router has no rule; set traefik.tcp.routers.a.rule"));
}

#[test]
fn empty_default_rule_adds_no_router() {
    let rule = "{{ if .Labels.host }}Host(`{{ .Labels.host }}`){{ end }}";
    assert!(!with_default_rule(rule, &[]).is_routed());
    assert!(with_default_rule(rule, &[("host", "a.lan")]).is_routed());
}

#[test]
fn option_without_effect_is_warned_of() {
    let pairs = [
        ("traefik.docker.lbswarm", "true"),
        ("traefik.http.routers.a.rule", "Path(`/`)"),
        ("traefik.http.middlewares.m.headers.sslRedirect", "true"),
        ("traefik.http.middlewares.n.basicauth.users", "a:plain"),
        ("traefik.http.middlewares.o.ipwhitelist.sourcerange", "10.0.0.1"),
    ];
    let config = read(&pairs).unwrap();
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "traefik.docker.lbswarm: has no effect with the hub, which gives Traefik the address of each task instead of the service's \
             virtual IP; only Traefik's own Swarm provider uses it",
            "traefik.http.middlewares.m.headers.sslRedirect: has no effect in Traefik 3; use a redirectscheme \
             middleware",
            "traefik.http.middlewares.n.basicauth.users: no password matches a user's hash of this kind; create it \
             with htpasswd -nB, and write $ as $$ in stack files",
            "traefik.http.middlewares.o.ipwhitelist.sourcerange: deprecated in Traefik 3; use ipallowlist",
        ]
    );
}

#[test]
fn name_counts_as_it_is_written_in_the_document() {
    let rule = |name: &str| read(&[(&format!("traefik.http.routers.{name}.rule"), "Path(`/`)")]);
    let service = |name: &str| {
        ServiceConfig::read(
            name,
            &labels(&[("traefik.http.routers.a.rule", "Path(`/`)")]),
            &Exposure::default(),
        )
    };
    let long = "a name is longer than 255 characters";
    let other = service("_").unwrap_err().to_string();
    assert_eq!(other, "service: the name \"_\" contains no letter and no number; use another name");
    // A control character is escaped and has 6 characters there.
    for (name, is_valid) in [
        ("n".repeat(255), true),
        ("é".repeat(255), true),
        ("\u{80}".repeat(42), true),
        ("n".repeat(256), false),
        ("\u{80}".repeat(43), false),
    ] {
        let is_text = name.chars().all(char::is_alphanumeric);
        for outcome in std::iter::once(rule(&name)).chain(is_text.then(|| service(&name))) {
            assert_eq!(outcome.is_ok(), is_valid, "{name:?}");
            assert!(is_valid || outcome.unwrap_err().to_string().ends_with(long), "{name:?}");
        }
    }
}

#[test]
fn errors_have_a_limit() {
    let pairs: Vec<_> = (0..5_000).map(|n| (format!("traefik.http.rooters.r{n}"), "")).collect();
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let errors = read(&pairs).unwrap_err();
    assert_eq!(errors.0.len(), 100);
    let text = errors.to_string();
    assert!(text.ends_with("; and 90 more") && text.len() < 2_000, "{text}");
}
