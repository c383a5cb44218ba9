//! Definitions that Traefik builds, and those that it cannot build.

use serde_json::json;

use super::*;

fn errors(protocol: &str, kind: &str, definition: &Value) -> Vec<String> {
    let tree = json!({protocol: {kind: {"x": definition}}});
    check(tree.as_object().unwrap()).iter().map(Diagnostic::to_string).collect()
}

#[test]
fn middleware_that_traefik_builds_is_accepted() {
    for definition in [
        json!({"compress": "true"}),
        json!({"compress": {"encodings": ["br"], "defaultencoding": "br"}}),
        json!({"compress": "false", "addprefix": {"prefix": "/a"}}),
        json!({"basicauth": {"users": ["a:b"]}}),
        json!({"headers": {"stsseconds": "0"}}),
        json!({"headers": {"customrequestheaders": {"A": ""}}}),
        json!({"retry": {"attempts": "2", "disableretryonnetworkerror": "true", "status": ["500"]}}),
        json!({"ratelimit": {"average": "1", "sourcecriterion": {"requesthost": "false", "requestheadername": "A"}}}),
        json!({"forwardauth": {"address": "http://a", "tls": {"cert": "c", "key": "k"}}}),
        json!({"plugin": {"a": {"b": "c"}}}),
        json!({"chain": {"middlewares": []}}),
    ] {
        assert!(errors("http", "middlewares", &definition).is_empty(), "{definition}");
    }
    assert_eq!(errors("tcp", "middlewares", &json!({"inflightconn": {"amount": "1"}})), [""; 0]);
}

#[test]
fn middleware_has_one_type_and_its_options() {
    for (definition, expected) in [
        (json!({"compress": "false"}), "the middleware has no type"),
        (json!({"compress": "true", "retry": {"attempts": "1"}}), "this one is compress and retry"),
        (
            json!({"basicauth": {"realm": "r"}}),
            "set traefik.http.middlewares.x.basicauth.users, which basicauth needs",
        ),
        (json!({"ipallowlist": {"sourcerange": []}}), "ipallowlist.sourcerange"),
        (json!({"addprefix": {"prefix": ""}}), "addprefix.prefix"),
        (json!({"retry": {"timeout": "1s"}}), "retry.attempts"),
        (json!({"retry": {"attempts": "2", "disableretryonnetworkerror": "true"}}), "never retries"),
        (json!({"headers": {"framedeny": "false", "allowedhosts": []}}), "changes no header"),
        (json!({"compress": {"encodings": []}}), "expected one of gzip, br, zstd"),
        (
            json!({"compress": {"encodings": ["br"], "defaultencoding": "gzip"}}),
            "\"gzip\" is not among the encodings br",
        ),
        (
            json!({"compress": {"excludedcontenttypes": ["a/b"], "includedcontenttypes": ["a/b"]}}),
            "exclude each other",
        ),
        (
            json!({"ratelimit": {"sourcecriterion": {"requesthost": "true", "requestheadername": "A"}}}),
            "traefik.http.middlewares.x.ratelimit.sourcecriterion: requestheadername and requesthost exclude each other",
        ),
        (json!({"forwardauth": {"address": "http://a", "tls": {"cert": "c"}}}), "set both cert and key"),
        (json!({"plugin": {"a": {"b": "c"}, "d": {"e": "f"}}}), "one plugin"),
    ] {
        let found = errors("http", "middlewares", &definition);
        assert!(found.len() == 1 && found[0].contains(expected), "{definition}: {found:?}");
    }
    assert_eq!(errors("tcp", "middlewares", &json!({"ipallowlist": {"sourcerange": []}})).len(), 1);
}

#[test]
fn transports_and_tls_options_are_consistent() {
    for (place, definition, expected) in [
        ("http.serverstransports", json!({"spiffe": "true", "servername": "a"}), "spiffe and servername"),
        ("http.serverstransports", json!({"spiffe": "false", "servername": "a"}), ""),
        ("tcp.serverstransports", json!({"tls": {"spiffe": "true", "rootcas": ["a"]}}), "spiffe and rootcas"),
        (
            "http.serverstransports",
            json!({"certificates": [{"certfile": "a"}]}),
            "set both certfile and keyfile",
        ),
        ("http.serverstransports", json!({"minversion": "VersionTLS12"}), "set maxversion"),
        (
            "http.serverstransports",
            json!({"minversion": "VersionTLS13", "maxversion": "VersionTLS12"}),
            "above maxversion",
        ),
        ("tls.options", json!({"minversion": "VersionTLS12"}), ""),
        (
            "tls.options",
            json!({"minversion": "VersionTLS13", "maxversion": "VersionTLS12"}),
            "above maxversion",
        ),
        (
            "tls.options",
            json!({"clientauth": {"clientauthtype": "RequireAndVerifyClientCert"}}),
            "needs clientauth.cafiles",
        ),
        ("tls.options", json!({"clientauth": {"clientauthtype": "RequireAnyClientCert"}}), ""),
        ("tcp.services", json!({"weighted": {"services": [{"weight": "1"}]}}), "set the name of each"),
        ("tcp.services", json!({"weighted": {"services": [{"name": "a"}]}}), ""),
        ("udp.services", json!({"loadbalancer": {}, "weighted": {}}), "either loadbalancer or weighted"),
    ] {
        let (protocol, kind) = place.split_once('.').unwrap();
        let found = errors(protocol, kind, &definition);
        let is_expected = if expected.is_empty() {
            found.is_empty()
        } else {
            found.len() == 1 && found[0].contains(expected)
        };
        assert!(is_expected, "{definition}: {found:?}");
    }
}
