use protocol::Labels;

use super::*;
use crate::tree::parse_labels;

/// Checks a router named `r` with these options. Returns the warnings, or the error without the label's start.
fn check(protocol: &str, options: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let prefix = format!("traefik.{protocol}.routers.r");
    let labels = options.iter().map(|(key, value)| (format!("{prefix}.{key}"), (*value).to_owned()));
    let tree = parse_labels(&Labels(labels.collect())).unwrap();
    let (mut warnings, mut errors) = (Vec::new(), Vec::new());
    check_routers(&tree, &mut warnings, &mut errors);
    let show = |diagnostic: &Diagnostic| diagnostic.to_string().replacen(&prefix, "", 1);
    match errors.first() {
        Some(error) => Err(show(error)),
        None => Ok(warnings.iter().map(show).collect()),
    }
}

fn http(rule: &str) -> Result<Vec<String>, String> {
    check("http", &[("rule", rule)])
}

fn assert_valid(rules: &[&str]) {
    for rule in rules {
        assert_eq!(http(rule), Ok(Vec::new()), "{rule}");
    }
}

fn assert_errors(check: impl Fn(&str) -> Result<Vec<String>, String>, cases: &[(&str, &str)]) {
    for (rule, expected) in cases {
        let found = check(rule).expect_err(rule);
        assert!(found.contains(expected), "{rule}: {found}");
    }
}

#[test]
fn rules_of_traefik_3_are_valid() {
    assert_valid(&[
        "Host(`a.lan`)",
        "host(`a.lan`) && PATHPREFIX(`/a`) || Pathregexp(`^/b`)",
        "Host(\"a.lan\") && (Path(`/a`) || Path(`/b`)) && !Method(`post`)",
        "Host(`*`) || Host(`*.a.lan`) || Host(`a.lan.`) || Host(`[::1]`) || Host(`::1`)",
        "HostRegexp(`^[a-z]{2,3}\\.a\\.lan$`)",
        "ClientIP(`10.0.0.0/8`) || ClientIP(`::1`) || ClientIP(`::ffff:10.0.0.1/128`)",
        "Header(`X-Version`, `2`) && HeaderRegexp(`Accept`, `(?i)json`) && Header(`A`, `{a:b}`)",
        "Query(`debug`) || Query(`debug`, `1`) || QueryRegexp(`a`) || QueryRegexp(`a`, `^1$`)",
        "Path(`/a b`) || Path(`/é`) || Path(`/{}`) || Path(`/a%2Fb`) || PathPrefix(\"/\\xff\")",
        "Method(`GET`) || Method(`POST`)",
        "Host(`a.lan`) && Host(`A.lan`)",
        "Host(`a.lan`) && !Host(`b.lan`)",
    ]);
}

#[test]
fn errors_name_the_remedy() {
    assert_errors(
        http,
        &[
            (
                "Host(`shop.lan`, `www.shop.lan`)",
                ".rule: Host(`shop.lan`, `www.shop.lan`): Host takes one argument in Traefik 3: Host(`shop.lan`) || \
                 Host(`www.shop.lan`)",
            ),
            ("Path(`/a`) && Host(`a`, `b`)", "takes one argument in Traefik 3: (Host(`a`) || Host(`b`))"),
            ("PathPrefix(`/docs`, `/help`)", "PathPrefix(`/docs`) || PathPrefix(`/help`)"),
            (
                "Host(`a.lan`) && Headers(`X`, `2`)",
                "no matcher Headers; Traefik 3 has Header(`name`, `value`)",
            ),
            ("HeadersRegexp(`X`, `2`)", "Traefik 3 has HeaderRegexp"),
            ("HostHeader(`a`)", "Traefik 3 has Host"),
            ("HostSNI(`a`)", "TCP router"),
            ("Hots(`a`)", "no matcher Hots; did you mean Host?"),
            ("hostRegexp(`a`)", "no matcher hostRegexp; did you mean HostRegexp?"),
            ("Foo(`a`)", "no matcher Foo; the matchers are ClientIP, Header,"),
            ("Host()", "Host has no argument"),
            ("Host(``)", "Host has an empty argument"),
            ("Query(`a`, ``)", "empty argument"),
            ("Query(`a`, `b`, `c`)", "one or two arguments"),
            ("Header(`a`)", "Header takes two arguments"),
            ("Host('blog.lan')", "values stand in backticks, not in other quotes: Host(`blog.lan`)"),
            ("Host:wiki.lan", "this is a rule of Traefik 1; in Traefik 3 it is Host(`wiki.lan`)"),
            (
                "Host:a.lan,b.lan;PathPrefix:/a",
                "in Traefik 3 it is (Host(`a.lan`) || Host(`b.lan`)) && PathPrefix(`/a`)",
            ),
            ("PathPrefixStrip:/a", "`hub labels` translates them"),
            ("HostRegexp(`(`)", "HostRegexp takes a regular expression of Go: `(`: missing closing )"),
            ("PathRegexp(`(?=a)`)", "Go has no look-around"),
            ("HeaderRegexp(`a`, `*`)", "missing argument to repetition operator *"),
            ("QueryRegexp(`a`, `[`)", "missing closing ]"),
            ("HostRegexp(`{tenant:[a-z]+}.lan`)", "named groups in braces are of Traefik 2"),
            ("HostRegexp(`{tenant}.lan`)", "HostRegexp(`^[a-z]+\\.example\\.com$`)"),
            ("PathPrefix(`/{id:[0-9]+}`)", "PathRegexp("),
            ("Host(`a`) || Path(`/{id}`)", "PathRegexp("),
            ("Host(`{a:.+}.lan`)", "HostRegexp("),
            ("Host(`bücher.lan`)", "xn--bcher-kva"),
            ("HostRegexp(`é`)", "ASCII only"),
            ("Path(`a`)", "a path begins with a slash: Path(`/a`)"),
            ("ClientIP(`10.0.0.0/33`)", "an IP address or a range"),
            ("ClientIP(`10.0.0.01`)", "an IP address or a range"),
            ("ClientIP(`fe80::1%eth0`)", "an IP address or a range"),
            ("ClientIP(`10.0.0.0/+8`)", "an IP address or a range"),
            ("Host(`a\u{feff}`)", "invalid character"),
        ],
    );
}

#[test]
fn rules_that_never_match_are_errors_and_dead_parts_are_warnings() {
    let dead = [
        ("Host(`a.lan:8080`)", "without a port: Host(`a.lan`)"),
        ("Host(`https://a.lan/b`)", "without a scheme: Host(`a.lan`)"),
        ("Host(`a.lan/b`)", "without a path: Host(`a.lan`)"),
        ("Host(`a.lan,b.lan`)", "Host takes one argument in Traefik 3: "),
        ("Host(` a.lan`)", "\" a.lan\" is not a host name"),
        ("Host(`*a.lan`)", "first label only"),
        ("Method(`GET,POST`)", "Method(`GET`) || Method(`POST`)"),
        ("Path(`/a?b=c`)", "without a query"),
        ("PathPrefix(`/a#b`)", "no fragment"),
        ("Path(`/a%20b`)", "`%20` is in none"),
        ("Header(`Host`, `a.lan`)", "use Host or HostRegexp"),
        ("Header(`X Y`, `a`)", "not the name of a header"),
    ];
    assert_errors(http, &dead);
    for (rule, expected) in dead {
        let warnings = http(&format!("{rule} || Host(`ok.lan`)")).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{rule}: {warnings:?}");
        assert!(http(&format!("{rule} && Host(`ok.lan`)")).is_err(), "{rule}");
        assert!(http(&format!("!({rule})")).is_ok(), "{rule}");
    }
    assert_errors(
        http,
        &[
            ("Host(`a`) && Host(`b`)", "no request matches both Host(`a`) and Host(`b`)"),
            ("Method(`GET`) && PathPrefix(`/`) && Method(`POST`)", "write Method(`GET`) || Method(`POST`)"),
            ("Path(`/a`) && Path(`/A`)", "no request matches both"),
        ],
    );
}

#[test]
fn tcp_rules_need_tls_or_an_entry_point_of_their_own() {
    let tcp = |rule: &str| check("tcp", &[("rule", rule), ("entrypoints", "db"), ("tls", "true")]);
    for rule in [
        "HostSNI(`*`)",
        "HostSNI(`a.lan`) || HostSNI(`*.a.lan`)",
        "HostSNIRegexp(`^a`) && ALPN(`h2`)",
        "!ClientIP(`10.0.0.1`)",
    ] {
        assert_eq!(tcp(rule), Ok(Vec::new()), "{rule}");
    }
    assert_errors(
        tcp,
        &[
            ("Host(`a`)", "no matcher Host; the matchers are ALPN"),
            ("HostSNI(`a`, `b`)", "HostSNI(`a`) || HostSNI(`b`)"),
            ("HostSNI(`a b`)", "HostSNI(`a`) || HostSNI(`b`)"),
            ("HostSNI(`a*`)", "not a host name"),
            ("HostSNI(`{a:b}`)", "HostSNIRegexp("),
            ("HostSNIRegexp(`{a:b}.lan`)", "HostSNIRegexp("),
            ("HostSNI(`a:443`)", "without a port"),
            ("ALPN(`acme-tls/1`)", "reserves"),
        ],
    );
    let plain = |rule: &str| check("tcp", &[("rule", rule), ("entrypoints", "db")]);
    for rule in ["HostSNI(`*`)", "ClientIP(`10.0.0.1`)", "!ALPN(`h2`)", "HostSNI(`*`) || HostSNI(`a`)"] {
        assert_eq!(plain(rule), Ok(Vec::new()), "{rule}");
        for options in [
            &[("rule", rule)][..],
            &[("rule", rule), ("entrypoints", "")],
            &[("rule", rule), ("tls", "false")],
        ] {
            let error = check("tcp", options).unwrap_err();
            assert!(error.ends_with("set traefik.tcp.routers.r.entrypoints"), "{rule}: {error}");
        }
        assert_eq!(check("tcp", &[("rule", rule), ("tls", "true")]), Ok(Vec::new()));
    }
    assert_errors(
        plain,
        &[
            ("HostSNI(`a.lan`)", "set traefik.tcp.routers.r.tls=true"),
            ("!HostSNI(`a.lan`)", "set traefik.tcp.routers.r.tls=true"),
            ("ALPN(`h2`)", "never matches"),
            ("!HostSNI(`*`)", "never matches"),
        ],
    );
}

#[test]
fn rules_of_version_2_are_checked_as_such() {
    let v2 = |rule: &str| check("http", &[("rule", rule), ("rulesyntax", "v2")]);
    for rule in [
        "Host(`a.lan`, `b.lan`) && PathPrefix(`/a`, `/b`)",
        "HostRegexp(`{sub:[a-z]{2,3}}.lan`, `{a}.{b}.lan`)",
        "Path(`/{id:(?:a|b)}/{x}`)",
        "Headers(`A`, `b`, `C`, `d`) || HeadersRegexp(`A`, `.*`)",
        "Query(`a=b`, `c={d:.+}`) || Query(`a`, `b`)",
        "Method(`GET`, `POST`) && ClientIP(`10.0.0.1`, `::/0`)",
        "HostHeader(`a`)",
    ] {
        let warnings = v2(rule).unwrap();
        assert!(warnings[0].starts_with(".rulesyntax: deprecated"), "{rule}: {warnings:?}");
        assert_eq!(warnings.len(), 1);
    }
    for rule in [
        "Header(`a`, `b`)",
        "PathRegexp(`a`)",
        "Host()",
        "Path(`a`)",
        "Path(`/{`)",
        "Path(`/{a:}`)",
        "Path(`/{:a}`)",
        "HostRegexp(`{a:(}`)",
        "HostRegexp(`é`)",
        "Headers(`A`)",
        "HeadersRegexp(`A`, `(`)",
        "Query(`a`)",
        "Query(`a=}`)",
        "ClientIP(`a`)",
    ] {
        assert!(v2(rule).is_err(), "{rule}");
    }
    let tcp = |rule: &str| check("tcp", &[("rule", rule), ("rulesyntax", "v2"), ("tls", "")]);
    assert!(tcp("HostSNI(`a`, `b`) || HostSNIRegexp(`{a:b}.lan`)").is_ok());
    for rule in ["HostSNI(`*.a`)", "HostSNIRegexp(`{a:[}`)", "ALPN(`a`, `acme-tls/1`)"] {
        assert!(tcp(rule).is_err(), "{rule}");
    }
    // Other values select version 3.
    assert!(check("http", &[("rule", "Host(`a`, `b`)"), ("rulesyntax", "V2")]).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in r#"[ -~\n`"é(){}\[\]|&!*+?\\,:]{0,80}"#) {
        for syntax in ["v2", "v3"] {
            for protocol in ["http", "tcp"] {
                for rule in [text.clone(), format!("HostRegexp(`{text}`)"), format!("PathPrefix(`/{text}`) && Host(\"{text}\")")] {
                    drop(check(protocol, &[("rule", &rule), ("rulesyntax", syntax)]));
                }
            }
        }
    }
}
