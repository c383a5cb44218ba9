//! Which labels are Traefik 1's, and what it calls them.

use std::sync::OnceLock;

use traefik::suggest;

/// A label's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Of the whole container, or of a segment.
    Known { segment: Option<String>, property: Property },
    /// Nothing that Traefik 1 knows: why.
    Unknown(String),
}

/// What is said of a container or a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// `frontend.errors.*.status`, without regard to case.
    pub(crate) path: String,
    /// As Traefik 1 spells it.
    pub(crate) spelt: String,
    /// What stands for `*`.
    pub(crate) name: Option<String>,
    /// It was spelt in another way, which Traefik 1 did not know.
    pub(crate) misspelt: bool,
}

/// What a segment can say beside `frontend.…`.
const OF_SEGMENTS: [&str; 6] = ["port", "portIndex", "portName", "weight", "protocol", "backend"];

/// What only the whole container can say, but for `backend.…`.
const OF_CONTAINERS: [&str; 2] = ["domain", "tags"];

/// What comes after `backend.`; for the whole container only.
const BACKEND: [&str; 25] = [
    "id",
    "circuitbreaker.expression",
    "healthcheck.scheme",
    "healthcheck.path",
    "healthcheck.port",
    "healthcheck.interval",
    "healthcheck.timeout",
    "healthcheck.hostname",
    "healthcheck.headers",
    "loadbalancer.method",
    "loadbalancer.sticky",
    "loadbalancer.stickiness",
    "loadbalancer.stickiness.cookieName",
    "loadbalancer.stickiness.secure",
    "loadbalancer.stickiness.httpOnly",
    "loadbalancer.stickiness.sameSite",
    "loadbalancer.swarm",
    "maxconn.amount",
    "maxconn.extractorfunc",
    "responseForwarding.flushInterval",
    "buffering.maxRequestBodyBytes",
    "buffering.memRequestBodyBytes",
    "buffering.maxResponseBodyBytes",
    "buffering.memResponseBodyBytes",
    "buffering.retryExpression",
];

/// What comes after `frontend.`.
const FRONTEND: [&str; 61] = [
    "rule",
    "priority",
    "entryPoints",
    "passHostHeader",
    "passTLSCert",
    "passTLSClientCert.pem",
    "passTLSClientCert.infos.notAfter",
    "passTLSClientCert.infos.notBefore",
    "passTLSClientCert.infos.sans",
    "auth.basic",
    "auth.basic.users",
    "auth.basic.usersFile",
    "auth.basic.removeHeader",
    "auth.digest.users",
    "auth.digest.usersFile",
    "auth.digest.removeHeader",
    "auth.forward.address",
    "auth.forward.authResponseHeaders",
    "auth.forward.trustForwardHeader",
    "auth.forward.tls.ca",
    "auth.forward.tls.caOptional",
    "auth.forward.tls.cert",
    "auth.forward.tls.key",
    "auth.forward.tls.insecureSkipVerify",
    "auth.headerField",
    "whitelistSourceRange",
    "whiteList.sourceRange",
    "whiteList.useXForwardedFor",
    "redirect.entryPoint",
    "redirect.regex",
    "redirect.replacement",
    "redirect.permanent",
    "errors.*.status",
    "errors.*.backend",
    "errors.*.query",
    "rateLimit.extractorFunc",
    "rateLimit.rateSet.*.period",
    "rateLimit.rateSet.*.average",
    "rateLimit.rateSet.*.burst",
    "headers.customRequestHeaders",
    "headers.customResponseHeaders",
    "headers.allowedHosts",
    "headers.hostsProxyHeaders",
    "headers.SSLRedirect",
    "headers.SSLTemporaryRedirect",
    "headers.SSLHost",
    "headers.SSLForceHost",
    "headers.SSLProxyHeaders",
    "headers.STSSeconds",
    "headers.STSIncludeSubdomains",
    "headers.STSPreload",
    "headers.forceSTSHeader",
    "headers.frameDeny",
    "headers.customFrameOptionsValue",
    "headers.contentTypeNosniff",
    "headers.browserXSSFilter",
    "headers.customBrowserXSSValue",
    "headers.contentSecurityPolicy",
    "headers.publicKey",
    "headers.referrerPolicy",
    "headers.isDevelopment",
];

/// What `passTLSClientCert.infos.subject.` and `….issuer.` have below them.
pub(crate) const DISTINGUISHED_NAME: [&str; 7] =
    ["commonName", "country", "domainComponent", "locality", "organization", "province", "serialNumber"];

/// Where Traefik 2 and 3 begin. A segment may be called so, too.
const NEWER: [&str; 7] = ["enable", "docker", "swarm", "http", "tcp", "udp", "tls"];

/// Reads a label's key; none if it is not Traefik 1's.
pub(crate) fn read(key: &str) -> Option<Key> {
    let (root, path) = key.split_at_checked("traefik.".len())?;
    if !root.eq_ignore_ascii_case("traefik.") {
        return None;
    }
    let spelt_root = root == "traefik.";
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let known = |segment: Option<&str>, mut property: Property| {
        property.misspelt |= !spelt_root;
        Some(Key::Known { segment: segment.map(str::to_owned), property })
    };
    if let Some(property) = of_container(path) {
        return known(None, property);
    }
    let is_newer = NEWER.iter().any(|root| first.eq_ignore_ascii_case(root));
    let is_part = ["frontend", "backend"].iter().any(|part| first.eq_ignore_ascii_case(part));
    if !is_part {
        // A segment's name may have dots, the shortest one counts.
        let mut dots = path.match_indices('.').map(|(at, _)| at);
        let places = if is_newer { dots.next().into_iter().collect() } else { dots.collect::<Vec<_>>() };
        for at in places {
            let (segment, rest) = (&path[..at], &path[at + 1..]);
            if !segment.is_empty()
                && let Some(property) = of_segment(rest)
            {
                return known(Some(segment), property);
            }
        }
    }
    if is_newer {
        return None;
    }
    unknown(path, first, rest, is_part).map(Key::Unknown)
}

/// Why it is nothing that Traefik 1 knows, if it was meant to be.
fn unknown(path: &str, first: &str, rest: &str, is_part: bool) -> Option<String> {
    let words = || OF_SEGMENTS.into_iter().chain(OF_CONTAINERS).chain(["frontend"]);
    let (segment, path) =
        if is_part || suggest(first, words().chain(NEWER)).is_some_and(|w| !NEWER.contains(&w)) {
            (None, path)
        } else {
            let second = rest.split('.').next().unwrap_or_default();
            let begins = words().any(|word| second.eq_ignore_ascii_case(word));
            // Of a segment's own options none has more below it, so that this is about it and not about something else.
            if !begins && suggest(second, words()).is_none() {
                return None;
            }
            (Some(first), rest)
        };
    let begins_backend = path.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("backend."));
    if segment.is_some() && begins_backend && of_container(path).is_some() {
        return Some(format!("Traefik 1 has this for all segments together: traefik.{path}"));
    }
    let candidates = all().iter().filter(|(_, everywhere)| segment.is_none() || *everywhere);
    Some(match suggest(path, candidates.map(|(candidate, _)| candidate.as_str())) {
        Some(meant) => {
            let segment = segment.map(|segment| format!("{segment}.")).unwrap_or_default();
            format!("Traefik 1 has no such option, did you mean traefik.{segment}{meant}")
        }
        None => "Traefik 1 has no such option".to_owned(),
    })
}

/// Every option, and whether segments have it, too.
fn all() -> &'static [(String, bool)] {
    static ALL: OnceLock<Vec<(String, bool)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<(String, bool)> = Vec::new();
        all.extend(OF_SEGMENTS.map(|word| (word.to_owned(), true)));
        all.extend(OF_CONTAINERS.map(|word| (word.to_owned(), false)));
        all.extend(BACKEND.map(|option| (format!("backend.{option}"), false)));
        all.extend(FRONTEND.map(|option| (format!("frontend.{option}"), true)));
        for whose in ["subject", "issuer"] {
            let prefix = format!("frontend.passTLSClientCert.infos.{whose}");
            all.extend(DISTINGUISHED_NAME.map(|part| (format!("{prefix}.{part}"), true)));
        }
        all
    })
}

fn of_container(path: &str) -> Option<Property> {
    all().iter().find_map(|(option, _)| matches(option, path))
}

fn of_segment(path: &str) -> Option<Property> {
    // Documented, and without effect: it is read so that this can be said.
    let domain = ("domain".to_owned(), true);
    all()
        .iter()
        .chain([&domain])
        .filter(|(_, everywhere)| *everywhere)
        .find_map(|(option, _)| matches(option, path))
}

/// Whether `path` is `option`, which may have a `*` for a name of the user's.
fn matches(option: &str, path: &str) -> Option<Property> {
    // Most are another, which is seen without writing anything down.
    let fits = |(option, said): (&str, &str)| option == "*" || option.eq_ignore_ascii_case(said);
    if !option.split('.').zip(path.split('.')).all(fits) {
        return None;
    }
    let (mut options, mut segments) = (option.split('.'), path.split('.'));
    let mut spelt = Vec::new();
    let mut name = None;
    loop {
        match (options.next(), segments.next()) {
            (None, None) => break,
            (Some("*"), Some(chosen)) if !chosen.is_empty() && !chosen.contains(' ') => {
                name = Some(chosen.to_owned());
                spelt.push(chosen);
            }
            (Some(option), Some(segment)) if option.eq_ignore_ascii_case(segment) => spelt.push(option),
            _ => return None,
        }
    }
    let spelt = spelt.join(".");
    Some(Property { path: option.to_owned(), misspelt: spelt != path, spelt, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(key: &str) -> (Option<String>, String) {
        match read(key) {
            Some(Key::Known { segment, property }) => (segment, property.path),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn labels_are_of_the_container_or_of_a_segment() {
        let of = |segment: Option<&str>, path: &str| (segment.map(str::to_owned), path.to_owned());
        assert_eq!(known("traefik.port"), of(None, "port"));
        assert_eq!(known("traefik.frontend.rule"), of(None, "frontend.rule"));
        assert_eq!(known("traefik.web.frontend.rule"), of(Some("web"), "frontend.rule"));
        assert_eq!(known("traefik.a.b.port"), of(Some("a.b"), "port"));
        assert_eq!(known("traefik.backend.healthcheck.port"), of(None, "backend.healthcheck.port"));
        assert_eq!(known("traefik.frontend.errors.x.backend"), of(None, "frontend.errors.*.backend"));
        // A segment may be called like that with which newer labels begin.
        assert_eq!(known("traefik.http.port"), of(Some("http"), "port"));
        assert_eq!(known("traefik.tcp.frontend.rule"), of(Some("tcp"), "frontend.rule"));
    }

    #[test]
    fn what_is_newer_or_common_is_left_alone() {
        for key in [
            "traefik.enable",
            "traefik.docker.network",
            "traefik.http.routers.a.rule",
            "traefik.http.services.a.loadbalancer.server.port",
            "traefik.tls.stores.default.defaultgeneratedcert.resolver",
            "traefik.htpp.routers.a.rule",
            "traefik.enabled",
            "traefik.dokcer.network",
            "com.docker.stack.namespace",
            "traefik",
            "",
        ] {
            assert_eq!(read(key), None, "{key}");
        }
    }

    #[test]
    fn what_is_nearly_right_is_refused_with_what_was_meant() {
        for (key, meant) in [
            ("traefik.prot", "traefik.port"),
            ("traefik.fronted.rule", "traefik.frontend.rule"),
            ("traefik.frontend.rules", "traefik.frontend.rule"),
            ("traefik.frontend.whitelist.sourceRanges", "traefik.frontend.whiteList.sourceRange"),
            ("traefik.backend.healtcheck.path", "traefik.backend.healthcheck.path"),
            ("traefik.web.fronted.rule", "traefik.web.frontend.rule"),
        ] {
            match read(key) {
                Some(Key::Unknown(why)) => assert!(why.ends_with(&format!("did you mean {meant}")), "{why}"),
                other => panic!("{key}: {other:?}"),
            }
        }
        let Some(Key::Unknown(why)) = read("traefik.web.backend.healthcheck.path") else { panic!() };
        assert!(why.ends_with("traefik.backend.healthcheck.path"), "{why}");
        let Some(Key::Unknown(why)) = read("traefik.frontend.colour") else { panic!() };
        assert_eq!(why, "Traefik 1 has no such option");
    }

    #[test]
    fn case_is_no_matter_but_noted() {
        let Some(Key::Known { property, .. }) = read("traefik.frontend.whitelist.sourcerange") else {
            panic!()
        };
        assert_eq!((property.spelt.as_str(), property.misspelt), ("frontend.whiteList.sourceRange", true));
    }
}
