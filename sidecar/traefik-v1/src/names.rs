//! Names of routers, services and middlewares.

use std::collections::BTreeSet;

use traefik::{Diagnostic, Translation};

use crate::segment::Segment;

/// Names of what a segment is translated to.
#[derive(Debug)]
pub(crate) struct Names {
    /// The router.
    pub(crate) router: String,
    /// The service. It keeps the name that its backend had in Traefik 1, by which error pages refer to it.
    pub(crate) service: String,
}

impl Names {
    /// Chooses names. `taken` contains the service names of the other segments.
    pub(crate) fn new(
        service: &str,
        segment: &Segment<'_>,
        taken: &mut BTreeSet<String>,
        output: &mut Translation,
    ) -> Self {
        let backend = segment.get("backend");
        let Some(name) = &segment.name else {
            let backend = backend.map_or(service, |label| &label.text);
            return Self { router: normalized(service), service: normalized(backend) };
        };
        let router = format!("{}--{}", normalized(service), key_part(name));
        // Traefik 1 joined them with one dash, which could be the name of another service.
        let full_name = |backend: &str| format!("{}--{}", normalized(service), normalized(backend));
        let own = backend.filter(|label| label.is_own).map_or(&**name, |label| &label.text);
        let is_shared = backend.is_some_and(|label| !label.is_own) || taken.contains(&full_name(own));
        if let Some(label) = backend.filter(|_| is_shared) {
            let message =
                "each segment now has its own service; in Traefik 1 they shared this backend and its ports";
            output.warnings.push(Diagnostic::new(label.key, message));
        }
        let unique = [full_name(own), full_name(name)].into_iter().find(|service| !taken.contains(service));
        let service = unique.unwrap_or_else(|| router.clone());
        taken.insert(service.clone());
        Self { router, service }
    }

    /// Returns the name of a middleware of this kind. `name` is the user's, for kinds that may occur several times.
    pub(crate) fn middleware(&self, kind: &str, name: Option<&str>) -> String {
        let name = name.map(|name| format!("-{}", key_part(name))).unwrap_or_default();
        format!("{}--{kind}{name}", self.router)
    }
}

/// Returns `text` if it can be part of a label's key and of a name with `--` in it. Otherwise replaces the other
/// characters and adds a hash to keep the result unique.
fn key_part(text: &str) -> String {
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
    let hash = format!("{:08x}", fnv1a(text));
    words.into_iter().chain([hash.as_str()]).collect::<Vec<_>>().join("-")
}

/// Normalises the name of a service or a backend as Traefik does: letters and numbers, with dashes in between.
pub(crate) fn normalized(text: &str) -> String {
    Some(traefik::normalize(text)).filter(|name| !name.is_empty()).unwrap_or_else(|| key_part(text))
}

/// 32-bit FNV-1a hash.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_parts_get_a_hash() {
        assert_eq!(key_part("demo_ping"), "demo_ping");
        assert_eq!(key_part("a.b"), "a-b-108bf50c");
        assert_ne!(key_part("a.b"), key_part("a:b"));
        assert_ne!(key_part("a--b"), "a--b");
        assert!(!key_part("").is_empty());
    }

    #[test]
    fn backends_keep_their_names() {
        assert_eq!(normalized("demo_ping"), "demo-ping");
        assert_eq!(normalized("/foo..bar/"), "foo-bar");
        assert_eq!(normalized("été"), "été");
        assert!(!normalized("!").is_empty());
    }
}
