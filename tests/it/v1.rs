//! Labels of Traefik 1 with real Traefik 3: requests behave as in Traefik 1.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::http::{self, Response};
use harness::{Binaries, Fleet, Instance, eventually};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// Path of the article's stack file.
pub(crate) fn article() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/article.yml")
}

/// Starts an echo with these labels, which follow `traefik.`. `PORT` stands for its port.
fn echo(fleet: &Fleet, service: &str, labels: &[&str]) -> Instance {
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, service, service).unwrap();
    let port = spec.address.port().to_string();
    let label = |label: &&str| {
        let (key, value) = label.split_once('=').unwrap();
        (format!("traefik.{key}"), value.replace("PORT", &port))
    };
    spec.labels = labels.iter().map(label).collect();
    fleet.launch(spec).unwrap()
}

fn get(fleet: &Fleet, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [&[("host", host)], headers].concat();
    http::request("GET", &format!("{}{path}", fleet.traefik.url()), &headers).unwrap()
}

/// Returns the path and the header `name` of the request that the service received.
fn received(answer: &Response, name: &str) -> (String, Option<String>) {
    let mut lines = answer.body.lines();
    let path = lines.find_map(|line| line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")).map(str::to_owned);
    let header = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    (path.unwrap_or_else(|| panic!("{answer:?}")), header.map(str::to_owned))
}

#[test]
fn labels_of_the_article_work_unchanged() {
    let fleet = Fleet::start().unwrap();
    let mut instances: Vec<_> = ["ping", "hello"]
        .into_iter()
        .map(|service| {
            let spec = fleet.spec_from_stack(&article(), service, service).unwrap();
            assert!(
                spec.labels.iter().all(|(key, _)| !key.starts_with("traefik.http.")),
                "{:?}",
                spec.labels
            );
            fleet.launch(spec).unwrap()
        })
        .collect();
    fleet.wait_routed(&mut instances).unwrap();
    let get = |path: &str| http::get_ok(&format!("{}{path}", fleet.traefik.url())).unwrap().body;
    assert_eq!(get("/ping"), "Pong from ping\n");
    assert_eq!(get("/hello/viktor"), "Hello, Viktor! (from hello)\n");
    assert_eq!(http::get(&format!("{}/hello", fleet.traefik.url())).unwrap().status, 404);
}

#[test]
fn paths_change_as_in_traefik_1() {
    let fleet = Fleet::start().unwrap();
    let cases = [
        ("strip", "PathPrefixStrip: /ping", "/ping/a?b=c", "/a?b=c", "X-Forwarded-Prefix", Some("/ping")),
        ("whole", "PathStrip: /x/y", "/x/y", "/", "X-Forwarded-Prefix", Some("/x/y")),
        ("nested", "PathPrefixStrip: /a, /a/b", "/a/b/c", "/c", "X-Forwarded-Prefix", Some("/a/b")),
        (
            "regex",
            r"PathPrefixStripRegex: /u/{id:[0-9]+}",
            "/u/42/x",
            "/x",
            "X-Forwarded-Prefix",
            Some("/u/42"),
        ),
        ("add", "PathPrefix:/;AddPrefix: /v1", "/x", "/v1/x", "X-Forwarded-Prefix", None),
        ("replace", "Path:/old;ReplacePath: /new", "/old", "/new", "X-Replaced-Path", Some("/old")),
        (
            "expression",
            "ReplacePathRegex: ^/v2/(.*) /api/$1",
            "/v2/x",
            "/api/x",
            "X-Replaced-Path",
            Some("/v2/x"),
        ),
        ("both", "PathPrefixStrip:/a;AddPrefix:/b", "/a/c", "/b/c", "X-Forwarded-Prefix", Some("/a")),
    ];
    let mut echoes: Vec<_> = cases
        .iter()
        .map(|(name, rule, ..)| {
            let rule = format!("frontend.rule=Host:{name}.lan;{rule}");
            echo(&fleet, name, &["port=PORT", &rule])
        })
        .collect();
    fleet.wait_routed(&mut echoes).unwrap();
    for (name, rule, requested, path, header, value) in cases {
        let answer = get(&fleet, &format!("{name}.lan"), requested, &[]);
        assert_eq!(answer.served_by(), Some(name), "{rule}: {answer:?}");
        assert_eq!(received(&answer, header), (path.to_owned(), value.map(str::to_owned)), "{rule}");
    }
    for (name, path) in [("whole", "/x/y/z"), ("regex", "/u/a"), ("replace", "/older"), ("strip", "/pin")] {
        assert_eq!(get(&fleet, &format!("{name}.lan"), path, &[]).status, 404, "{name} {path}");
    }
}

#[test]
fn slash_at_the_end_of_a_path_is_redirected_as_in_traefik_1() {
    let fleet = Fleet::start().unwrap();
    let mut echoes = [
        echo(
            &fleet,
            "without",
            &["port=PORT", "frontend.rule=Host:s.lan;Path:/a.b,/n/{id:[0-9]+};ReplacePath:/new"],
        ),
        echo(
            &fleet,
            "with",
            &["port=PORT", "frontend.rule=Host:s.lan;PathStrip:/b/", "frontend.auth.basic=a:b"],
        ),
    ];
    fleet.wait_routed(&mut echoes).unwrap();
    let location = |path: &str| {
        let answer = get(&fleet, "s.lan", path, &[]);
        (answer.status, answer.header("location").map(str::to_owned))
    };
    for (requested, path) in
        [("/a.b/?c=/d/", "/a.b?c=/d/"), ("/n/1/", "/n/1"), ("/b", "/b/"), ("/b?c", "/b/?c")]
    {
        assert_eq!(location(requested), (301, Some(format!("http://s.lan{path}"))), "{requested}");
    }
    for (path, status) in [("/a.b", 200), ("/n/1?a", 200), ("/b/", 401), ("/acb/", 404)] {
        assert_eq!(location(path), (status, None), "{path}");
    }
}

#[test]
fn requests_match_as_in_traefik_1() {
    let fleet = Fleet::start().unwrap();
    let mut echoes = [
        echo(&fleet, "wild", &["port=PORT", "frontend.rule=HostRegexp: {sub:[a-z]+}.wild.lan"]),
        echo(&fleet, "header", &["port=PORT", "frontend.rule=Host:m.lan;Headers: X-A, b"]),
        echo(&fleet, "query", &["port=PORT", "frontend.rule=Host:m.lan;Query: a=b, n={n:[0-9]+}"]),
        // The longest old rule has the highest priority, although its translation is shorter than others.
        echo(&fleet, "long", &["port=PORT", "frontend.rule=PathPrefixStrip:     /long"]),
        echo(&fleet, "short", &["port=PORT", "frontend.rule=Path:/long/a,/b"]),
    ];
    fleet.wait_routed(&mut echoes).unwrap();
    let by = |host, path, headers: &[(&str, &str)]| {
        get(&fleet, host, path, headers).served_by().map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(by("A.wild.lan", "/", &[]), "wild");
    assert_eq!(by("a1.wild.lan", "/", &[]), "");
    assert_eq!(by("m.lan", "/", &[("x-a", "b")]), "header");
    assert_eq!(by("m.lan", "/", &[("x-a", "c")]), "");
    assert_eq!(by("m.lan", "/?a=b&n=7", &[]), "query");
    assert_eq!(by("m.lan", "/?a=b&n=x", &[]), "");
    assert_eq!(by("any.lan", "/b", &[]), "short");
    assert_eq!(by("any.lan", "/long/a", &[]), "long");
}

#[test]
fn middlewares_work_as_in_traefik_1() {
    let fleet = Fleet::start().unwrap();
    let with = |name: &'static str, labels: &[&str]| {
        let rule = format!("frontend.rule=Host:{name}.lan");
        echo(&fleet, name, &[&["port=PORT", &rule], labels].concat())
    };
    let mut echoes = [
        // The password is `test`.
        with(
            "basic",
            &[
                "frontend.auth.basic.users=test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/",
                "frontend.auth.headerField=X-User",
            ],
        ),
        with("inside", &["frontend.whiteList.sourceRange=127.0.0.0/8"]),
        with("outside", &["frontend.whiteList.sourceRange=192.0.2.1, 198.51.100.0/24"]),
        with(
            "moved",
            &[
                "frontend.redirect.regex=^http://moved.lan(:[0-9]+)?/(.*)",
                "frontend.redirect.replacement=http://new.lan/$2",
                "frontend.redirect.permanent=true",
            ],
        ),
        with("safe", &["frontend.redirect.entryPoint=https"]),
        with("ssl", &["frontend.headers.SSLRedirect=true", "frontend.headers.SSLHost=ssl.example"]),
        with(
            "headers",
            &[
                "frontend.headers.customRequestHeaders=X-Asked:yes||X-Gone:",
                "frontend.headers.customResponseHeaders=X-Answered:a b",
                "frontend.headers.frameDeny=true",
            ],
        ),
        with(
            "sticky",
            &["backend.loadbalancer.stickiness=true", "backend.loadbalancer.stickiness.cookieName=crumb"],
        ),
        with(
            "few",
            &[
                "frontend.rateLimit.extractorFunc=client.ip",
                "frontend.rateLimit.rateSet.a.period=1h",
                "frontend.rateLimit.rateSet.a.average=1",
                "frontend.rateLimit.rateSet.a.burst=2",
            ],
        ),
        with(
            "broken",
            &[
                "frontend.errors.all.status=404",
                "frontend.errors.all.backend=headers",
                "frontend.errors.all.query=/status/200?was={status}",
            ],
        ),
    ];
    fleet.wait_routed(&mut echoes).unwrap();
    let request =
        |name: &str, path: &str, headers: &[(&str, &str)]| get(&fleet, &format!("{name}.lan"), path, headers);

    assert_eq!(request("basic", "/", &[]).status, 401);
    let known = request("basic", "/", &[("authorization", "Basic dGVzdDp0ZXN0")]);
    assert_eq!(received(&known, "X-User").1.as_deref(), Some("test"));
    assert_eq!((request("inside", "/", &[]).status, request("outside", "/", &[]).status), (200, 403));
    for (name, path, status, location) in [
        ("moved", "/a", 301, "http://new.lan/a"),
        ("safe", "/a?b", 302, "https://safe.lan/a?b"),
        ("ssl", "/a", 301, "https://ssl.example/a"),
    ] {
        let answer = request(name, path, &[]);
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        let to = answer
            .header("location")
            .unwrap()
            .replace(&format!(":{}", fleet.traefik.options().entry.port()), "");
        assert_eq!(to, location);
    }
    let headers = request("headers", "/", &[("x-gone", "here")]);
    assert_eq!(received(&headers, "X-Asked").1.as_deref(), Some("yes"));
    assert_eq!(received(&headers, "X-Gone").1, None);
    assert_eq!(
        (headers.header("x-answered"), headers.header("x-frame-options")),
        (Some("a b"), Some("DENY"))
    );
    assert!(request("sticky", "/", &[]).header("set-cookie").unwrap().starts_with("crumb="));
    let statuses: Vec<_> = (0..4).map(|_| request("few", "/", &[]).status).collect();
    assert!(statuses[0] == 200 && statuses.contains(&429), "{statuses:?}");
    let page = request("broken", "/status/404", &[]);
    assert_eq!((page.status, page.served_by()), (404, Some("headers")), "{page:?}");
}

#[test]
fn segments_route_to_several_ports_of_one_task() {
    let fleet = Fleet::start().unwrap();
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, "two", "two").unwrap();
    let (port, admin) = (spec.address.port(), spec.admin.port());
    let labels = [
        ("traefik.web.port", port.to_string()),
        ("traefik.web.frontend.rule", "Host:two.lan;PathPrefix:/".to_owned()),
        ("traefik.admin.port", admin.to_string()),
        ("traefik.admin.frontend.rule", "Host:two.lan;PathPrefixStrip:/admin".to_owned()),
        ("traefik.frontend.headers.customResponseHeaders", "X-All:yes".to_owned()),
    ];
    spec.labels = labels.map(|(key, value)| (key.to_owned(), value)).into();
    let mut two = [fleet.launch(spec).unwrap()];
    fleet.wait_routed(&mut two).unwrap();
    let web = get(&fleet, "two.lan", "/x", &[]);
    assert_eq!((web.served_by(), web.header("x-all")), (Some("two"), Some("yes")));
    let admin = get(&fleet, "two.lan", "/admin/readyz", &[]);
    assert_eq!((admin.status, admin.header("x-all")), (200, Some("yes")));
    assert_eq!(get(&fleet, "two.lan", "/readyz", &[]).served_by(), Some("two"));
}

#[test]
fn warning_is_logged_once_and_error_is_shown_by_the_hub() {
    let mut fleet = Fleet::start().unwrap();
    let mut good: Vec<_> = ["a", "b"]
        .map(|host| {
            let mut one = echo(&fleet, "tagged", &["port=PORT", "frontend.rule=Path:/t", "tags=x"]);
            one.stop().unwrap();
            let mut spec = one.spec().clone();
            spec.host = host.to_owned();
            fleet.launch(spec).unwrap()
        })
        .into();
    fleet.wait_routed(&mut good[..1]).unwrap();
    let _bad = echo(&fleet, "bad", &["port=PORT", "frontend.rul=Path:/b"]);
    let refused = |listed: Vec<Value>| -> Result<String> {
        let found = listed.into_iter().find(|entry| entry["service"] == "bad").unwrap_or_default();
        ensure!(found["routing"]["state"] == "refused", "{found}");
        Ok(found["routing"]["reason"].to_string())
    };
    let reason = eventually(SOON, || refused(fleet.hub.instances()?)).unwrap();
    assert!(
        reason.contains("traefik.frontend.rul: ") && reason.contains("did you mean traefik.frontend.rule"),
        "{reason}"
    );
    let log = fleet.hub.process().log().lines();
    let lines = log.iter().filter(|line| line.contains("traefik.tags: no successor")).collect::<Vec<_>>();
    assert!(lines.len() == 1 && lines[0].contains("tagged"), "{lines:?}");
}
