//! Labels to trees and back.

use serde_json::json;

use super::*;
use to_labels::to_labels;

#[path = "../tests/support/to_labels.rs"]
mod to_labels;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn tree(pairs: &[(&str, &str)]) -> Value {
    let tree = parse_labels(&labels(pairs)).unwrap();
    assert_eq!(parse_labels(&to_labels(&tree)), Ok(tree.clone()), "{:?}", to_labels(&tree));
    Value::Object(tree)
}

fn error(key: &str, value: &str) -> String {
    parse_labels(&labels(&[(key, value)])).unwrap_err().to_string()
}

#[test]
fn labels_become_a_tree() {
    let tree = tree(&[
        ("traefik.enable", "true"),
        ("TRAEFIK.HTTP.Routers.Ping.Rule", "Path(`/ping`)"),
        ("traefik.http.routers.Ping.EntryPoints", "web, other"),
        ("traefik.http.routers.Ping.tls", "true"),
        ("traefik.http.routers.Ping.tls.domains[10].main", "b"),
        ("traefik.http.routers.Ping.tls.domains[2].main", "a"),
        ("traefik.http.routers.Ping.tls.domains[2].sans", "c,d"),
        ("traefik.http.middlewares.p.headers.customRequestHeaders.X-Forwarded-Proto", "https"),
        ("traefik.tls.options.old.minVersion", "VersionTLS10"),
        ("com.example.other", "ignored"),
        ("traefik.constraint-label", "ignored"),
    ]);
    assert_eq!(
        tree,
        json!({
            "enable": "true",
            "http": {
                "routers": {"Ping": {
                    "rule": "Path(`/ping`)", "entrypoints": ["web", "other"],
                    "tls": {"domains": [{"main": "a", "sans": ["c", "d"]}, {"main": "b"}]},
                }},
                "middlewares": {"p": {"headers": {"customrequestheaders": {"X-Forwarded-Proto": "https"}}}},
            },
            "tls": {"options": {"old": {"minversion": "VersionTLS10"}}},
        })
    );
}

#[test]
fn names_are_case_insensitive() {
    let tree = tree(&[
        ("traefik.http.routers.Ping.rule", "r"),
        ("traefik.http.routers.ping.priority", "1"),
        ("traefik.http.routers.PING@docker.tls", ""),
    ]);
    assert_eq!(tree, json!({"http": {"routers": {"PING": {"rule": "r", "priority": "1", "tls": "true"}}}}));
}

#[test]
fn lists_use_commas_or_indices() {
    let prefixes = "traefik.http.middlewares.a.stripprefix.prefixes";
    let list = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> =
            pairs.iter().map(|(index, value)| (format!("{prefixes}{index}"), *value)).collect();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        tree(&pairs)["http"]["middlewares"]["a"]["stripprefix"]["prefixes"].clone()
    };
    assert_eq!(list(&[("", "/a, /b ,/c")]), json!(["/a", "/b", "/c"]));
    assert_eq!(list(&[("[1]", "/b,c"), ("[0]", "/a")]), json!(["/a", "/b,c"]));
    assert_eq!(list(&[("", "")]), json!([]));
    assert_eq!(list(&[("[0]", "")]), json!([""]));
    assert_eq!(list(&[("", ",")]), json!(["", ""]));
    let domains = error("traefik.http.routers.a.tls.domains.main", "a");
    assert!(domains.ends_with("unknown option \"main\"; expected an index such as [0]"), "{domains}");
}

#[test]
fn disabled_switch_drops_the_options_below_it() {
    let tls = |value| {
        let tls = ("traefik.http.routers.a.tls", value);
        // Upper case sorts first, so this label is read before the switch.
        tree(&[tls, ("traefik.http.routers.a.TLS.certResolver", "le")])["http"]["routers"]["a"]["tls"].clone()
    };
    assert_eq!(tls("true"), json!({"certresolver": "le"}));
    assert_eq!(tls(""), json!({"certresolver": "le"}));
    assert_eq!(tls("False"), "false");
    assert!(error("traefik.http.routers.a.tls", "1").ends_with("tls: expected true or false, got \"1\""));
}

#[test]
fn plugin_options_are_passed_on_unchanged() {
    let tree = tree(&[
        ("traefik.http.middlewares.p.plugin.some.Deep.value", "a, b"),
        ("traefik.http.middlewares.p.plugin.some.list[0].name", "x"),
        ("traefik.http.middlewares.p.plugin.some.list[1].name", "y"),
        ("traefik.http.middlewares.p.plugin.some.texts[0]", "x,y"),
        ("traefik.http.middlewares.q.plugin.other", "true"),
    ]);
    assert_eq!(
        tree["http"]["middlewares"],
        json!({
            "p": {"plugin": {"some": {
                "Deep": {"value": "a, b"}, "list": [{"name": "x"}, {"name": "y"}], "texts": ["x,y"],
            }}},
            "q": {"plugin": {"other": "true"}},
        })
    );
    let both = parse_labels(&labels(&[
        ("traefik.http.middlewares.p.plugin.some[0]", "x"),
        ("traefik.http.middlewares.p.plugin.some.a", "x"),
    ]));
    assert_eq!(
        both.unwrap_err().to_string(),
        "traefik.http.middlewares.p.plugin.some: mixes names and indices; use one or the other"
    );
}

#[test]
fn references_to_docker_and_swarm_become_references_to_the_hub() {
    let tree = tree(&[
        ("traefik.http.routers.a.service", "s@docker"),
        ("traefik.http.routers.a.middlewares", "m@docker, n@swarm,o@file"),
        ("traefik.http.routers.a.tls.options", "t@docker"),
        ("traefik.http.middlewares.c.chain.middlewares[0]", "m@swarm"),
        ("traefik.http.middlewares.e.errors.service", "s@docker"),
        ("traefik.http.services.s.loadbalancer.serverstransport", "t@docker"),
        ("traefik.http.services.w.weighted.services[0].name", "s@docker"),
        ("traefik.http.services.s.loadbalancer.sticky.cookie.name", "c@docker"),
        ("traefik.udp.routers.u.service", "s@swarm"),
    ]);
    let text = tree.to_string();
    assert_eq!(text.matches("@http").count(), 9, "{text}");
    assert_eq!(text.matches("@docker").count(), 1, "{text}");
    assert_eq!(tree["http"]["services"]["s"]["loadbalancer"]["sticky"]["cookie"]["name"], "c@docker");
}

#[test]
fn errors_name_the_label_and_the_remedy() {
    assert_eq!(
        error("traefik.http.middlewares.s.strippprefix.prefixes", "/"),
        "traefik.http.middlewares.s.strippprefix.prefixes: unknown option \"strippprefix\"; did you \
         mean \"stripprefix\"?"
    );
    for (key, value, end) in [
        ("traefik.htpp.routers.a.rule", "r", "unknown option \"htpp\"; did you mean \"http\"?"),
        ("traefik.enabled", "true", "unknown option \"enabled\"; did you mean \"enable\"?"),
        ("traefik.frontend.rule", "r", "traefik.frontend.rule: unknown option \"frontend\""),
        ("traefik.http.middlewares.r.retry.attempts", "many", "expected an integer, got \"many\""),
        ("traefik.enable", "yes", "traefik.enable: expected true or false, got \"yes\""),
        ("traefik.docker.lbswarm", "on", "expected true or false, got \"on\""),
        ("traefik.http.routers.a.tls.domains[x].main", "a", "invalid index \"[x]\""),
        ("traefik.http.routers.a.tls.domains[0][1].main", "a", "invalid index \"[0][1]\""),
        ("traefik.http.routers.a.tls.domains[+1].main", "a", "invalid index \"[+1]\""),
        ("traefik.http.routers.a.tls.domains.[0].main", "a", "missing name before the index \"[0]\""),
        ("traefik.http.routers[0].rule", "a", "unknown option \"[0]\""),
        ("traefik.http..a.rule", "a", "empty name between two dots"),
        ("traefik.", "a", "empty name between two dots"),
        ("traefik.http.routers.a", "a", "this option has no value of its own; set an option below it"),
        ("traefik.http.routers.a.rule.b", "a", "unknown option \"b\""),
        ("traefik.http.routers.a.entrypoints", "║", "expected text without \"║\", got \"║\""),
        ("traefik.http.middlewares.a.plugin.b.c", "║", "expected text without \"║\""),
        (
            "traefik.http.routers.api@internal.rule",
            "a",
            "\"api@internal\" belongs to another provider; use a name without `@`",
        ),
        (
            &format!("traefik.http.routers.{}.rule", "n".repeat(256)),
            "a",
            "a name is longer than 255 characters",
        ),
        (&format!("traefik.http.middlewares.a.plugin{}", ".a".repeat(10_000)), "a", "more than 32 levels"),
    ] {
        let error = error(key, value);
        assert!(error.ends_with(end) && error.starts_with(key), "{error}");
    }
}

#[test]
fn references_to_other_providers_stay() {
    for (name, expected) in [
        ("auth", "auth"),
        ("auth@docker", "auth@http"),
        ("auth@swarm", "auth@http"),
        ("auth@http", "auth@http"),
        ("auth@file", "auth@file"),
        ("api@internal", "api@internal"),
        ("@docker", "@http"),
        ("", ""),
    ] {
        assert_eq!(reference(name), expected);
    }
}

#[test]
fn names_of_other_providers_cannot_be_defined() {
    let router = ["http", "routers"];
    for name in ["a", "a@docker", "a@swarm", "a@http"] {
        assert_eq!(defined_name(&router, name).unwrap(), "a");
    }
    assert!(defined_name(&router, "dashboard@internal").unwrap_err().contains("another provider"));
    assert!(defined_name(&["tls", "options"], "default").is_err());
    assert!(defined_name(&["tls", "options"], "default@docker").is_err());
    assert!(defined_name(&["tls", "stores"], "default").is_ok());
    assert!(defined_name(&router, "@docker").is_err());
    assert!(defined_name(&router, "a@b@docker").is_err());
    let header = ["http", "middlewares", "m", "headers", "customrequestheaders"];
    assert_eq!(defined_name(&header, "X@docker").unwrap(), "X@docker");
}

#[test]
fn value_that_traefik_ignores_is_a_warning() {
    let parsed = |key: &str, value: &str| {
        let key = format!("traefik.http.{key}");
        parse(&Labels([(key, value.to_owned())].into()))
    };
    let ignored = parsed("services.s.loadbalancer.sticky.cookie.samesite", "any");
    assert_eq!(ignored.errors, []);
    let warning = &ignored.warnings[0].message;
    assert!(warning.starts_with("Traefik ignores this value: expected one of \"none\""), "{warning}");
    assert_eq!(parsed("services.s.loadbalancer.sticky.cookie.samesite", "lax").warnings, []);
    let item = parsed("middlewares.m.forwardauth.authresponseheaders[0]", "a b");
    assert_eq!((item.errors.len(), item.warnings.len()), (0, 1));
    assert_eq!(parsed("middlewares.m.ipallowlist.sourcerange[0]", "a b").errors.len(), 1);
}
