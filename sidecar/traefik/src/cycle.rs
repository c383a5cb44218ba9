//! Services of TCP and UDP that share out connections among others, and among these themselves. Traefik, which looks for
//! such circles in HTTP alone, follows them until its stack is full, and ends with all that it routes. Its labels cannot
//! say so; ours can, and two services can make one together.

use serde_json::Value;

use crate::tree::Tree;

const PROTOCOLS: [&str; 2] = ["tcp", "udp"];

/// The first Traefik service of `added` that leads back to itself, if `added` comes to what `present` has already.
pub(crate) fn find_cycle(present: &Tree, added: &Tree) -> Option<String> {
    PROTOCOLS.iter().find_map(|protocol| {
        let (present, added) = (services(present, protocol), services(added, protocol)?);
        let lookup = |name: &str| added.get(name).or_else(|| present?.get(name));
        let name = added.keys().find(|name| leads_to(name, name, &lookup))?;
        Some(format!("traefik.{protocol}.services.{name}.weighted leads back to itself"))
    })
}

fn services<'a>(tree: &'a Tree, protocol: &str) -> Option<&'a Tree> {
    tree.get(protocol)?.get("services")?.as_object()
}

/// Whether one of the services that `from` shares out connections among is `to`, or leads to it.
fn leads_to<'a>(from: &str, to: &str, lookup: &impl Fn(&str) -> Option<&'a Value>) -> bool {
    let mut seen = Vec::new();
    let mut ahead = vec![from];
    while let Some(name) = ahead.pop() {
        for next in lookup(name).into_iter().flat_map(shares) {
            if next == to {
                return true;
            }
            if !seen.contains(&next) {
                seen.push(next);
                ahead.push(next);
            }
        }
    }
    false
}

/// The names of the services that `service` shares out connections among, as the hub's documents define them.
fn shares(service: &Value) -> impl Iterator<Item = &str> {
    let list = service.get("weighted").and_then(|weighted| weighted.get("services"));
    let names = list.and_then(Value::as_array).into_iter().flatten().filter_map(|share| share.get("name"));
    names.filter_map(Value::as_str).map(|name| name.strip_suffix("@http").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(protocol: &str, shares: &[(&str, &str)]) -> Tree {
        let services = shares
            .iter()
            .map(|(name, share)| ((*name).to_owned(), json!({"weighted": {"services": [{"name": share}]}})));
        let services: Tree = services.collect();
        json!({protocol: {"services": services}}).as_object().unwrap().clone()
    }

    #[test]
    fn a_circle_is_found_however_long_and_whoever_made_its_parts() {
        let none = Tree::new();
        let itself = find_cycle(&none, &tree("tcp", &[("a", "a@http")]));
        assert_eq!(itself.unwrap(), "traefik.tcp.services.a.weighted leads back to itself");
        assert!(find_cycle(&none, &tree("udp", &[("a", "b"), ("b", "c"), ("c", "a")])).is_some());
        assert!(find_cycle(&tree("udp", &[("a", "b"), ("x", "x")]), &tree("udp", &[("b", "a")])).is_some());
        // What is there already is not looked at anew, and ends nevertheless.
        assert_eq!(find_cycle(&tree("udp", &[("x", "x")]), &tree("udp", &[("b", "x")])), None);
        assert_eq!(find_cycle(&tree("tcp", &[("a", "b")]), &tree("udp", &[("b", "a")])), None);
        assert_eq!(find_cycle(&none, &tree("tcp", &[("a", "a@file"), ("b", "a")])), None);
        // Traefik finds those by itself.
        assert_eq!(find_cycle(&none, &tree("http", &[("a", "a")])), None);
    }
}
