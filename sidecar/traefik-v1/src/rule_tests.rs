use proptest::prelude::*;

use super::*;

fn matches(text: &str) -> String {
    Rule::read(text).unwrap_or_else(|why| panic!("{text}: {why}")).matches
}

#[test]
fn each_matcher_has_its_successor() {
    for (old, new) in [
        ("Host:a.lan", "Host(`a.lan`)"),
        ("Host: a.lan , b.lan", "Host(`a.lan`) || Host(`b.lan`)"),
        ("Host: a.lan, ", "Host(`a.lan`)"),
        ("HostRegexp:a.lan", "Host(`a.lan`)"),
        ("HostRegexp: {sub:[a-z]+}.a.lan", r"HostRegexp(`(?i)^[a-z]+\.a\.lan$`)"),
        ("HostRegexp:a.lan,{sub}.a.lan", r"Host(`a.lan`) || HostRegexp(`(?i)^[^.]+\.a\.lan$`)"),
        ("Path:/products", "Path(`/products`)"),
        ("Path:/products/,/a/{c}/{id:[0-9]+}", "Path(`/products/`) || PathRegexp(`^/a/[^/]+/[0-9]+$`)"),
        ("PathStrip:/products/", "Path(`/products/`)"),
        ("PathStripRegex:/a/{id:[0-9]+}", "PathRegexp(`^/a/[0-9]+$`)"),
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
        ("Host:a.lan,b.lan;Path:/c,/d", "(Host(`a.lan`) || Host(`b.lan`)) && (Path(`/c`) || Path(`/d`))"),
        ("Host:a.lan,b.lan;AddPrefix:/x", "Host(`a.lan`) || Host(`b.lan`)"),
        (" host : a.lan ;; PATHPREFIX: /b ;", "Host(`a.lan`) && PathPrefix(`/b`)"),
    ] {
        assert_eq!(matches(old), new, "{old}");
    }
}

#[test]
fn what_changes_the_path_is_kept_apart() {
    let rule = |text| Rule::read(text).unwrap();
    assert_eq!(rule("PathPrefixStrip:/a,/abc,/ab").strip, ["/abc", "/ab", "/a"]);
    assert_eq!(rule("PathPrefixStrip:/a;PathStrip:/b").strip, ["/b"]);
    assert_eq!(rule("PathPrefixStripRegex:/{a}/x").strip_regex, ["^/[^/]+/x"]);
    assert_eq!(rule("PathStripRegex:/x.y").strip_regex, [r"^/x\.y"]);
    assert_eq!(rule("AddPrefix: /v1").add.as_deref(), Some("/v1"));
    assert_eq!(rule("ReplacePath: /v1").replace.as_deref(), Some("/v1"));
    let replaced = rule("ReplacePathRegex: ^/api/v2/(.*) /api/$1").replace_regex.unwrap();
    assert_eq!(replaced, ("^/api/v2/(.*)".to_owned(), "/api/$1".to_owned()));
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, why) in [
        ("", "it is empty"),
        (";", "it is empty"),
        ("Host", "Host is given nothing"),
        ("Host:", "Host is given nothing"),
        ("Hosts:a", "\"Hosts\" is no matcher of Traefik 1's, did you mean Host"),
        ("PathPrefixStripp:/a", "did you mean PathPrefixStrip"),
        ("/a", "\"/a\" is no matcher of Traefik 1's, of which there are Host,"),
        ("PathPrefix:/a, ", "a path that begins with a slash is expected, not \"\""),
        ("Path:a", "Path: a path that begins with a slash is expected, not \"a\""),
        ("PathPrefixStrip:/{a}", "for which there is PathPrefixStripRegex"),
        ("Path:/{id:[0-9]{1,3}}", "the braces of \"/{id:[0-9]{1\" do not match"),
        ("Headers:X-A", "names and values by turns"),
        ("Query:a", "name=value is expected, not \"a\""),
        ("ReplacePathRegex:^/a", "with one space between"),
        ("ReplacePathRegex:^/a{1,2} /b", "commas make 2 of this"),
        ("AddPrefix:/a,/b", "commas make 2 of this"),
        ("Host:a`b", "has a backtick"),
        ("Host:bücher.lan", "xn--"),
        ("Path:/a\nb", "a control character"),
    ] {
        let fault = Rule::read(text).unwrap_err();
        assert!(fault.contains(why), "{text}: {fault}");
    }
}

#[test]
fn a_wild_host_is_warned_of() {
    assert_eq!(Rule::read("Host:*.a.lan").unwrap().warnings.len(), 1);
}

/// What is left of a rule without what stands between backticks.
fn skeleton(rule: &str) -> String {
    rule.split('`').step_by(2).collect::<Vec<_>>().join("'")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_escapes_its_backticks(text in "(Host|Path|PathPrefixStrip|Headers|HeadersRegexp|Query|Method|HostRegexp): ?[/a-c`,;|&(){}:=\\\\ .*\"é-]{0,24}") {
        if let Ok(rule) = Rule::read(&text) {
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
        let _ = Rule::read(&text);
    }
}
