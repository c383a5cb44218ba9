use protocol::Labels;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn translated(pairs: &[(&str, &str)]) -> Translation {
    translate("demo_ping", &labels(pairs), None)
}

const RULE: (&str, &str) = ("traefik.frontend.rule", "Path:/");

/// Translates these labels with a port and a rule. Returns the other labels without `traefik.http.`.
fn translated_options(pairs: &[(&str, &str)]) -> Vec<String> {
    let pairs = [&[("traefik.port", "80"), RULE], pairs].concat();
    let translation = translated(&pairs);
    assert_eq!(translation.errors, []);
    let plan = read_config("demo_ping", &labels(&pairs), &Exposure::default());
    assert!(plan.is_ok(), "{plan:?}");
    let common = ["routers.demo-ping.rule", "routers.demo-ping.service", "routers.demo-ping.priority"];
    let own = translation.labels.0.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix("traefik.http.").expect("all labels are for HTTP");
        let is_common = common.contains(&key) || (key.ends_with(".server.port") && value == "80");
        (!is_common).then(|| format!("{key}={value}"))
    });
    own.collect()
}

fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
    let pairs = [&[("traefik.port", "80"), RULE], pairs].concat();
    let translation = translated(&pairs);
    assert_eq!(translation.errors, []);
    translation.warnings.iter().map(|warning| warning.label.clone()).collect()
}

fn error(pairs: &[(&str, &str)]) -> String {
    let errors = translated(&[&[RULE], pairs].concat()).errors;
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn labels_of_the_article_become_router_middleware_and_service() {
    let translation = translated(&[
        ("traefik.port", "8080"),
        ("traefik.docker.network", "demo_apps"),
        ("traefik.frontend.rule", "PathPrefixStrip: /ping"),
    ]);
    let expected = labels(&[
        ("traefik.http.routers.demo-ping.rule", "PathPrefix(`/ping`)"),
        ("traefik.http.routers.demo-ping.priority", "22"),
        ("traefik.http.routers.demo-ping.middlewares", "demo-ping--stripprefix"),
        ("traefik.http.routers.demo-ping.service", "demo-ping"),
        ("traefik.http.middlewares.demo-ping--stripprefix.stripprefix.prefixes", "/ping"),
        ("traefik.http.services.demo-ping.loadbalancer.server.port", "8080"),
    ]);
    assert_eq!(translation, Translation { labels: expected, ..Translation::default() });
}

#[test]
fn each_label_is_translated() {
    let middleware = |kind: &str, field: &str| {
        vec![
            format!("middlewares.demo-ping--{kind}.{field}"),
            format!("routers.demo-ping.middlewares=demo-ping--{kind}"),
        ]
    };
    let service = |field: &str| vec![format!("services.demo-ping.loadbalancer.{field}")];
    for (label, expected) in [
        ("protocol=https", service("server.scheme=https")),
        ("protocol=http", vec![]),
        ("weight=10", service("server.weight=10")),
        ("frontend.entryPoints=http, https", vec!["routers.demo-ping.entrypoints=http,https".to_owned()]),
        ("frontend.passHostHeader=false", service("passhostheader=false")),
        ("frontend.passHostHeader=true", vec![]),
        ("frontend.auth.basic=a:b,c:d", middleware("basicauth", "basicauth.users=a:b,c:d")),
        ("frontend.auth.basic.users=a:$apr1$x", middleware("basicauth", "basicauth.users=a:$apr1$x")),
        ("frontend.auth.digest.users=a:r:b", middleware("digestauth", "digestauth.users=a:r:b")),
        ("frontend.auth.forward.address=http://a", middleware("forwardauth", "forwardauth.address=http://a")),
        (
            "frontend.whiteList.sourceRange=10.0.0.0/8, ::1",
            middleware("ipallowlist", "ipallowlist.sourcerange=10.0.0.0/8,::1"),
        ),
        (
            "frontend.whitelistSourceRange=10.0.0.1",
            middleware("ipallowlist", "ipallowlist.sourcerange=10.0.0.1"),
        ),
        ("frontend.redirect.entryPoint=https", middleware("redirectscheme", "redirectscheme.scheme=https")),
        ("frontend.headers.SSLRedirect=false", vec![]),
        ("frontend.headers.frameDeny=true", middleware("headers", "headers.framedeny=true")),
        ("frontend.headers.STSSeconds=60", middleware("headers", "headers.stsseconds=60")),
        ("frontend.headers.allowedHosts=a, b", middleware("headers", "headers.allowedhosts=a,b")),
        (
            "frontend.headers.referrerPolicy=same-origin",
            middleware("headers", "headers.referrerpolicy=same-origin"),
        ),
        (
            "frontend.headers.customRequestHeaders=x-a: b: c",
            middleware("headers", "headers.customrequestheaders.X-A=b: c"),
        ),
        (
            "frontend.headers.customResponseHeaders=X-A:",
            middleware("headers", "headers.customresponseheaders.X-A="),
        ),
        (
            "frontend.passTLSClientCert.pem=true",
            middleware("passtlsclientcert", "passtlsclientcert.pem=true"),
        ),
        (
            "frontend.passTLSClientCert.infos.subject.commonName=true",
            middleware("passtlsclientcert", "passtlsclientcert.info.subject.commonname=true"),
        ),
        ("backend.loadbalancer.sticky=true", service("sticky.cookie.name=_TRAEFIK_BACKEND")),
        ("backend.loadbalancer.stickiness=true", service("sticky.cookie=true")),
        ("backend.loadbalancer.method=wrr", vec![]),
        ("backend.healthcheck.path=/h", service("healthcheck.path=/h")),
        (
            "backend.circuitbreaker.expression=NetworkErrorRatio() > 0.5",
            middleware("circuitbreaker", "circuitbreaker.expression=NetworkErrorRatio() > 0.5"),
        ),
        (
            "backend.buffering.maxRequestBodyBytes=5",
            middleware("buffering", "buffering.maxrequestbodybytes=5"),
        ),
        (
            "backend.buffering.retryExpression=IsNetworkError()",
            middleware("buffering", "buffering.retryexpression=IsNetworkError()"),
        ),
        ("backend.responseForwarding.flushInterval=10ms", service("responseforwarding.flushinterval=10ms")),
        ("backend.responseForwarding.flushInterval=2", service("responseforwarding.flushinterval=2s")),
    ] {
        let (key, value) = label.split_once('=').unwrap();
        assert_eq!(translated_options(&[(&format!("traefik.{key}"), value)]), expected, "{label}");
    }
}

#[test]
fn path_middlewares_have_the_order_of_traefik_1() {
    let translation = translated(&[(
        "traefik.frontend.rule",
        "AddPrefix:/x;ReplacePath:/r;PathPrefixStrip:/a;ReplacePathRegex:^/b /c;PathPrefixStripRegex:/{n}",
    )]);
    let kinds: Vec<_> = translation.labels.0["traefik.http.routers.demo-ping.middlewares"]
        .split(',')
        .map(|name| name.strip_prefix("demo-ping--").unwrap())
        .collect();
    assert_eq!(kinds, ["stripprefixregex", "stripprefix", "addprefix", "replacepathregex", "replacepath"]);
}

#[test]
fn access_middlewares_have_the_order_of_traefik_1() {
    let options = translated_options(&[
        ("traefik.backend.maxconn.amount", "5"),
        ("traefik.backend.maxconn.extractorfunc", "client.ip"),
        ("traefik.frontend.auth.basic.users", "a:b"),
        ("traefik.frontend.auth.basic.removeHeader", "true"),
        ("traefik.frontend.auth.headerField", "X-User"),
        ("traefik.frontend.rateLimit.extractorFunc", "request.header.X-Key"),
        ("traefik.frontend.rateLimit.rateSet.fast.period", "3"),
        ("traefik.frontend.rateLimit.rateSet.fast.average", "5"),
        ("traefik.frontend.rateLimit.rateSet.fast.burst", "10"),
        ("traefik.frontend.errors.bad.status", "500-599, 404"),
        ("traefik.frontend.errors.bad.backend", "error_pages"),
        ("traefik.frontend.errors.bad.query", "/{status}.html"),
        ("traefik.frontend.whiteList.sourceRange", "10.0.0.0/8"),
        ("traefik.frontend.whiteList.useXForwardedFor", "true"),
    ]);
    let prefix = "middlewares.demo-ping--";
    let expected = [
        "basicauth.basicauth.headerfield=X-User",
        "basicauth.basicauth.removeheader=true",
        "basicauth.basicauth.users=a:b",
        "errors-bad.errors.query=/{status}.html",
        "errors-bad.errors.service=error-pages",
        "errors-bad.errors.status=500-599,404",
        "inflightreq.inflightreq.amount=5",
        "inflightreq.inflightreq.sourcecriterion.ipstrategy.depth=0",
        "ipallowlist.ipallowlist.ipstrategy.depth=1",
        "ipallowlist.ipallowlist.sourcerange=10.0.0.0/8",
        "ratelimit-fast.ratelimit.average=5",
        "ratelimit-fast.ratelimit.burst=10",
        "ratelimit-fast.ratelimit.period=3s",
        "ratelimit-fast.ratelimit.sourcecriterion.requestheadername=X-Key",
    ];
    let (router, middlewares) = options.split_last().unwrap();
    assert_eq!(middlewares, expected.map(|field| format!("{prefix}{field}")));
    let order = ["errors-bad", "ipallowlist", "basicauth", "inflightreq", "ratelimit-fast"];
    let order = order.map(|kind| format!("demo-ping--{kind}")).join(",");
    assert_eq!(*router, format!("routers.demo-ping.middlewares={order}"));
}

#[test]
fn redirects_use_scheme_or_regex() {
    let redirect = |pairs: &[(&str, &str)]| {
        let options = translated_options(pairs);
        options[..options.len() - 1]
            .iter()
            .map(|label| label.split_once("--").unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        redirect(&[
            ("traefik.frontend.redirect.regex", r"^http://a\\.lan/(.*)"),
            ("traefik.frontend.redirect.replacement", "http://b.lan/$1"),
            ("traefik.frontend.redirect.permanent", "true"),
        ]),
        [
            "redirectregex.redirectregex.permanent=true",
            r"redirectregex.redirectregex.regex=^http://a\.lan/(.*)",
            "redirectregex.redirectregex.replacement=http://b.lan/$1",
        ]
    );
    let ssl = ("traefik.frontend.headers.SSLRedirect", "true");
    assert_eq!(
        redirect(&[ssl]),
        [
            "ssl-redirectscheme.redirectscheme.permanent=true",
            "ssl-redirectscheme.redirectscheme.scheme=https"
        ]
    );
    assert_eq!(
        redirect(&[
            ssl,
            ("traefik.frontend.headers.SSLHost", "a.lan"),
            ("traefik.frontend.headers.SSLTemporaryRedirect", "true")
        ]),
        [
            "ssl-redirectregex.redirectregex.regex=^http://[^/]+(.*)$",
            "ssl-redirectregex.redirectregex.replacement=https://a.lan${1}",
        ]
    );
    // No redirect in development mode.
    let development = translated_options(&[ssl, ("traefik.frontend.headers.isDevelopment", "true")]);
    assert_eq!(development.len(), 2, "{development:?}");
}

#[test]
fn priority_is_the_length_of_the_old_rule() {
    let priority = |rule: &str, more: &[(&str, &str)]| {
        let translation = translated(&[&[("traefik.frontend.rule", rule)], more].concat());
        translation.labels.0.get("traefik.http.routers.demo-ping.priority").cloned()
    };
    assert_eq!(priority("PathPrefixStrip:/foobar", &[]).as_deref(), Some("23"));
    assert_eq!(priority("PathPrefix:/foo;Host:foo.com", &[]).as_deref(), Some("28"));
    assert_eq!(priority("Path:/", &[("traefik.frontend.priority", "5")]).as_deref(), Some("5"));
    assert_eq!(priority("Path:/", &[("traefik.frontend.priority", "0")]).as_deref(), Some("6"));
    // Unchanged length needs no priority.
    assert_eq!(priority("Path:   /", &[]), None);
}

#[test]
fn each_segment_gets_its_own_router_and_service() {
    let translation = translated(&[
        ("traefik.web.port", "80"),
        ("traefik.web.frontend.rule", "Path:/web"),
        ("traefik.api.port", "81"),
        ("traefik.api.frontend.rule", "PathPrefixStrip:/api"),
        ("traefik.api.backend", "interface"),
        ("traefik.api.frontend.passHostHeader", "true"),
        ("traefik.frontend.passHostHeader", "false"),
        ("traefik.protocol", "h2c"),
        ("traefik.backend.healthcheck.path", "/h"),
    ]);
    assert_eq!((translation.errors, translation.warnings), (vec![], vec![]));
    let get = |key: &str| translation.labels.0.get(&format!("traefik.http.{key}")).map(String::as_str);
    assert_eq!(get("routers.demo-ping--web.rule"), Some("Path(`/web`) || Path(`/web/`)"));
    assert_eq!(get("routers.demo-ping--web.service"), Some("demo-ping--web"));
    assert_eq!(get("services.demo-ping--web.loadbalancer.server.port"), Some("80"));
    assert_eq!(get("services.demo-ping--web.loadbalancer.passhostheader"), Some("false"));
    assert_eq!(get("routers.demo-ping--api.middlewares"), Some("demo-ping--api--stripprefix"));
    assert_eq!(get("services.demo-ping--interface.loadbalancer.server.port"), Some("81"));
    assert_eq!(get("services.demo-ping--interface.loadbalancer.server.scheme"), Some("h2c"));
    assert_eq!(get("services.demo-ping--interface.loadbalancer.passhostheader"), None);
    assert_eq!(get("services.demo-ping--interface.loadbalancer.healthcheck.path"), Some("/h"));
    // The container itself has no router.
    assert_eq!(translation.labels.0.keys().filter(|key| key.contains(".rule")).count(), 2);
}

#[test]
fn segments_with_a_shared_backend_get_separate_services() {
    for backends in
        [&[("traefik.backend", "x")][..], &[("traefik.a.backend", "x"), ("traefik.b.backend", "x")]]
    {
        let segments = [
            ("traefik.a.port", "80"),
            ("traefik.a.frontend.rule", "Path:/a"),
            ("traefik.b.port", "81"),
            ("traefik.b.frontend.rule", "Path:/b"),
        ];
        let translation = translated(&[&segments, backends].concat());
        let ports = translation.labels.0.iter().filter(|(key, _)| key.contains(".server.port"));
        let ports: std::collections::BTreeSet<_> = ports.map(|(_, port)| port.as_str()).collect();
        assert_eq!(ports.len(), 2, "{ports:?}");
        assert_eq!(translation.warnings.len(), 1, "{:?}", translation.warnings);
    }
}

#[test]
fn missing_rule_comes_from_the_domain_or_the_default_rule() {
    let port = ("traefik.port", "80");
    let rule = |pairs: &[(&str, &str)], default: Option<&str>| {
        let translation = translate("demo_ping", &labels(pairs), default);
        let warned = translation.warnings.iter().map(|warning| warning.label.clone()).collect::<Vec<_>>();
        (translation.labels.0.get("traefik.http.routers.demo-ping.rule").cloned(), warned)
    };
    let is = |text: &str| (Some(text.to_owned()), vec![]);
    assert_eq!(rule(&[port, ("traefik.domain", "lan")], None), is("Host(`demo-ping.lan`)"));
    assert_eq!(rule(&[port, ("traefik.domain", "lan")], Some("Host(`x`)")), is("Host(`demo-ping.lan`)"));
    assert_eq!(rule(&[port], Some("Host(`x`)")), is("Host(`x`)"));
    let compose = [("com.docker.compose.service", "ping"), ("com.docker.compose.project", "my_app")];
    let compose = [&[port, ("traefik.domain", "lan")], &compose[..]].concat();
    assert_eq!(rule(&compose, None), is("Host(`ping.my-app.lan`)"));
    assert_eq!(rule(&[port], None), (None, vec!["traefik.frontend.rule".to_owned()]));
    assert!(translated(&[port]).labels.0.is_empty());
    assert!(!read_config("demo_ping", &labels(&[port]), &Exposure::default()).unwrap().is_routed());
}

#[test]
fn labels_without_successor_or_with_another_meaning_get_a_warning() {
    for label in [
        "tags=a,b",
        "portIndex=1",
        "backend.id=5",
        "frontend.passTLSCert=true",
        "frontend.auth.headerField=X",
        "frontend.headers.publicKey=x",
        "frontend.headers.SSLHost=a",
        "frontend.redirect.entryPoint=https",
        "frontend.redirect.regex=x",
        "frontend.entryPoints=http",
        "frontend.rateLimit.rateSet.a.average=5",
        "frontend.passTLSClientCert.infos.sans=true",
        "backend.loadbalancer.method=drr",
        "backend.loadbalancer.swarm=true",
        "backend.loadbalancer.stickiness.cookieName=a",
        "backend.healthcheck.interval=1s",
        "backend.maxconn.extractorfunc=client.ip",
        "frontend.whitelist.sourceRange=10.0.0.0/8",
    ] {
        let (key, value) = label.split_once('=').unwrap();
        let key = format!("traefik.{key}");
        assert_eq!(warnings(&[(&key, value)]), [key.as_str()], "{label}");
    }
    assert_eq!(warnings(&[("traefik.backend.healthcheck.path", "/h")]), [] as [&str; 0]);
}

#[test]
fn errors_name_label_and_remedy() {
    for (label, why) in [
        ("port=0", "expected a port from 1 to 65535, got \"0\""),
        ("port=http", "a port from 1 to 65535"),
        ("weight=much", "expected an integer"),
        ("protocol=ftp", "expected http, https or h2c"),
        ("frontend.priority=high", "expected an integer"),
        ("frontend.passHostHeader=yes", "expected true or false, got \"yes\""),
        ("frontend.rule=Paths:/a", "did you mean Path"),
        ("frontend.auth.basic.users=nobody", "expected USER:HASH"),
        ("frontend.auth.digest.users=a:b", "expected USER:REALM:HASH"),
        ("frontend.auth.forward.trustForwardHeader=true", "missing frontend.auth.forward.address"),
        ("frontend.whiteList.sourceRange=10.0.0.0/33", "got \"10.0.0.0/33\""),
        ("frontend.errors.a.query=/x", "missing frontend.errors.a.status"),
        ("frontend.headers.customRequestHeaders=a", "expected NAME:VALUE"),
        ("frontend.headers.customRequestHeaders=a.b:c", "invalid header name"),
        ("backend.loadbalancer.method=random", "expected wrr or drr"),
        ("backend.maxconn.amount=few", "expected an integer"),
        ("backend.responseForwarding.flushInterval=often", "expected a duration"),
        ("frontend.rulez=x", "did you mean traefik.frontend.rule"),
    ] {
        let (key, value) = label.split_once('=').unwrap();
        let key = format!("traefik.{key}");
        let message = error(&[(&key, value)]);
        assert!(message.starts_with(&format!("{key}: ")) && message.contains(why), "{label}: {message}");
        let result = read_config(
            "demo_ping",
            &labels(&[("traefik.frontend.rule", "Path:/"), (&key, value)]),
            &Exposure::default(),
        );
        assert!(result.unwrap_err().to_string().contains(&key));
    }
}

#[test]
fn labels_of_newer_versions_take_precedence() {
    let translation =
        translated(&[("traefik.port", "80"), RULE, ("traefik.http.routers.a.rule", "Path(`/a`)")]);
    assert_eq!(translation.labels, Labels::default());
    assert_eq!(translation.warnings[0].label, "traefik.frontend.rule, traefik.port");
    // Middlewares alone do not define a router.
    let beside = translated(&[RULE, ("traefik.http.middlewares.m.compress", "true")]);
    assert!(beside.labels.0.contains_key("traefik.http.routers.demo-ping.rule"));
}

#[test]
fn labels_of_a_disabled_service_are_not_translated() {
    let disabled = translated(&[("traefik.enable", "false"), ("traefik.port", "none"), RULE]);
    assert_eq!(disabled, Translation::default());
    assert_eq!(
        translated(&[("traefik.http.routers.a.rule", "x"), ("traefik.enable", "true")]),
        Translation::default()
    );
}

#[test]
fn names_do_not_collide_with_other_services() {
    let names = |service: &str, pairs: &[(&str, &str)]| {
        let translation = translate(service, &labels(pairs), None);
        let name = |key: &String| key.split('.').skip(2).take(2).collect::<Vec<_>>().join(".");
        translation.labels.0.keys().map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let rule = ("traefik.frontend.rule", "PathPrefixStrip:/a");
    let segmented = names("demo", &[("traefik.web.frontend.rule", "PathPrefixStrip:/a")]);
    for (service, pairs) in [("demo-web", rule), ("demo_web", rule), ("demo--web", rule), ("demo.web", rule)]
    {
        let others = names(service, &[pairs]);
        assert!(segmented.is_disjoint(&others), "{service}: {segmented:?} {others:?}");
    }
}
