//! Recognises labels of Traefik 1.

use std::sync::OnceLock;

use traefik::suggest;

/// The key of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// An option of the whole container, or of a segment.
    Known { segment: Option<String>, property: Property },
    /// Probably meant for Traefik 1, but not an option of it. Contains the error message.
    Unknown(String),
}

/// An option of a container or a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// The option as `options.txt` has it: `frontend.errors.*.status`.
    pub(crate) path: &'static str,
    /// The option in Traefik 1's spelling, with the user's name in place of `*`.
    pub(crate) spelling: String,
    /// The user's name for `*`.
    pub(crate) name: Option<String>,
    /// Whether the label has another spelling, which Traefik 1 did not recognise.
    pub(crate) is_misspelt: bool,
}

/// Roots of the labels of Traefik 2 and 3. A segment may have such a name, too.
const NEWER_ROOTS: [&str; 7] = ["enable", "docker", "swarm", "http", "tcp", "udp", "tls"];

/// Returns all options of Traefik 1, with whether segments have them.
pub(crate) fn options() -> &'static [(&'static str, bool)] {
    static OPTIONS: OnceLock<Vec<(&'static str, bool)>> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let lines = include_str!("options.txt").lines().filter(|line| !line.starts_with('#'));
        let options = lines.filter_map(|line| line.split_once(' '));
        options.map(|(option, scope)| (option, scope == "segment")).collect()
    })
}

/// Parses the key of a label. Returns `None` if it is not one of Traefik 1.
pub(crate) fn parse(key: &str) -> Option<Key> {
    let (root, path) = key.split_at_checked("traefik.".len())?;
    if !root.eq_ignore_ascii_case("traefik.") {
        return None;
    }
    let known = |segment: Option<&str>, mut property: Property| {
        property.is_misspelt |= root != "traefik.";
        Some(Key::Known { segment: segment.map(str::to_owned), property })
    };
    if let Some(property) = container_property(path) {
        return known(None, property);
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let is_newer = NEWER_ROOTS.iter().any(|root| first.eq_ignore_ascii_case(root));
    let is_section = ["frontend", "backend"].iter().any(|section| first.eq_ignore_ascii_case(section));
    if !is_section {
        // The name of a segment may contain dots. The shortest possible name counts.
        let mut dots = path.match_indices('.').map(|(at, _)| at);
        let places = if is_newer { dots.next().into_iter().collect() } else { dots.collect::<Vec<_>>() };
        for at in places {
            let (segment, rest) = (&path[..at], &path[at + 1..]);
            if !segment.is_empty()
                && let Some(property) = segment_property(rest)
            {
                return known(Some(segment), property);
            }
        }
    }
    if is_newer {
        return None;
    }
    unknown(path, first, rest, is_section).map(Key::Unknown)
}

/// Returns the error message for an unknown option, if the label was probably meant for Traefik 1.
fn unknown(path: &str, first: &str, rest: &str, is_section: bool) -> Option<String> {
    if path.to_ascii_lowercase().ends_with(".docker.network") {
        return Some("segments have no network of their own; set traefik.docker.network".to_owned());
    }
    let roots = || {
        options().iter().map(|(option, _)| *option).filter(|option| !option.contains('.')).chain(["frontend"])
    };
    let is_like_a_root =
        || suggest(first, roots().chain(NEWER_ROOTS)).is_some_and(|word| !NEWER_ROOTS.contains(&word));
    let (segment, path) = if is_section || is_like_a_root() {
        (None, path)
    } else {
        let second = rest.split('.').next().unwrap_or_default();
        // Otherwise it is neither a segment's option nor similar to one, and not meant for Traefik 1.
        if !roots().any(|root| second.eq_ignore_ascii_case(root)) && suggest(second, roots()).is_none() {
            return None;
        }
        (Some(first), rest)
    };
    let is_backend = path.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("backend."));
    if segment.is_some() && is_backend && container_property(path).is_some() {
        return Some(format!(
            "segments cannot set this option; set it for the whole container: traefik.{path}"
        ));
    }
    let candidates = options().iter().filter(|(_, for_segments)| segment.is_none() || *for_segments);
    let segment = segment.map(|segment| format!("{segment}.")).unwrap_or_default();
    let suggestion = match path {
        "backend.port" => Some("port"),
        _ => suggest(path, candidates.map(|(candidate, _)| *candidate)),
    };
    Some(match suggestion {
        Some(suggestion) => {
            format!("unknown option of Traefik 1; did you mean traefik.{segment}{suggestion}?")
        }
        None => "unknown option of Traefik 1".to_owned(),
    })
}

fn container_property(path: &str) -> Option<Property> {
    options().iter().find_map(|(option, _)| match_option(option, path))
}

fn segment_property(path: &str) -> Option<Property> {
    // `domain` is documented for segments but has no effect there, which the translation reports.
    let options = options().iter().filter(|(option, for_segments)| *for_segments || *option == "domain");
    options.map(|(option, _)| *option).find_map(|option| match_option(option, path))
}

/// Matches `path` with `option`, whose `*` stands for a name that the user chooses.
fn match_option(option: &'static str, path: &str) -> Option<Property> {
    let is_match = |(expected, segment): (&str, &str)| match expected {
        "*" => !segment.is_empty() && !segment.contains(' '),
        _ => expected.eq_ignore_ascii_case(segment),
    };
    let mut pairs = option.split('.').zip(path.split('.'));
    if option.split('.').count() != path.split('.').count() || !pairs.all(is_match) {
        return None;
    }
    let name = option.split('.').zip(path.split('.')).find(|(expected, _)| *expected == "*");
    let name = name.map(|(_, segment)| segment.to_owned());
    let spelling = name.as_ref().map_or_else(|| option.to_owned(), |name| option.replacen('*', name, 1));
    Some(Property { path: option, is_misspelt: spelling != path, spelling, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(key: &str) -> (Option<String>, String) {
        match parse(key) {
            Some(Key::Known { segment, property }) => (segment, property.path.to_owned()),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn label_belongs_to_the_container_or_to_a_segment() {
        let of = |segment: Option<&str>, path: &str| (segment.map(str::to_owned), path.to_owned());
        assert_eq!(known("traefik.port"), of(None, "port"));
        assert_eq!(known("traefik.frontend.rule"), of(None, "frontend.rule"));
        assert_eq!(known("traefik.web.frontend.rule"), of(Some("web"), "frontend.rule"));
        assert_eq!(known("traefik.a.b.port"), of(Some("a.b"), "port"));
        assert_eq!(known("traefik.backend.healthcheck.port"), of(None, "backend.healthcheck.port"));
        assert_eq!(known("traefik.frontend.errors.x.backend"), of(None, "frontend.errors.*.backend"));
        // A segment may be named like the root of newer labels.
        assert_eq!(known("traefik.http.port"), of(Some("http"), "port"));
        assert_eq!(known("traefik.tcp.frontend.rule"), of(Some("tcp"), "frontend.rule"));
    }

    #[test]
    fn other_labels_are_not_recognised() {
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
            assert_eq!(parse(key), None, "{key}");
        }
    }

    #[test]
    fn misspelt_label_is_an_error_with_a_suggestion() {
        for (key, suggestion) in [
            ("traefik.prot", "traefik.port"),
            ("traefik.fronted.rule", "traefik.frontend.rule"),
            ("traefik.frontend.rules", "traefik.frontend.rule"),
            ("traefik.frontend.whitelist.sourceRanges", "traefik.frontend.whiteList.sourceRange"),
            ("traefik.backend.healtcheck.path", "traefik.backend.healthcheck.path"),
            ("traefik.web.fronted.rule", "traefik.web.frontend.rule"),
            ("traefik.backend.port", "traefik.port"),
        ] {
            match parse(key) {
                Some(Key::Unknown(message)) => {
                    assert!(message.ends_with(&format!("did you mean {suggestion}?")), "{message}");
                }
                other => panic!("{key}: {other:?}"),
            }
        }
        let Some(Key::Unknown(message)) = parse("traefik.web.backend.healthcheck.path") else { panic!() };
        assert!(message.ends_with("traefik.backend.healthcheck.path"), "{message}");
        let Some(Key::Unknown(message)) = parse("traefik.nexus.docker.network") else { panic!() };
        assert!(message.ends_with("set traefik.docker.network"), "{message}");
        let Some(Key::Unknown(message)) = parse("traefik.frontend.colour") else { panic!() };
        assert_eq!(message, "unknown option of Traefik 1");
    }

    #[test]
    fn other_case_is_recognised_as_a_misspelling() {
        let Some(Key::Known { property, .. }) = parse("traefik.frontend.whitelist.sourcerange") else {
            panic!()
        };
        assert_eq!(
            (property.spelling.as_str(), property.is_misspelt),
            ("frontend.whiteList.sourceRange", true)
        );
    }
}
