//! What routers, services and middlewares are called.

use std::collections::BTreeSet;

use crate::Output;
use crate::segment::Segment;

/// The names of what comes of a segment.
#[derive(Debug)]
pub(crate) struct Names {
    /// Of the router: no other service's.
    pub(crate) router: String,
    /// Of the service: what the backend was called in Traefik 1, so that error pages find it.
    pub(crate) service: String,
}

impl Names {
    /// `taken` are the services of other segments.
    pub(crate) fn new(
        service: &str,
        segment: &Segment<'_>,
        taken: &mut BTreeSet<String>,
        output: &mut Output,
    ) -> Self {
        let backend = segment.text("backend");
        let Some(name) = &segment.name else {
            let backend = backend.map_or(service, |value| value.text);
            return Self { router: part(service), service: backend_name(backend) };
        };
        let router = format!("{}--{}", part(service), part(name));
        // Not joined as Traefik 1 did: `a-b` may be a service, too.
        let of = |backend: &str| format!("{}--{}", backend_name(service), backend_name(backend));
        let own = backend.filter(|value| value.own).map_or(&**name, |value| value.text);
        let is_shared = backend.is_some_and(|value| !value.own) || taken.contains(&of(own));
        if let Some(value) = backend.filter(|_| is_shared) {
            output.warn(
                value.key,
                "segments shared this one backend, and with it their ports; now each has a service of its own",
            );
        }
        let unique = [of(own), of(name)].into_iter().find(|service| !taken.contains(service));
        let service = unique.unwrap_or_else(|| router.clone());
        taken.insert(service.clone());
        Self { router, service }
    }

    /// What a middleware of this kind is called, which may have a name of the user's.
    pub(crate) fn middleware(&self, kind: &str, name: Option<&str>) -> String {
        let name = name.map(|name| format!("-{}", part(name))).unwrap_or_default();
        format!("{}--{kind}{name}", self.router)
    }
}

/// `text` where it can stand in a label's key, and between the two dashes of a longer name. Else it is made so, with
/// something that tells it from others that would come to the same.
fn part(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_safe = !text.is_empty()
        && text.chars().all(is_plain)
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_safe {
        return text.to_owned();
    }
    let words: Vec<_> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let hash = format!("{:08x}", hash(text));
    words.into_iter().chain([hash.as_str()]).collect::<Vec<_>>().join("-")
}

/// What Traefik 1 called a backend: letters and digits, with dashes for all else.
pub(crate) fn backend_name(text: &str) -> String {
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { part(text) } else { words.join("-") }
}

/// FNV-1a, of 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_themselves_or_told_apart() {
        assert_eq!(part("demo_ping"), "demo_ping");
        assert_eq!(part("a.b"), "a-b-108bf50c");
        assert_ne!(part("a.b"), part("a:b"));
        assert_ne!(part("a--b"), "a--b");
        assert!(!part("").is_empty());
    }

    #[test]
    fn backends_are_called_what_they_were() {
        assert_eq!(backend_name("demo_ping"), "demo-ping");
        assert_eq!(backend_name("/foo..bar/"), "foo-bar");
        assert_eq!(backend_name("été"), "été");
        assert!(!backend_name("!").is_empty());
    }
}
