//! Trials: definitions under other names, which show whether Traefik accepts them. No request can reach them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::service_config::{PROTOCOLS, ServiceConfig};
use crate::tree::Tree;

impl ServiceConfig {
    /// Returns a configuration that shows whether Traefik accepts this one, with `suffix` appended to each name. `None` if
    /// there is nothing to try: TCP routers without TLS and UDP routers cannot be kept away from requests.
    ///
    /// A router with TLS is tried with a host of its own instead of its rule, since Traefik joins the TLS options of all
    /// routers that name a host.
    #[must_use]
    pub fn trial(&self, suffix: &str) -> Option<Self> {
        let mut trial = self.rename(|_, kind, name| (kind != "stores").then(|| format!("{name}{suffix}")));
        trial.tree.remove("udp");
        if let Some(Value::Object(tls)) = trial.tree.get_mut("tls") {
            tls.retain(|kind, _| kind == "options");
        }
        for protocol in PROTOCOLS {
            let Some(routers) = routers(&mut trial.tree, protocol) else { continue };
            routers.retain(|_, router| protocol == "http" || has_tls(router));
            for (name, router) in routers.iter_mut() {
                let Some(router) = router.as_object_mut() else { continue };
                let host = unused_host(name);
                let is_encrypted = has_tls(&Value::Object(router.clone()));
                let rule = match router.get("rule").and_then(Value::as_str) {
                    _ if protocol == "tcp" => format!("HostSNI(`{host}`)"),
                    Some(rule) if !is_encrypted => {
                        format!("Host(`a.invalid`) && Host(`b.invalid`) && ({rule})")
                    }
                    _ => format!("Host(`{host}`) && Host(`b.invalid`)"),
                };
                router.insert("rule".to_owned(), rule.into());
                // A resolver would request certificates, also for the host of the trial.
                if let Some(Value::Object(tls)) = router.get_mut("tls") {
                    tls.retain(|option, _| option == "options");
                    if tls.is_empty() {
                        router.insert("tls".to_owned(), "true".into());
                    }
                }
            }
        }
        trial.remove_empty_sections();
        let is_tried = PROTOCOLS.iter().any(|protocol| routers(&mut trial.tree, protocol).is_some());
        is_tried.then_some(trial)
    }

    /// Removes sections without definitions, which Traefik rejects.
    fn remove_empty_sections(&mut self) {
        let is_empty = |value: &Value| value.as_object().is_some_and(Tree::is_empty);
        for kinds in self.tree.values_mut().filter_map(Value::as_object_mut) {
            kinds.retain(|_, names| !is_empty(names));
        }
        self.tree.retain(|_, kinds| !is_empty(kinds));
    }
}

fn routers<'a>(tree: &'a mut Tree, protocol: &str) -> Option<&'a mut Tree> {
    tree.get_mut(protocol)?.get_mut("routers")?.as_object_mut()
}

fn has_tls(router: &Value) -> bool {
    router.get("tls").is_some_and(|tls| tls != "false")
}

/// Returns a host that only this router names, from the bytes of its name.
fn unused_host(name: &str) -> String {
    // FNV-1a: names may be longer than a label of a host name.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut host = "trial-".to_owned();
    // Writing to a string cannot fail.
    let _ = write!(host, "{hash:016x}.invalid");
    host
}

#[cfg(test)]
mod tests {
    use protocol::Labels;
    use serde_json::json;

    use crate::Exposure;

    use super::*;

    fn trial(pairs: &[(&str, &str)]) -> Option<Value> {
        let labels = pairs.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned()));
        let config = ServiceConfig::read("s", &Labels(labels.collect()), &Exposure::default()).unwrap();
        config.trial("-trial").map(|trial| Value::Object(trial.tree))
    }

    #[test]
    fn trial_has_the_same_options_and_a_rule_that_never_matches() {
        let found = trial(&[
            ("http.routers.r.rule", "Path(`/a`) || Path(`/b`)"),
            ("http.routers.r.entrypoints", "web"),
            ("http.routers.r.middlewares", "m,f@file"),
            ("http.middlewares.m.compress", "true"),
        ]);
        assert_eq!(
            found.unwrap(),
            json!({"http": {
                "routers": {"r-trial": {
                    "rule": "Host(`a.invalid`) && Host(`b.invalid`) && (Path(`/a`) || Path(`/b`))",
                    "entrypoints": ["web"],
                    "middlewares": ["m-trial", "f@file"],
                    "service": "s-trial",
                }},
                "services": {"s-trial": {}},
                "middlewares": {"m-trial": {"compress": "true"}},
            }})
        );
    }

    #[test]
    fn trial_with_tls_names_a_host_of_its_own_and_requests_no_certificate() {
        let labels = |name: &str| {
            [
                (format!("http.routers.{name}.rule"), "Host(`real.lan`)"),
                (format!("http.routers.{name}.tls.options"), "o@file"),
                (format!("http.routers.{name}.tls.certresolver"), "le"),
                (format!("http.routers.{name}.tls.domains[0].main"), "real.lan"),
            ]
        };
        let rules = ["a", "b"].map(|name| {
            let labels = labels(name);
            let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let router = trial(&labels).unwrap()["http"]["routers"][format!("{name}-trial")].clone();
            assert_eq!(router["tls"], json!({"options": "o@file"}));
            router["rule"].as_str().unwrap().to_owned()
        });
        assert_ne!(rules[0], rules[1]);
        assert!(rules.iter().all(|rule| !rule.contains("real.lan") && rule.contains("`trial-")), "{rules:?}");
    }

    #[test]
    fn streams_are_tried_with_tls_only() {
        let tcp = [("tcp.routers.r.rule", "HostSNI(`a.lan`)"), ("tcp.routers.r.tls", "true")];
        let found = trial(&tcp).unwrap();
        let rule = found["tcp"]["routers"]["r-trial"]["rule"].as_str().unwrap();
        assert!(rule.starts_with("HostSNI(`trial-") && rule.ends_with(".invalid`)"), "{rule}");
        let plain = [("tcp.routers.r.rule", "HostSNI(`*`)"), ("tcp.routers.r.entrypoints", "db")];
        assert_eq!(trial(&plain), None);
        assert_eq!(trial(&[("udp.routers.r.entrypoints", "dns")]), None);
        assert_eq!(trial(&[("http.middlewares.m.compress", "true")]), None);
        let mixed = trial(&[plain[0], plain[1], ("http.routers.r.rule", "Path(`/`)")]).unwrap();
        assert!(
            mixed["http"]["routers"]["r-trial"].is_object() && mixed["tcp"].get("routers").is_none(),
            "{mixed}"
        );
    }
}
