use proptest::prelude::*;

use super::*;

fn matches(text: &str) -> String {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches
}

#[test]
fn each_matcher_is_translated() {
    for (old, new) in [
        ("Host:a.lan", "Host(`a.lan`)"),
        ("Host: a.lan , b.lan", "Host(`a.lan`) || Host(`b.lan`)"),
        ("Host: a.lan, ", "Host(`a.lan`)"),
        ("HostRegexp:a.lan", "Host(`a.lan`)"),
        ("HostRegexp: {sub:[a-z]+}.a.lan", r"HostRegexp(`(?i)^[a-z]+\.a\.lan$`)"),
        ("HostRegexp:a.lan,{sub}.a.lan", r"Host(`a.lan`) || HostRegexp(`(?i)^[^.]+\.a\.lan$`)"),
        ("Path:/", "Path(`/`)"),
        ("Path:/products", "Path(`/products`) || Path(`/products/`)"),
        (
            "Path:/products/,/a/{c}/{id:[0-9]+}",
            "Path(`/products/`) || Path(`/products`) || PathRegexp(`^/a/[^/]+/[0-9]+$`) || \
             PathRegexp(`^/a/[^/]+/[0-9]+/$`)",
        ),
        ("PathStrip:/products/", "Path(`/products/`) || Path(`/products`)"),
        ("PathStripRegex:/a/{id:[0-9]+}", "PathRegexp(`^/a/[0-9]+$`) || PathRegexp(`^/a/[0-9]+/$`)"),
        ("PathPrefix:/products", "PathPrefix(`/products`)"),
        ("PathPrefix:/a/{id:[0-9]+}", "PathRegexp(`^/a/[0-9]+`)"),
        ("PathPrefixStrip: /ping", "PathPrefix(`/ping`)"),
        ("PathPrefixStrip: /hello/", "PathPrefix(`/hello/`)"),
        ("PathPrefixStripRegex:/a/{id:[0-9]+}/", "PathRegexp(`^/a/[0-9]+/`)"),
        ("Method: GET, POST", "Method(`GET`) || Method(`POST`)"),
        ("Headers: X-A, b", "Header(`X-A`, `b`)"),
        ("Headers: X-A, b, X-C, d", "Header(`X-A`, `b`) && Header(`X-C`, `d`)"),
        ("Headers: X-A, ", "HeaderRegexp(`X-A`, `^`)"),
        ("HeadersRegexp: X-A, b/(c/d)", "HeaderRegexp(`X-A`, `b/(c/d)`)"),
        ("Query: foo=bar, bar=baz", "Query(`foo`, `bar`) && Query(`bar`, `baz`)"),
        ("Query: id={n:[0-9]+}", "QueryRegexp(`id`, `^[0-9]+$`)"),
        ("Query: id=", "QueryRegexp(`id`, `^`)"),
        ("AddPrefix:/x", "PathPrefix(`/`)"),
        ("ReplacePath:/x", "PathPrefix(`/`)"),
        ("ReplacePathRegex: ^/a/(.*) /b/$1", "PathPrefix(`/`)"),
    ] {
        assert_eq!(matches(old), new, "{old}");
    }
}

#[test]
fn semicolons_are_and_commas_are_or() {
    for (old, new) in [
        ("Host:a.lan;PathPrefix:/b", "Host(`a.lan`) && PathPrefix(`/b`)"),
        (
            "Host:a.lan,b.lan;Path:/c,/d",
            "(Host(`a.lan`) || Host(`b.lan`)) && (Path(`/c`) || Path(`/c/`) || Path(`/d`) || Path(`/d/`))",
        ),
        ("Host:a.lan,b.lan;AddPrefix:/x", "Host(`a.lan`) || Host(`b.lan`)"),
        (" host : a.lan ;; PATHPREFIX: /b ;", "Host(`a.lan`) && PathPrefix(`/b`)"),
    ] {
        assert_eq!(matches(old), new, "{old}");
    }
}

#[test]
fn changes_of_the_path_are_separate_from_the_condition() {
    let rule = |text| Rule::parse(text).unwrap();
    assert_eq!(rule("PathPrefixStrip:/a,/abc,/ab").strip, ["/abc", "/ab", "/a"]);
    assert_eq!(rule("PathPrefixStrip:/a;PathStrip:/b").strip, ["/b"]);
    assert_eq!(rule("PathPrefixStripRegex:/{a}/x").strip_regex, ["^/[^/]+/x"]);
    assert_eq!(rule("PathStripRegex:/x.y").strip_regex, [r"^/x\.y"]);
    assert_eq!(rule("Path:/a,/b/,/c/{n}").remove_slash, ["/a", "/c/[^/]+"]);
    assert_eq!(rule("Path:/a,/b.c/").add_slash, [r"/b\.c"]);
    assert_eq!(rule("PathPrefix:/a/;Path:/").add_slash, Vec::<String>::new());
    assert_eq!(rule("AddPrefix: /v1").add.as_deref(), Some("/v1"));
    assert_eq!(rule("ReplacePath: /v1").replace.as_deref(), Some("/v1"));
    let replaced = rule("ReplacePathRegex: ^/api/v2/(.*) /api/$1").replace_regex.unwrap();
    assert_eq!(replaced, ("^/api/v2/(.*)".to_owned(), "/api/$1".to_owned()));
}

#[test]
fn errors_name_cause_and_remedy() {
    for (text, why) in [
        ("", "the rule is empty"),
        (";", "the rule is empty"),
        ("Host", "Host has no value"),
        ("Host:", "Host has no value"),
        ("Hosts:a", "unknown matcher \"Hosts\"; did you mean Host?"),
        ("PathPrefixStripp:/a", "did you mean PathPrefixStrip"),
        ("/a", "unknown matcher \"/a\"; matchers of Traefik 1 are Host,"),
        ("PathPrefix:/a, ", "expected a path that begins with a slash, got \"\""),
        ("Path:a", "Path: expected a path that begins with a slash, got \"a\""),
        ("PathPrefixStrip:/{a}", "use PathPrefixStripRegex"),
        ("Path:/{id:[0-9]{1,3}}", "unbalanced braces in \"/{id:[0-9]{1\""),
        ("Headers:X-A", "alternating names and values"),
        ("Query:a", "expected NAME=VALUE, got \"a\""),
        ("ReplacePathRegex:^/a", "separated by one space"),
        ("ReplacePathRegex:^/a{1,2} /b", "expected one value, got 2 separated by commas"),
        ("AddPrefix:/a,/b", "expected one value, got 2 separated by commas"),
        ("Host:a`b", "backtick in"),
        ("Host:bücher.lan", "xn--"),
        ("Path:/a\nb", "a control character"),
    ] {
        let error = Rule::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn dot_of_a_host_stays_a_dot() {
    for (old, new) in [
        ("HostRegexp:{sub:[a-z]+}.a.lan", r"HostRegexp(`(?i)^[a-z]+\.a\.lan$`)"),
        ("HostRegexp:{sub:.+}", "HostRegexp(`(?i)^.+$`)"),
    ] {
        assert_eq!(matches(old), new, "{old}");
    }
}

#[test]
fn wildcard_host_gets_a_warning() {
    assert_eq!(Rule::parse("Host:*.a.lan").unwrap().warnings.len(), 1);
}

/// The rule without the text between backticks.
fn skeleton(rule: &str) -> String {
    rule.split('`').step_by(2).collect::<Vec<_>>().join("'")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_stay_between_backticks(text in "(Host|Path|PathPrefixStrip|Headers|HeadersRegexp|Query|Method|HostRegexp): ?[/a-c`,;|&(){}:=\\\\ .*\"é-]{0,24}") {
        if let Ok(rule) = Rule::parse(&text) {
            prop_assert_eq!(rule.matches.matches('`').count() % 2, 0);
            let words = skeleton(&rule.matches);
            let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let known = ["Host", "HostRegexp", "Path", "PathPrefix", "PathRegexp", "Header", "HeaderRegexp",
                "Query", "QueryRegexp", "Method"];
            for word in words {
                prop_assert!(known.contains(&word), "{word} in {}", rule.matches);
            }
            let rest = skeleton(&rule.matches).replace(|c: char| c.is_ascii_alphanumeric(), "");
            prop_assert!(rest.chars().all(|c| "()'|&, ".contains(c)), "{}", rule.matches);
        }
    }

    #[test]
    fn no_rule_panics(text in "\\PC{0,64}") {
        let _ = Rule::parse(&text);
    }
}
