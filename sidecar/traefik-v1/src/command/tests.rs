use proptest::prelude::*;
use traefik::Exposure;

use super::report::Report;
use super::sharing::{Naming, translate};
use super::{as_document, diff, edit};

/// Returns the new text and the lines for stderr.
fn rewrite(text: &str) -> (String, String) {
    let naming = Naming { stack: None, service: "service" };
    let mut report = Report::default();
    let edits = translate(text, &naming, &Exposure::default(), &mut report)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    (edit::apply(text, 0, &edits), report.lines("f"))
}

/// Returns all errors and warnings of a file.
fn faults(text: &str) -> String {
    let naming = Naming { stack: None, service: "service" };
    let mut report = Report::default();
    let result = translate(text, &naming, &Exposure::default(), &mut report);
    report.lines("f") + &result.err().unwrap_or_default()
}

/// Asserts the new text, and that it is read without further changes.
fn check(old: &str, new: &str) {
    let (written, report) = rewrite(old);
    assert_eq!(written, new, "{report}");
    assert_eq!(rewrite(&written).0, written, "idempotent");
}

#[test]
fn form_comments_order_and_quotes_stay() {
    check(
        "\
# head
services:
  web:
    image: web   # trailing
    # above
    labels:
      - com.example=1
      - \"traefik.port=80\"  # port
      # between
      - 'traefik.frontend.rule=PathPrefixStrip:/a'
      - traefik.tags=x # gone
      - \"traefik.enable=true\"
    deploy: {replicas: 2}
",
        "\
# head
services:
  web:
    image: web   # trailing
    # above
    labels:
      - com.example=1
      - \"traefik.http.services.web.loadbalancer.server.port=80\"  # port
      # between
      - 'traefik.http.middlewares.web--stripprefix.stripprefix.prefixes=/a'
      - 'traefik.http.routers.web.middlewares=web--stripprefix'
      - 'traefik.http.routers.web.priority=18'
      - 'traefik.http.routers.web.rule=PathPrefix(`/a`)'
      - 'traefik.http.routers.web.service=web'
      # gone
      - \"traefik.enable=true\"
    deploy: {replicas: 2}
",
    );
}

#[test]
fn maps_lists_in_brackets_and_json_stay_what_they_are() {
    check(
        "services: {a: {labels: {traefik.port: 80, 'traefik.frontend.rule': 'PathPrefix:/a', b: c}}}",
        "services: {a: {labels: {traefik.http.services.a.loadbalancer.server.port: 80, \
         'traefik.http.routers.a.priority': '13', 'traefik.http.routers.a.rule': 'PathPrefix(`/a`)', \
         'traefik.http.routers.a.service': 'a', b: c}}}",
    );
    check(
        "services:\n  a:\n    deploy:\n      labels: [ \"traefik.tags=x\", \"traefik.frontend.rule=PathPrefix:/\",\n        \
         \"traefik.portIndex=1\" ]\n",
        "services:\n  a:\n    deploy:\n      labels: [ \"traefik.http.routers.a.priority=12\",\n        \
         \"traefik.http.routers.a.rule=PathPrefix(`/`)\",\n        \"traefik.http.routers.a.service=a\",\n        \
         \"traefik.http.services.a.loadbalancer.server.scheme=http\" ]\n",
    );
    check(
        "{\"traefik.http.routers.a.rule\":\"Host(`a`,`b`)\",\"x\":\"$1\"}",
        "{\"traefik.http.routers.a.rule\":\"Host(`a`) || Host(`b`)\",\"traefik.http.routers.a.priority\": \"13\",\"x\":\"$1\"}",
    );
}

#[test]
fn comments_in_brackets_stay() {
    for (old, new) in [
        (
            "[ \"com.example=1\", # important\n  \"traefik.tags=x\", # tags\n  \"traefik.frontend.rule=Path:/\" # why\n]",
            "[ \"com.example=1\", # important\n   # tags\n  \"traefik.http.routers.a.priority=6\", \
             \"traefik.http.routers.a.rule=Path(`/`)\", \"traefik.http.routers.a.service=a\", \
             \"traefik.http.services.a.loadbalancer.server.scheme=http\" # why\n]",
        ),
        (
            "[traefik.frontend.rule=Path:/, # important\n  traefik.tags=x, traefik.portIndex=1 # why\n]",
            "[traefik.http.routers.a.priority=6, traefik.http.routers.a.rule=Path(`/`), traefik.http.routers.a.service=a, \
             traefik.http.services.a.loadbalancer.server.scheme=http, # important\n   # why\n]",
        ),
        (
            "[traefik.frontend.rule=Path:/, traefik.tags=x # why\n  , traefik.portIndex=1]",
            "[traefik.frontend.rule=Path:/, traefik.tags=x # why\n  , traefik.portIndex=1]",
        ),
    ] {
        let file = |labels: &str| format!("services: {{a: {{labels: {labels}}}}}\n");
        let (written, report) = rewrite(&file(old));
        assert_eq!(written, file(new), "{report}");
        assert_eq!(
            report.contains("error: a comment stands between a label to remove and its comma"),
            old == new
        );
    }
    let shared = "x: &x {traefik.port: 80,}\nservices: {a: {labels: {<<: *x, traefik.frontend.rule: 'Path:/'}}, \
                  b: {labels: {<<: *x, traefik.frontend.rule: 'Path:/b'}}}\n";
    assert!(rewrite(shared).0.starts_with("x: &x {}\n"));
}

#[test]
fn json_with_numbers_stays_json() {
    let old = r#"{"traefik.frontend.rule":"Path:/","traefik.port":80,"traefik.backend.healthcheck.path":"/","traefik.backend.healthcheck.interval":10}"#;
    let (new, report) = rewrite(old);
    let new: serde_json::Value =
        serde_json::from_str(&new).unwrap_or_else(|error| panic!("{error}: {new} {report}"));
    assert_eq!(new["traefik.http.services.service.loadbalancer.healthcheck.interval"], "10s");
    assert_eq!(new["traefik.http.services.service.loadbalancer.server.port"], 80);
}

#[test]
fn bare_labels_of_all_documents_are_translated() {
    check(
        "\u{feff}traefik.http.routers.a.rule: HostHeader(`a`)\n---\n- traefik.http.middlewares.m.ipwhitelist.sourcerange=10.0.0.1\n---\n",
        "\u{feff}traefik.http.routers.a.rule: Host(`a`)\ntraefik.http.routers.a.priority: '15'\n---\n\
         - traefik.http.middlewares.m.ipallowlist.sourcerange=10.0.0.1\n---\n",
    );
}

#[test]
fn several_files_are_several_documents() {
    let files = ["image: web", "", "a\n", "b"];
    let files =
        files.iter().enumerate().map(|(number, text)| as_document((*text).to_owned(), number, files.len()));
    assert_eq!(files.collect::<String>(), "image: web\n---\n---\na\n---\nb");
}

#[test]
fn lines_stay_lines() {
    check(
        "# c\r\ntraefik.port=80\r\ntraefik.http.routers.a.tls.domains[0].main=a.lan\r\n",
        "# c\r\ntraefik.port=80\r\ntraefik.http.routers.a.tls.domains[0].main=a.lan\r\n",
    );
    check(
        "traefik.frontend.rule=PathPrefix:/a$",
        "traefik.http.routers.service.priority=14\ntraefik.http.routers.service.rule=PathPrefix(`/a$`)\n\
         traefik.http.routers.service.service=service\ntraefik.http.services.service.loadbalancer.server.scheme=http",
    );
}

#[test]
fn byte_order_mark_line_ends_and_documents_stay() {
    check(
        "\u{feff}services:\r\n  a:\r\n    labels:\r\n      - traefik.http.middlewares.é.ipwhitelist.sourcerange=10.0.0.1\r\n      \
         - traefik.http.routers.a.rule=Host(`a`,`b`)\r\n---\r\nservices:\r\n  b:\r\n    labels:\r\n      \
         - traefik.http.routers.b.rule=HostHeader(`b`)",
        "\u{feff}services:\r\n  a:\r\n    labels:\r\n      - traefik.http.middlewares.é.ipallowlist.sourcerange=10.0.0.1\r\n      \
         - traefik.http.routers.a.rule=Host(`a`) || Host(`b`)\r\n      - traefik.http.routers.a.priority=13\r\n---\r\n\
         services:\r\n  b:\r\n    labels:\r\n      - traefik.http.routers.b.rule=Host(`b`)\r\n      \
         - traefik.http.routers.b.priority=15",
    );
}

#[test]
fn variables_stay_in_keys_and_values_of_any_type() {
    let (new, report) = rewrite(
        "\
services:
  old:
    labels:
      - traefik.port=${PORT:-8080}
      - traefik.frontend.rule=PathPrefix:${PREFIX:-/old};Host:$HOST
      - traefik.frontend.auth.basic.users=${USERS},a:$$apr1$$x
      - traefik.frontend.whiteList.sourceRange=${LAN:-192.168.0.0/16}
      - traefik.frontend.priority=${PRIORITY}
      - traefik.frontend.headers.STSSeconds=${SECONDS:-1}
      - traefik.frontend.headers.frameDeny=${DENY}
      - traefik.backend=${PROJECT}_web
      - traefik.backend.loadbalancer.stickiness.secure=$X
      - traefik.backend.healthcheck.interval=${I}
      - traefik.backend.healthcheck.path=/
      - traefik.weight=${W}
  new:
    labels:
      - traefik.http.routers.${STACK:-a=b}-web.rule=Host(`${DOMAIN?set DOMAIN}`,`b`)
      - traefik.http.services.${STACK:-a=b}-web.loadbalancer.server.port=${PORT:-8080}
      - traefik.http.middlewares.${X}.headers.stsseconds=${S}
      - traefik.enable=${ENABLE:-true}
",
    );
    for line in [
        "traefik.http.services.${PROJECT}-web.loadbalancer.server.port=${PORT:-8080}",
        "traefik.http.routers.old.rule=PathPrefix(`${PREFIX:-/old}`) && Host(`$HOST`)",
        "traefik.http.routers.old.priority=${PRIORITY}",
        "traefik.http.middlewares.old--basicauth.basicauth.users=${USERS},a:$$apr1$$x",
        "traefik.http.middlewares.old--ipallowlist.ipallowlist.sourcerange=${LAN:-192.168.0.0/16}",
        "traefik.http.middlewares.old--headers.headers.stsseconds=${SECONDS:-1}",
        "traefik.http.middlewares.old--headers.headers.framedeny=${DENY}",
        "traefik.http.services.${PROJECT}-web.loadbalancer.healthcheck.interval=${I}",
        "traefik.http.services.${PROJECT}-web.loadbalancer.server.weight=${W}",
        "traefik.http.routers.${STACK:-a=b}-web.rule=Host(`${DOMAIN?set DOMAIN}`) || Host(`b`)",
        "traefik.http.services.${STACK:-a=b}-web.loadbalancer.server.port=${PORT:-8080}",
        "traefik.enable=${ENABLE:-true}",
    ] {
        assert!(new.contains(&format!("      - {line}\n")), "{line}\n{new}\n{report}");
    }
    assert!(!report.contains("error"), "{report}");
    assert!(
        report.contains("no priority, because a variable leaves the length of the rule open"),
        "{report}"
    );
}

#[test]
fn fault_harms_only_its_service() {
    let file = "\
services:
  list-of-maps:
    labels:
      - traefik.port: 80
  anchored:
    labels: {traefik.port: &port 80, traefik.tags: &tags x, traefik.frontend.rule: 'PathPrefix:/x'}
  key:
    labels:
      traefik.backend: ${B}
      traefik.frontend.rule: PathPrefix:/k
  decided:
    labels: ['traefik.frontend.rule=PathPrefix:/d', 'traefik.frontend.headers.SSLRedirect=${SSL}']
  reset:
    labels: !reset []
  extended: {extends: {service: key}, labels: {traefik.tags: x}}
  number: {labels: 5}
  good:
    labels:
    - traefik.frontend.rule=PathPrefix:/g
";
    let (new, report) = rewrite(file);
    let (before, _) = file.split_once("    - traefik.frontend").unwrap();
    let good = "    - traefik.http.routers.good.priority=13\n    - traefik.http.routers.good.rule=PathPrefix(`/g`)\n    \
                - traefik.http.routers.good.service=good\n    \
                - traefik.http.services.good.loadbalancer.server.scheme=http\n";
    assert_eq!(new, format!("{before}{good}"), "{report}");
    for line in [
        "f: services.list-of-maps.labels: error: expected KEY=VALUE, got a map or a list; with `KEY: VALUE`, remove the dash",
        "f: services.anchored.labels: error: a label to change has an anchor",
        "f: services.key.labels: error: traefik.http.services.${B}.loadbalancer.server.scheme: Compose does not replace",
        "f: services.decided.labels: error: traefik.frontend.headers.SSLRedirect: expected true or false; a variable",
        "f: services.reset.labels: warning: Compose combines these labels with those of other files as !reset says",
        "f: services.extended.labels: warning: Compose adds the labels of the service that `extends` names",
        "f: services.number.labels: error: expected a map or a list of labels",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn shared_labels_change_where_they_stand_if_all_services_agree() {
    check(
        "\
x-a: &a
  traefik.http.middlewares.w.ipwhitelist.sourcerange: 10.0.0.0/8 # all
x-b: &b [traefik.http.routers.x.rule=HostHeader(`x`)]
services:
  a:
    labels:
      <<: *a
      traefik.enable: true
  b: {labels: *b}
  c: {labels: *b}
  d: {labels: {<<: [*a]}}
",
        "\
x-a: &a
  traefik.http.middlewares.w.ipallowlist.sourcerange: 10.0.0.0/8 # all
x-b: &b [traefik.http.routers.x.rule=Host(`x`), traefik.http.routers.x.priority=15]
services:
  a:
    labels:
      <<: *a
      traefik.enable: true
  b: {labels: *b}
  c: {labels: *b}
  d: {labels: {<<: [*a]}}
",
    );
}

#[test]
fn shared_labels_move_to_services_that_need_different_ones() {
    check(
        "\
x-a: &a
  traefik.port: 80
services:
  a:
    labels:
      traefik.frontend.rule: PathPrefix:/a
      <<: *a
  b:
    labels:
      <<: *a
      'traefik.frontend.rule': 'PathPrefix:/b'
",
        "\
x-a: &a
  {}
services:
  a:
    labels:
      traefik.http.routers.a.priority: '13'
      traefik.http.routers.a.rule: PathPrefix(`/a`)
      traefik.http.routers.a.service: a
      <<: *a
      traefik.http.services.a.loadbalancer.server.port: '80'
  b:
    labels:
      <<: *a
      'traefik.http.routers.b.priority': '13'
      'traefik.http.routers.b.rule': 'PathPrefix(`/b`)'
      'traefik.http.routers.b.service': 'b'
      'traefik.http.services.b.loadbalancer.server.port': '80'
",
    );
    let shared =
        "x: &x [traefik.frontend.rule=PathPrefix:/a]\nservices: {a: {labels: *x}, b: {labels: *x}}\n";
    let (new, report) = rewrite(shared);
    assert_eq!(new, shared);
    assert!(
        report.contains("error: other services have these labels through an anchor or a merge"),
        "{report}"
    );
    // A cycle of anchors ends.
    rewrite("services: &s {a: &a {<<: *a, labels: {<<: *s}}}");
}

#[test]
fn labels_with_an_anchor_that_others_use_stay_and_harm_only_their_services() {
    const OLD: &str = "traefik.port: 80, traefik.frontend.rule: 'PathPrefix:/w'";
    const NEW: &str = "traefik.http.services.api.loadbalancer.server.port: '80', traefik.http.routers.api.priority: '13', \
                       traefik.http.routers.api.rule: PathPrefix(`/w`), traefik.http.routers.api.service: api";
    for services in [
        "web: {labels: &l {OLD}}, api: {labels: *l}",
        "web: {labels: &l {OLD}}, api: {labels: {<<: *lNEW}}",
        "web: {deploy: &d {labels: {OLD}}}, api: {deploy: *d}",
        "web: &web {labels: {OLD}}, worker: {<<: *web}",
        "web: {labels: &l {OLD}}, api: {labels: {<<: *l, traefik.port: 81}}",
        "web: {labels: &l {OLD}}, api: {labels: {<<: *l, com.example: [not a string]}}",
    ] {
        let file = |new: &str, good: &str| {
            let services = services.replace("OLD", OLD).replace("NEW", new);
            format!("services: {{{services}, good: {{labels: {{{good}: 10.0.0.1}}}}}}\n")
        };
        let middleware = "traefik.http.middlewares.m.ip";
        let (new, report) = rewrite(&file("", &format!("{middleware}whitelist.sourcerange")));
        let expected = file(&format!(", {NEW}"), &format!("{middleware}allowlist.sourcerange"));
        assert_eq!(new, expected, "{report}");
        assert!(
            report.contains("services.web.") && report.contains("error: other services have"),
            "{report}"
        );
        assert!(!report.contains("services.good"), "{report}");
    }
}

#[test]
fn defaults_that_a_service_overrides_do_not_reach_it() {
    check(
        "\
x-c: &c
  traefik.port: 80
x-r: &r {traefik.http.routers.r.rule: 'Host(`a`,`b`)', com.example: 1}
services:
  web:
    labels:
      <<: *c
      traefik.frontend.rule: PathPrefix:/w
  api:
    labels:
      <<: *c
      traefik.frontend.rule: PathPrefix:/a
      traefik.port: 81
  new: {labels: {<<: *r}}
  other: {labels: {<<: *r, traefik.http.routers.r.rule: Host(`c`), com.example: 2}}
",
        "\
x-c: &c
  {}
x-r: &r {traefik.http.routers.r.rule: 'Host(`a`,`b`)', com.example: 1}
services:
  web:
    labels:
      <<: *c
      traefik.http.routers.web.priority: '13'
      traefik.http.routers.web.rule: PathPrefix(`/w`)
      traefik.http.routers.web.service: web
      traefik.http.services.web.loadbalancer.server.port: '80'
  api:
    labels:
      <<: *c
      traefik.http.routers.api.priority: '13'
      traefik.http.routers.api.rule: PathPrefix(`/a`)
      traefik.http.routers.api.service: api
      traefik.http.services.api.loadbalancer.server.port: 81
  new: {labels: {<<: *r, traefik.http.routers.r.rule: Host(`a`) || Host(`b`), traefik.http.routers.r.priority: '13'}}
  other: {labels: {<<: *r, traefik.http.routers.r.rule: Host(`c`), com.example: 2}}
",
    );
    // The default stays for a service with an error, and must not reach the one that overrides it.
    let (new, report) = rewrite(
        "x: &c {traefik.port: 80}\nservices:\n  web: {labels: {<<: *c, traefik.frontend.rule: 'Foo:/w'}}\n  \
         api: {labels: {<<: *c, traefik.port: 81, traefik.frontend.rule: 'PathPrefix:/a'}}\n",
    );
    assert!(new.contains("{<<: *c, traefik.port: 81, traefik.frontend.rule: 'PathPrefix:/a'}"), "{new}");
    assert!(report.contains("services.api.labels: error: other services have these labels"), "{report}");
}

#[test]
fn values_of_several_lines_are_replaced_completely() {
    check(
        "\
services:
  a:
    labels:
      traefik.frontend.rule: >- # folded
        PathPrefix:/a;
        Method:GET
      traefik.frontend.auth.basic.users: |
        a:b
      x:
      y: \"a
        b\"
  b:
    labels:
      - >- # a > b
        traefik.http.routers.b.rule=Host(`a`,
        `b`)
      - traefik.enable=true
",
        "\
services:
  a:
    labels:
      traefik.http.routers.a.middlewares: a--basicauth
      traefik.http.routers.a.priority: '25'
      traefik.http.routers.a.rule: PathPrefix(`/a`) && Method(`GET`)
      traefik.http.routers.a.service: a
      traefik.http.services.a.loadbalancer.server.scheme: http
      traefik.http.middlewares.a--basicauth.basicauth.users: a:b
      x:
      y: \"a
        b\"
  b:
    labels:
      - traefik.http.routers.b.rule=Host(`a`) || Host(`b`)
      - traefik.http.routers.b.priority=14
      - traefik.enable=true
",
    );
}

#[test]
fn services_that_share_a_backend_have_equal_options_or_a_warning() {
    let file = |options: &str| {
        format!(
            "services:\n  a: {{labels: {{traefik.backend: x, traefik.port: 80, traefik.frontend.rule: 'PathPrefix:/a'}}}}\n  \
             b: {{labels: {{traefik.backend: x, traefik.frontend.rule: 'PathPrefix:/b'{options}}}}}\n"
        )
    };
    let (new, report) = rewrite(&file(""));
    assert!(new.matches("traefik.http.services.x.").count() == 2 && report.is_empty(), "{new}\n{report}");
    let (_, report) = rewrite(&file(", traefik.backend.healthcheck.path: /"));
    assert!(
        report.contains("services.b.labels: warning: traefik.http.services.x: a defines the service x, too"),
        "{report}"
    );
}

#[test]
fn options_of_traefik_2_are_translated() {
    const M: &str = "traefik.http.middlewares.m";
    for (old, new) in [
        (
            vec!["headers.sslRedirect=true"],
            vec![".redirectscheme.scheme=https", ".redirectscheme.permanent=true"],
        ),
        (
            vec!["headers.SSLHost=a.lan", "headers.sslredirect=true", "headers.ssltemporaryredirect=true"],
            vec![".redirectregex.regex=^http://[^/]+(.*)$", ".redirectregex.replacement=https://a.lan${1}"],
        ),
        (vec!["headers.framedeny=true", "headers.sslredirect=false"], vec![".headers.framedeny=true"]),
        (
            vec!["headers.featurePolicy=vibrate 'none'"],
            vec![".headers.customresponseheaders.Feature-Policy=vibrate 'none'"],
        ),
        (vec!["stripprefix.prefixes=/a", "stripprefix.forceslash=true"], vec![".stripprefix.prefixes=/a"]),
        (vec!["ipWhiteList.sourceRange=10.0.0.1"], vec![".ipallowlist.sourceRange=10.0.0.1"]),
        (
            vec!["headers.framedeny=true", "headers.isdevelopment=true", "headers.sslredirect=true"],
            vec![".headers.framedeny=true", ".headers.isdevelopment=true"],
        ),
        (
            vec!["headers.framedeny=true", "headers.sslredirect=true"],
            vec![
                "-headers.headers.framedeny=true",
                ".chain.middlewares=m-https,m-headers",
                "-https.redirectscheme.scheme=https",
                "-https.redirectscheme.permanent=true",
            ],
        ),
    ] {
        let old = old.iter().map(|line| format!("{M}.{line}\n")).collect::<Vec<_>>().concat();
        let new = new.iter().map(|line| format!("{M}{line}\n")).collect::<Vec<_>>().concat();
        assert_eq!(rewrite(&old), (new, String::new()));
    }
    let (new, report) =
        rewrite(&format!("{M}.forwardauth.address=http://a\n{M}.forwardauth.tls.caOptional=true\n"));
    assert_eq!(new, format!("{M}.forwardauth.address=http://a\n"));
    assert!(
        report.contains("warning: traefik.http.middlewares.m.forwardauth.tls.caOptional: removed"),
        "{report}"
    );
}

#[test]
fn rules_of_traefik_2_are_translated_and_those_of_traefik_3_stay() {
    for (old, new) in [
        ("Host(`a`, `b`)", "Host(`a`) || Host(`b`)"),
        ("!Host(`a`, `b`) && Path(`/`)", "!(Host(`a`) || Host(`b`)) && Path(`/`)"),
        ("hostheader(`a`)", "Host(`a`)"),
        ("HostRegexp(`{sub:[a-z]{2}}.a.lan`)", r"HostRegexp(`(?i)^[a-z]{2}\.a\.lan$`)"),
        (
            "Path(`/a/{id:[0-9]+}`) || PathPrefix(`/{n}`)",
            "PathRegexp(`^/a/[0-9]+$`) || PathRegexp(`^/[^/]+`)",
        ),
        ("Headers(`K`, `v`) && HeadersRegexp(`K`, `v`)", "Header(`K`, `v`) && HeaderRegexp(`K`, `v`)"),
        (
            "Query(`a=b`, `c={d:[0-9]+}`) || Method(`GET`, `PUT`)",
            "(Query(`a`, `b`) && QueryRegexp(`c`, `^[0-9]+$`)) || (Method(`GET`) || Method(`PUT`))",
        ),
        (
            r"HostRegexp(`^[a-z]{2,3}\.lan$`) && PathRegexp(`^/\p{Greek}`)",
            r"HostRegexp(`^[a-z]{2,3}\.lan$`) && PathRegexp(`^/\p{Greek}`)",
        ),
        (
            "Query(`a`, `b`) && Header(`K`, `v`) && HostRegexp(`a.lan`)",
            "Query(`a`, `b`) && Header(`K`, `v`) && HostRegexp(`a.lan`)",
        ),
    ] {
        let (written, report) = rewrite(&format!("traefik.http.routers.r.rule={old}\n"));
        let priority = format!("traefik.http.routers.r.priority={}\n", old.len());
        let priority = if old.len() == new.len() { "" } else { &priority };
        assert_eq!(written, format!("traefik.http.routers.r.rule={new}\n{priority}"), "{report}");
        assert!(!report.contains("error"), "{report}");
    }
    let (written, _) = rewrite(
        "traefik.http.routers.r.rule=HostRegexp(`a.lan`)\ntraefik.http.routers.r.ruleSyntax=v2\n\
                                traefik.http.routers.r.priority=1\n",
    );
    assert_eq!(
        written,
        "traefik.http.routers.r.rule=HostRegexp(`(?i)^a\\.lan$`)\ntraefik.http.routers.r.priority=1\n"
    );
}

#[test]
fn new_labels_do_not_repeat_those_that_stay() {
    for (old, new, warning) in [
        ("traefik.docker.network: a, traefik.swarm.network: a", "traefik.swarm.network: a", ""),
        (
            "traefik.docker.network: a, traefik.Swarm.network: b",
            "traefik.Swarm.network: b",
            "traefik.docker.network",
        ),
        (
            "traefik.http.middlewares.m.ipwhitelist.sourcerange: 10.0.0.1, traefik.http.middlewares.m.ipAllowList.sourceRange: 10.0.0.2",
            "traefik.http.middlewares.m.ipAllowList.sourceRange: 10.0.0.2",
            "traefik.http.middlewares.m.ipwhitelist.sourcerange",
        ),
        ("Traefik.docker.network: a, traefik.docker.network: a", "Traefik.swarm.network: a", ""),
        (
            "traefik.port: 80, traefik.frontend.rule: 'Path:/', traefik.http.services.a.loadbalancer.server.port: 80",
            "traefik.http.routers.a.priority: '6', traefik.http.routers.a.rule: 'Path(`/`)', traefik.http.routers.a.service: 'a', \
             traefik.http.services.a.loadbalancer.server.port: 80",
            "",
        ),
    ] {
        let file = |labels: &str| format!("services: {{a: {{deploy: {{labels: {{{labels}}}}}}}}}\n");
        let (written, report) = rewrite(&file(old));
        assert_eq!(written, file(new), "{report}");
        let expected =
            format!("f: services.a.deploy.labels: warning: {warning}: no effect, because another label sets");
        assert!(
            if warning.is_empty() { report.is_empty() } else { report.starts_with(&expected) },
            "{report}"
        );
    }
    let lines = "traefik.http.routers.a.rule=HostHeader(`a`)\n";
    let new = "traefik.http.routers.a.rule=Host(`a`)\ntraefik.http.routers.a.priority=15\n";
    assert_eq!(rewrite(&lines.repeat(2)), (new.to_owned(), String::new()));
}

#[test]
fn equal_messages_appear_once_with_their_number() {
    let file = "
services:
  a: {labels: {traefik.port: 80}}
  b: {labels: {traefik.port: 80}}
  c: {labels: {traefik.http.routers.c.rule: Host(`c`), traefik.http.routers.c.tls.certresolver: le}}
";
    let (_, report) = rewrite(file);
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines.len(), 2, "{report}");
    assert!(
        lines[0].starts_with("f: services.a.labels: warning: traefik.frontend.rule: no router: "),
        "{report}"
    );
    assert!(
        lines[0].contains("--default-rule") && lines[0].ends_with("(2 times, also in services.b.labels)"),
        "{report}"
    );
    assert!(lines[1].contains("note: ") && lines[1].contains("the certificate resolver \"le\""), "{report}");
}

#[test]
fn diff_shows_changed_lines_with_context() {
    let lines: Vec<String> = (1..=20).map(|line| format!("line {line}\n")).collect();
    let text = lines.concat();
    let at = |line: usize| lines[..line - 1].concat().len();
    let edits = [
        (at(5)..at(6), "five\n".to_owned()),
        (at(8) - 1..at(8) - 1, "\nadded".to_owned()),
        (at(18)..at(20), String::new()),
    ];
    let expected = "\
--- f
+++ f
@@ -2,9 +2,10 @@
 line 2
 line 3
 line 4
-line 5
+five
 line 6
 line 7
+added
 line 8
 line 9
 line 10
@@ -15,6 +16,4 @@
 line 15
 line 16
 line 17
-line 18
-line 19
 line 20
";
    assert_eq!(diff::unified("f", &text, &edits), expected);
    assert_eq!(diff::unified("f", &text, &[]), "");
    let end = diff::unified("f", "a", &[(1..1, "\nb".to_owned())]);
    assert_eq!(
        end,
        "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n"
    );
}

#[test]
fn errors_name_place_and_cause() {
    for (text, why) in [
        ("services: 5", "services: expected a map"),
        ("a: {b: c}", "it has no services"),
        ("a: [", "not valid YAML: "),
        ("words", "expected a stack file, a map"),
        (&"[".repeat(100_000), "not valid YAML: "),
        (&"- ".repeat(100_000), "not valid YAML: "),
        (&"? ".repeat(100_000), "not valid YAML: "),
    ] {
        let naming = Naming { stack: None, service: "service" };
        let error = translate(text, &naming, &Exposure::default(), &mut Report::default()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    for empty in ["", "# c\n", "services:\n", "{}", "[]"] {
        check(empty, empty);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// [`translate`] itself checks the new labels.
    #[test]
    fn no_file_panics_or_gets_other_labels(
        parts in prop::collection::vec(prop::sample::select(vec![
            "traefik.port: 80\n", "traefik.frontend.rule: 'PathPrefix:/a'\n", "- traefik.port=80\n", "- \"traefik.tags=x\" # c\n",
            "- traefik.http.routers.a.rule=Host(`a`,`b`)\n", "traefik.tags:\n", "? traefik.tags\n", "&a ", "*a ", "<<: *a\n", "!x ",
            "{traefik.tags: x, traefik.frontend.rule: 'PathPrefix:/a', }", "[traefik.tags=x,", "traefik.port=80, # c\n", "traefik.tags=x # c\n", ",# c\n", "]", "}", ", ", "\n", "# c\n", " ", "  ", "é",
            "|-\n", ">\n", "\"", "'", ": ", "$A", "---\n", "\r\n", "\u{feff}", "services:\n", "s:\n", "labels:\n", "deploy:\n",
            "traefik.http.middlewares.m.headers.sslredirect: true\n", "- >-\n  traefik.frontend.rule=\n  PathPrefix:/a\n",
        ]), 0..12),
        is_stack in any::<bool>(),
    ) {
        let head = if is_stack { "x: &a {traefik.port: 1}\nservices:\n  s:\n    labels:\n      " } else { "" };
        let text = parts.concat();
        let text = if is_stack { head.to_owned() + &text.replace('\n', "\n      ") } else { text };
        let result = faults(&text);
        prop_assert!(!result.contains("report it as a bug"), "{result} {text:?}");
    }

    #[test]
    fn services_that_share_labels_get_their_own(
        services in prop::collection::vec((
            prop::sample::select(vec!["labels: ", "deploy: {labels: ", "deploy: &d {labels: "]),
            prop::sample::select(vec!["", "&b ", "&c "]),
            prop::collection::vec(prop::sample::select(vec![
                "<<: *a", "<<: *b", "<<: [*c, *a]", "traefik.port: 80", "traefik.port: 81", "traefik.frontend.rule: 'PathPrefix:/a'",
                "traefik.frontend.rule: 'Foo:/a'", "traefik.http.routers.r.rule: Host(`c`)", "traefik.tags: x", "com.example: 1",
                "traefik.http.routers.r.rule: 'Host(`a`,`b`)'", "traefik.docker.network: n", "traefik.swarm.network: m",
            ]), 0..4),
            prop::sample::select(vec!["", "", "", "labels: *b", "labels: *a", "<<: *s0", "deploy: *d"]),
        ), 2..4),
        a in prop::sample::subsequence(vec![
            "traefik.port: 1", "traefik.frontend.rule: 'PathPrefix:/x'", "traefik.http.routers.r.rule: 'Host(`d`,`e`)'",
            "traefik.docker.network: web",
        ], 0..4),
    ) {
        let head = format!("x: &a {{{}}}\ny: &b {{}}\nz: &c {{}}\nd: &d {{}}\nw: &s0 {{}}\nservices:\n", a.join(", "));
        let service = |(number, (place, anchor, labels, whole)): (usize, &(&str, &str, Vec<&str>, &str))| {
            let end = if place.contains('{') { "}" } else { "" };
            let own = format!("{place}{anchor}{{{}}}{end}", labels.join(", "));
            format!("  s{number}: &s{number} {{{}}}\n", if whole.is_empty() { &own } else { *whole })
        };
        let text = head + &services.iter().enumerate().map(service).collect::<String>();
        let result = faults(&text);
        prop_assert!(!result.contains("report it as a bug"), "{result} {text}");
    }
}
