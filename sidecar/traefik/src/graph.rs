//! References between definitions: cycles, nesting, and the number of definitions that Traefik builds for one.
//!
//! Traefik builds a chain's middlewares and a weighted service's targets again for each reference, so 26 levels of two
//! references are 67 million builds. A cycle of TCP or UDP services ends Traefik.

use std::collections::HashMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, ENOUGH};
use crate::tree::Tree;

/// Maximum number of levels of references below a definition.
const MAX_LEVELS: usize = 10;

/// Maximum number of middlewares and services that Traefik builds for a definition.
const MAX_BUILDS: u64 = 1_000;

/// Maximum number of requests that `retry` middlewares may send for one request.
const MAX_REQUESTS: u64 = 1_000;

/// A definition: kind and name.
type Key<'a> = (&'static str, &'a str);

#[derive(Clone, Copy)]
struct Cost {
    levels: usize,
    builds: u64,
    requests: u64,
}

/// Returns an error for each definition in `added` that Traefik could not build, or only with great effort. References
/// lead to definitions in `added`, or in `present` by protocol, kind and name.
pub(crate) fn check<'a>(
    present: impl Fn(&str, &str, &str) -> Option<&'a Value>,
    added: &'a Tree,
) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for protocol in ["http", "tcp", "udp"] {
        let Some(own) = added.get(protocol) else { continue };
        let present = |kind: &str, name: &str| present(protocol, kind, name);
        let mut walk = Walk { own, present: &present, costs: HashMap::new() };
        for kind in ["middlewares", "services", "routers"] {
            let names = own.get(kind).and_then(Value::as_object).into_iter().flatten();
            for (name, _) in names {
                if errors.len() >= ENOUGH {
                    return errors;
                }
                if let Err(message) = walk.cost((kind, name), 0) {
                    errors.push(Diagnostic::new(format!("traefik.{protocol}.{kind}.{name}"), message));
                }
            }
        }
    }
    errors
}

struct Walk<'a, 'p> {
    own: &'a Value,
    present: &'p dyn Fn(&str, &str) -> Option<&'a Value>,
    /// Costs of finished definitions; `None` for those that the walk is in.
    costs: HashMap<Key<'a>, Option<Result<Cost, String>>>,
}

impl<'a> Walk<'a, '_> {
    fn find(&self, (kind, name): Key<'_>) -> Option<&'a Value> {
        let own = self.own.get(kind).and_then(|names| names.get(name));
        own.or_else(|| (self.present)(kind, name))
    }

    fn cost(&mut self, key: Key<'a>, depth: usize) -> Result<Cost, String> {
        match self.costs.get(&key) {
            Some(Some(known)) => return known.clone(),
            Some(None) => return Err(format!("the definition leads back to itself through {:?}", key.1)),
            None => {}
        }
        // A definition of another provider, or a missing one.
        let Some(definition) = self.find(key) else { return Ok(Cost { levels: 0, builds: 1, requests: 1 }) };
        if depth > MAX_LEVELS {
            return Err(too_deep());
        }
        self.costs.insert(key, None);
        let cost = self.sum(key.0, definition, depth);
        self.costs.insert(key, Some(cost.clone()));
        cost
    }

    fn sum(&mut self, kind: &'static str, definition: &'a Value, depth: usize) -> Result<Cost, String> {
        let mut sum = Cost { levels: 0, builds: 1, requests: attempts(definition) };
        for target in references(kind, definition) {
            let cost = self.cost(target, depth + 1)?;
            sum.levels = sum.levels.max(cost.levels + 1);
            sum.builds = sum.builds.saturating_add(cost.builds);
            sum.requests = sum.requests.saturating_mul(cost.requests);
        }
        if sum.levels > MAX_LEVELS {
            return Err(too_deep());
        }
        if sum.builds > MAX_BUILDS {
            return Err(format!(
                "Traefik would build more than {MAX_BUILDS} middlewares and services for it; refer to fewer"
            ));
        }
        if sum.requests > MAX_REQUESTS {
            return Err(format!(
                "retry middlewares would send more than {MAX_REQUESTS} requests for one; set fewer attempts"
            ));
        }
        if kind == "services"
            && let Some(child) = self.child_without_health(definition)
        {
            return Err(format!(
                "weighted.healthcheck needs a health check in each service; set that of {child:?}"
            ));
        }
        Ok(sum)
    }

    /// Returns a target of a weighted service with health check that has no health check itself.
    fn child_without_health(&self, definition: &'a Value) -> Option<&'a str> {
        let weighted = definition.get("weighted")?;
        is_checked(weighted).then_some(())?;
        targets(weighted).find(|name| {
            let service = self.find(("services", name));
            let options =
                service.and_then(|service| service.get("weighted").or_else(|| service.get("loadbalancer")));
            service.is_some() && !options.is_some_and(is_checked)
        })
    }
}

fn too_deep() -> String {
    format!("more than {MAX_LEVELS} levels of references; refer to the middlewares or services directly")
}

fn is_checked(options: &Value) -> bool {
    options.get("healthcheck").is_some_and(|check| check != "false")
}

/// Number of requests that a `retry` middleware sends for one request.
fn attempts(definition: &Value) -> u64 {
    let attempts = definition.get("retry").and_then(|retry| retry.get("attempts"));
    attempts.and_then(Value::as_str).and_then(|attempts| attempts.parse().ok()).unwrap_or(1)
}

/// Definitions that a definition refers to.
fn references<'a>(kind: &str, definition: &'a Value) -> Vec<Key<'a>> {
    let names = |list: Option<&'a Value>| list.and_then(Value::as_array).into_iter().flatten();
    let mut found = Vec::new();
    if kind == "middlewares" {
        let chain = definition.get("chain").and_then(|chain| chain.get("middlewares"));
        found.extend(names(chain).filter_map(Value::as_str).map(|name| ("middlewares", own(name))));
        let service = definition.get("errors").and_then(|errors| errors.get("service"));
        found.extend(service.and_then(Value::as_str).map(|name| ("services", own(name))));
        return found;
    }
    found.extend(
        names(definition.get("middlewares")).filter_map(Value::as_str).map(|name| ("middlewares", own(name))),
    );
    if kind == "routers" {
        found.extend(definition.get("service").and_then(Value::as_str).map(|name| ("services", own(name))));
    } else if let Some(weighted) = definition.get("weighted") {
        found.extend(targets(weighted).map(|name| ("services", name)));
    }
    found
}

/// Names of the services that a weighted service forwards to.
fn targets(weighted: &Value) -> impl Iterator<Item = &str> {
    let list = weighted.get("services").and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(|target| target.get("name")?.as_str());
    names.map(own)
}

/// Removes the provider of the hub from a reference.
fn own(name: &str) -> &str {
    name.strip_suffix("@http").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(present: &Value, added: &Value) -> Vec<String> {
        check(|protocol, kind, name| present.get(protocol)?.get(kind)?.get(name), added.as_object().unwrap())
            .iter()
            .map(Diagnostic::to_string)
            .collect()
    }

    /// Weighted services in `levels` levels, each with two references to the next.
    fn doubled(protocol: &str, levels: usize) -> Value {
        let services: Tree = (0..levels)
            .map(|level| {
                let next = json!({"name": format!("w{}", level + 1)});
                (format!("w{level}"), json!({"weighted": {"services": [next, next]}}))
            })
            .collect();
        json!({protocol: {"services": services}})
    }

    fn chained(levels: usize) -> Value {
        let chains: Tree = (0..levels)
            .map(|level| {
                (format!("c{level}"), json!({"chain": {"middlewares": [format!("c{}", level + 1)]}}))
            })
            .collect();
        json!({"http": {"middlewares": chains}})
    }

    #[test]
    fn nesting_and_fan_out_are_bounded() {
        for protocol in ["http", "tcp", "udp"] {
            assert!(errors(&json!({}), &doubled(protocol, 8)).is_empty());
            let many = errors(&json!({}), &doubled(protocol, 26)).join("\n");
            assert!(many.contains("more than 10 levels"), "{many}");
            let wide = errors(&json!({}), &doubled(protocol, 10)).join("\n");
            assert!(wide.contains("more than 1000 middlewares and services"), "{wide}");
        }
        assert!(errors(&json!({}), &chained(10)).is_empty());
        assert!(errors(&json!({}), &chained(24)).join("\n").contains("more than 10 levels"));
        // A deep chain does not exhaust the hub's own stack.
        assert!(!errors(&json!({}), &chained(20_000)).is_empty());
    }

    #[test]
    fn costs_count_across_services() {
        let added = json!({"tcp": {"routers": {"r": {"service": "w0"}}}});
        let found = errors(&doubled("tcp", 10), &added);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("traefik.tcp.routers.r: Traefik would build more"), "{found:?}");
        assert!(
            errors(&doubled("tcp", 26), &json!({"udp": {"routers": {"r": {"service": "w0"}}}})).is_empty()
        );
    }

    #[test]
    fn cycles_are_found() {
        let weighted = |target: &str| json!({"weighted": {"services": [{"name": target}]}});
        for protocol in ["http", "tcp", "udp"] {
            let itself = errors(&json!({}), &json!({protocol: {"services": {"a": weighted("a@http")}}}));
            let expected =
                format!("traefik.{protocol}.services.a: the definition leads back to itself through \"a\"");
            assert_eq!(itself, [expected]);
            let present = json!({protocol: {"services": {"a": weighted("b")}}});
            assert_eq!(errors(&present, &json!({protocol: {"services": {"b": weighted("a")}}})).len(), 1);
            assert!(errors(&present, &json!({protocol: {"services": {"b": weighted("a@file")}}})).is_empty());
        }
        let chain = json!({"http": {"middlewares": {"c": {"chain": {"middlewares": ["c"]}}}}});
        assert_eq!(errors(&json!({}), &chain).len(), 1);
        let page = json!({"http": {
            "middlewares": {"e": {"errors": {"service": "s"}}},
            "services": {"s": {"loadbalancer": {}, "middlewares": ["e"]}},
        }});
        assert_eq!(errors(&json!({}), &page).len(), 2);
    }

    #[test]
    fn retries_multiply() {
        let retries = |attempts: &str| {
            let retry = json!({"retry": {"attempts": attempts}});
            errors(
                &json!({}),
                &json!({"http": {
                    "middlewares": {"a": retry, "b": retry, "c": {"chain": {"middlewares": ["a", "b"]}}},
                    "routers": {"r": {"middlewares": ["c"], "service": "s"}},
                }}),
            )
        };
        assert!(retries("30").is_empty());
        assert_eq!(retries("40").len(), 2, "chain and router");
    }

    #[test]
    fn weighted_health_checks_need_checks_below() {
        let services = |check: &Value| {
            let mut balancer = json!({"passhostheader": "true"});
            if !check.is_null() {
                balancer["healthcheck"] = check.clone();
            }
            let weighted = json!({"weighted": {"services": [{"name": "s"}], "healthcheck": "true"}});
            errors(
                &json!({}),
                &json!({"http": {"services": {"s": {"loadbalancer": balancer}, "w": weighted}}}),
            )
        };
        assert!(services(&json!({"path": "/"})).is_empty());
        assert_eq!(services(&Value::Null).len(), 1);
    }
}
