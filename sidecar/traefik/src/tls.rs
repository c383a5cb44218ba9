//! TLS options of hosts. Of two HTTPS routers that name the same host, Traefik applies the default options if theirs differ:
//! a router without options switches the mutual TLS of another one off.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::references::own_name;
use crate::rule;
use crate::service_config::ServiceConfig;

/// A router that names hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostRouter {
    label: String,
    hosts: BTreeSet<String>,
    /// Entry points; none means Traefik's default ones.
    entry_points: Vec<String>,
    /// TLS options, unless they are the default ones.
    options: Option<String>,
}

impl HostRouter {
    fn new(protocol: &str, name: &str, router: &Value) -> Self {
        let options = router.get("tls").and_then(|tls| tls.get("options")).and_then(Value::as_str);
        let options = options.map(|options| own_name("tls", "options", options).unwrap_or(options));
        let entry_points = router.get("entrypoints").and_then(Value::as_array).into_iter().flatten();
        Self {
            label: format!("traefik.{protocol}.routers.{name}"),
            hosts: rule::hosts(protocol, router),
            entry_points: entry_points.filter_map(Value::as_str).map(str::to_lowercase).collect(),
            options: options
                .filter(|options| !options.is_empty() && *options != "default")
                .map(str::to_owned),
        }
    }

    /// Returns a host that both routers name on an entry point that both may use.
    fn shared_host(&self, other: &Self) -> Option<&str> {
        let (own, others) = (&self.entry_points, &other.entry_points);
        let shares_entry_point =
            own.is_empty() || others.is_empty() || own.iter().any(|own| others.contains(own));
        let overlaps = |host: &&String| other.hosts.iter().any(|other| overlap(host, other));
        self.hosts.iter().find(overlaps).filter(|_| shares_entry_point).map(String::as_str)
    }
}

/// Whether two hosts are equal, or one is a wildcard for the other. `*` alone is no host with TLS options.
fn overlap(one: &str, other: &str) -> bool {
    let covers = |pattern: &str, host: &str| {
        let suffix = pattern.strip_prefix('*').filter(|suffix| suffix.starts_with('.'));
        suffix.is_some_and(|suffix| host.split_once('.').is_some_and(|(_, rest)| rest == &suffix[1..]))
    };
    one == other || covers(one, other) || covers(other, one)
}

impl ServiceConfig {
    /// Finds the routers that name hosts.
    pub(crate) fn find_hosts(&mut self) {
        let mut found = Vec::new();
        for protocol in ["http", "tcp"] {
            for (name, router) in self.section(protocol, "routers").into_iter().flatten() {
                let router = HostRouter::new(protocol, name, router);
                if !router.hosts.is_empty() {
                    found.push(router);
                }
            }
        }
        self.hosts = found;
    }

    /// Whether a router protects a host with TLS options.
    pub fn has_tls_options(&self) -> bool {
        self.hosts.iter().any(|router| router.options.is_some())
    }

    /// Returns an error if `other`, the configuration of `service`, routes a host of this one with other TLS options.
    /// `is_same` tells whether both services mean the same definition by a name.
    pub fn find_tls_conflict(
        &self,
        service: &str,
        other: &Self,
        is_same: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.hosts.iter().find_map(|own| {
            let conflict = |other: &&HostRouter| match (&own.options, &other.options) {
                (None, None) => false,
                (Some(own), Some(other)) => own != other || !is_same(own),
                _ => true,
            };
            let (host, other) = other
                .hosts
                .iter()
                .filter(conflict)
                .find_map(|other| Some((own.shared_host(other)?, other)))?;
            let HostRouter { label, options, .. } = own;
            Some(match (options, &other.options) {
                (None, Some(options)) => format!(
                    "{label} would switch off the TLS options {options} with which service {service} protects {host}; set \
                     {label}.tls.options={options}, or use another host or entry point"
                ),
                (Some(options), None) => format!(
                    "{label}.tls.options: {options} would not apply, since {} of service {service} routes {host} without \
                     TLS options; set {}.tls.options={options}, or use another host or entry point",
                    other.label, other.label
                ),
                (Some(own), Some(options)) => format!(
                    "{label}.tls.options: service {service} protects {host} with its own TLS options {options}, and \
                     different ones ({own}) would switch them off; use the same definition, or another host or entry point"
                ),
                (None, None) => return None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::Labels;

    use crate::Exposure;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ServiceConfig {
        let labels = pairs.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned()));
        ServiceConfig::read("s", &Labels(labels.collect()), &Exposure::default()).unwrap()
    }

    fn conflict(own: &[(&str, &str)], other: &[(&str, &str)]) -> Option<String> {
        config(own).find_tls_conflict("other", &config(other), |name| name != "changed")
    }

    const RULE: (&str, &str) = ("http.routers.r.rule", "Host(`A.lan.`) && Path(`/x`)");
    const OPTIONS: (&str, &str) = ("http.routers.r.tls.options", "mtls@docker");
    const PROTECTED: &[(&str, &str)] = &[RULE, OPTIONS];

    #[test]
    fn router_without_options_conflicts_with_a_protected_host() {
        let message = conflict(&[("http.routers.q.rule", "Host(`b`) || Host(`a.lan`)")], PROTECTED).unwrap();
        assert_eq!(
            message,
            "traefik.http.routers.q would switch off the TLS options mtls with which service other protects a.lan; set \
             traefik.http.routers.q.tls.options=mtls, or use another host or entry point"
        );
        let message = conflict(PROTECTED, &[("http.routers.q.rule", "Host(`a.lan`)")]).unwrap();
        assert!(message.starts_with("traefik.http.routers.r.tls.options: mtls would not apply"), "{message}");
        for rule in ["!Host(`a.lan`)", "Host(`*.lan`)", "Host(`A.LAN`) && Path(`/`)"] {
            assert!(conflict(&[("http.routers.q.rule", rule)], PROTECTED).is_some(), "{rule}");
        }
        let tcp = [("tcp.routers.q.rule", "HostSNI(`a.lan`)"), ("tcp.routers.q.tls", "true")];
        assert!(conflict(&tcp, PROTECTED).is_some());
        let default = [("http.routers.q.rule", "Host(`a.lan`)"), ("http.routers.q.tls.options", "default")];
        assert!(conflict(&default, PROTECTED).is_some());
    }

    #[test]
    fn same_options_or_another_host_or_entry_point_is_no_conflict() {
        let rule = ("http.routers.q.rule", "Host(`a.lan`)");
        let options = |options| [rule, ("http.routers.q.tls.options", options)];
        assert_eq!(conflict(&options("mtls"), PROTECTED), None);
        assert_eq!(conflict(&options("mtls@http"), PROTECTED), None);
        assert!(conflict(&options("mtls@file"), PROTECTED).is_some());
        let changed = [RULE, ("http.routers.r.tls.options", "changed")];
        assert!(conflict(&options("changed"), &changed).unwrap().contains("different ones"));
        for rule in ["Host(`b.lan`)", "Path(`/`)", "HostRegexp(`a.lan`)", "Host(`*.a.lan`)"] {
            assert_eq!(conflict(&[("http.routers.q.rule", rule)], PROTECTED), None, "{rule}");
        }
        let on = |point| [rule, ("http.routers.q.entrypoints", point)];
        let protected = [RULE, OPTIONS, ("http.routers.r.entrypoints", "secure,other")];
        assert_eq!(conflict(&on("web"), &protected), None);
        assert!(conflict(&on("web,Secure"), &protected).is_some());
        assert!(conflict(&on("web"), PROTECTED).is_some());
    }
}
