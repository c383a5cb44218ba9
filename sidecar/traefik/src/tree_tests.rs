//! What labels become, and what they do not.

use serde_json::json;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn tree(pairs: &[(&str, &str)]) -> Value {
    let tree = read(&labels(pairs)).unwrap();
    assert_eq!(read(&print(&tree)), Ok(tree.clone()), "it is printed as {:?}", print(&tree));
    Value::Object(tree)
}

fn fault(key: &str, value: &str) -> String {
    read(&labels(&[(key, value)])).unwrap_err().to_string()
}

#[test]
fn labels_become_a_tree_word_for_word() {
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
        ("com.example.other", "left alone"),
        ("traefik.constraint-label", "left alone"),
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
fn a_name_in_another_case_is_the_same_name() {
    let tree = tree(&[
        ("traefik.http.routers.Ping.rule", "r"),
        ("traefik.http.routers.ping.priority", "1"),
        ("traefik.http.routers.PING@docker.tls", ""),
    ]);
    assert_eq!(tree, json!({"http": {"routers": {"PING": {"rule": "r", "priority": "1", "tls": "true"}}}}));
}

#[test]
fn lists_are_written_by_comma_or_by_index() {
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
    let domains = fault("traefik.http.routers.a.tls.domains.main", "a");
    assert!(domains.ends_with("(\"main\" is unknown: an index is expected, such as \"[0]\")"), "{domains}");
}

#[test]
fn a_switch_is_on_with_options_below_it_and_off_without_them() {
    let tls = |value| {
        let tls = ("traefik.http.routers.a.tls", value);
        // In another case, so that it is read before.
        tree(&[tls, ("traefik.http.routers.a.TLS.certResolver", "le")])["http"]["routers"]["a"]["tls"].clone()
    };
    assert_eq!(tls("true"), json!({"certresolver": "le"}));
    assert_eq!(tls(""), json!({"certresolver": "le"}));
    assert_eq!(tls("False"), "false");
    assert!(fault("traefik.http.routers.a.tls", "1").ends_with("tls: true or false is expected, not \"1\""));
}

#[test]
fn a_plugin_gets_what_is_written() {
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
    let both = read(&labels(&[
        ("traefik.http.middlewares.p.plugin.some[0]", "x"),
        ("traefik.http.middlewares.p.plugin.some.a", "x"),
    ]));
    assert_eq!(
        both.unwrap_err().to_string(),
        "traefik.http.middlewares.p.plugin.some: mixes names and indices; use one or the other"
    );
}

#[test]
fn references_to_replaced_providers_lead_to_the_hub_wherever_they_stand() {
    let tree = tree(&[
        ("traefik.http.routers.a.service", "s@docker"),
        ("traefik.http.routers.a.middlewares", "m@docker, n@swarm,o@file"),
        ("traefik.http.routers.a.tls.options", "t@docker"),
        ("traefik.http.middlewares.c.chain.middlewares[0]", "m@swarm"),
        ("traefik.http.middlewares.e.errors.service", "s@docker"),
        ("traefik.http.services.s.loadbalancer.serverstransport", "t@docker"),
        ("traefik.http.services.w.weighted.services[0].name", "s@docker"),
        ("traefik.http.services.m.mirroring.mirrors[0].name", "s@docker"),
        ("traefik.http.services.f.failover.fallback", "s@docker"),
        ("traefik.http.services.s.loadbalancer.sticky.cookie.name", "c@docker"),
        ("traefik.udp.routers.u.service", "s@swarm"),
    ]);
    let text = tree.to_string();
    assert_eq!(text.matches("@http").count(), 11, "{text}");
    assert_eq!(text.matches("@docker").count(), 1, "{text}");
    assert_eq!(tree["http"]["services"]["s"]["loadbalancer"]["sticky"]["cookie"]["name"], "c@docker");
}

#[test]
fn a_fault_names_its_label_and_what_was_expected() {
    assert_eq!(
        fault("traefik.http.middlewares.s.strippprefix.prefixes", "/"),
        "traefik.http.middlewares.s.strippprefix.prefixes: Traefik has no such option (\"strippprefix\" is unknown: did \
         you mean \"stripprefix\"?)"
    );
    for (key, value, end) in [
        ("traefik.htpp.routers.a.rule", "r", "(\"htpp\" is unknown: did you mean \"http\"?)"),
        ("traefik.enabled", "true", "(\"enabled\" is unknown: did you mean \"enable\"?)"),
        (
            "traefik.frontend.rule",
            "r",
            "traefik.frontend.rule: Traefik has no such option (\"frontend\" is unknown)",
        ),
        ("traefik.http.middlewares.r.retry.attempts", "many", "a whole number is expected, not \"many\""),
        ("traefik.enable", "yes", "traefik.enable: true or false is expected, not \"yes\""),
        ("traefik.docker.lbswarm", "on", "true or false is expected, not \"on\""),
        ("traefik.http.routers.a.tls.domains[x].main", "a", "\"[x]\" is not an index"),
        ("traefik.http.routers.a.tls.domains[0][1].main", "a", "\"[0][1]\" is not an index"),
        ("traefik.http.routers.a.tls.domains[+1].main", "a", "\"[+1]\" is not an index"),
        ("traefik.http.routers.a.tls.domains.[0].main", "a", "\"[0]\" has no name before its index"),
        ("traefik.http.routers[0].rule", "a", "(\"[0]\" is unknown)"),
        ("traefik.http..a.rule", "a", "a name is missing between two dots"),
        ("traefik.", "a", "a name is missing between two dots"),
        ("traefik.http.routers.a", "a", "it takes no value, an option below it does"),
        ("traefik.http.routers.a.rule.b", "a", "(\"b\" is unknown)"),
        ("traefik.http.middlewares.a.plugin.b.c", "║", "a text without \"║\" is expected, not \"║\""),
        ("traefik.http.routers.api@internal.rule", "a", "\"api@internal\" would be another provider's"),
        (&format!("traefik.http.routers.{}.rule", "n".repeat(256)), "a", "a name has more than 255 letters"),
        (
            &format!("traefik.http.middlewares.a.plugin{}", ".a".repeat(10_000)),
            "a",
            "it has more than 32 levels",
        ),
    ] {
        let fault = fault(key, value);
        assert!(fault.ends_with(end) && fault.starts_with(key), "{fault}");
    }
}
