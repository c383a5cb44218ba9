//! Limits of what the labels of a service may claim.

use serde::de::{Deserialize as _, Deserializer, Error};
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::references::{self, own_name};
use crate::rule::{Part, is_confined};
use crate::service_config::{PROTOCOLS, ServiceConfig};

const REMEDY: &str = "remove the label, or allow this in the file of the hub's --policy";

/// Claims that the labels of a service may make beyond the routers, services and middlewares of its own. A list that is not set
/// does not limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Hosts that rules may match. `*.example.com` stands for all hosts below `example.com`, and `*` for all.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Option<Vec<String>>,
    /// Beginnings of the paths that rules may match.
    #[serde(deserialize_with = "paths")]
    pub paths: Option<Vec<String>>,
    /// Entry points that routers may use.
    pub entrypoints: Option<Vec<String>>,
    /// Traefik services and servers transports that the service does not define, such as `api@internal` or `nas@file`.
    pub references: Vec<String>,
    /// Whether routers may have a priority.
    pub priority: bool,
    /// Whether servers may have URLs of their own instead of the addresses of the tasks.
    pub urls: bool,
    /// Whether the service may define the default certificate.
    pub stores: bool,
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let hosts: Vec<String> = Vec::deserialize(deserializer)?;
    let is_host = |host: &str| {
        let rest = host.strip_prefix("*.").unwrap_or(host);
        host == "*"
            || !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    match hosts.iter().find(|host| !is_host(host)) {
        Some(wrong) => {
            Err(D::Error::custom(format!("expected a host such as a.lan or *.lan, got {wrong:?}")))
        }
        None => Ok(Some(hosts.iter().map(|host| host.trim_end_matches('.').to_lowercase()).collect())),
    }
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let paths: Vec<String> = Vec::deserialize(deserializer)?;
    match paths.iter().find(|path| !path.starts_with('/')) {
        Some(wrong) => {
            Err(D::Error::custom(format!("expected a path that begins with a slash, got {wrong:?}")))
        }
        None => Ok(Some(paths)),
    }
}

impl Limits {
    fn allows_host(&self, host: &str) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| {
            hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
                Some(suffix) => host.ends_with(suffix),
                None => host == allowed,
            })
        })
    }

    fn allows_path(&self, path: &str) -> bool {
        self.paths.as_ref().is_none_or(|paths| paths.iter().any(|allowed| path.starts_with(allowed)))
    }
}

impl ServiceConfig {
    /// Returns an error for each claim beyond `limits`.
    pub fn exceeding(&self, limits: &Limits) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        for protocol in PROTOCOLS {
            for (name, router) in self.section(protocol, "routers").into_iter().flatten() {
                let label = format!("traefik.{protocol}.routers.{name}");
                check_router(protocol, &label, router, limits, &mut errors);
            }
        }
        for ((protocol, name), options) in &self.server_options {
            if options.contains_key("url") && !limits.urls {
                let label = format!("traefik.{protocol}.services.{name}.loadbalancer.server.url");
                let message = format!("a service's token is for the addresses of its own tasks; {REMEDY}");
                errors.push(Diagnostic::new(label, message));
            }
        }
        if let Some((name, _)) = self.section("tls", "stores").and_then(|stores| stores.iter().next())
            && !limits.stores
        {
            let message = format!("the certificate store applies to all services; {REMEDY}");
            errors.push(Diagnostic::new(format!("traefik.tls.stores.{name}"), message));
        }
        self.check_references(limits, &mut errors);
        errors
    }

    fn check_references(&self, limits: &Limits, errors: &mut Vec<Diagnostic>) {
        references::visit(&mut self.tree.clone(), &mut |label, protocol, kind, name| {
            let is_limited = ["services", "serverstransports"].contains(&kind);
            let is_own = || {
                let own = own_name(protocol, kind, name);
                own.is_some_and(|own| {
                    self.section(protocol, kind).is_some_and(|own_ones| own_ones.contains_key(own))
                })
            };
            if is_limited && !name.is_empty() && !is_own() && !limits.references.contains(name) {
                let message = format!("{name} is not the service's own; {REMEDY}");
                errors.push(Diagnostic::new(label, message));
            }
        });
    }
}

fn check_router(protocol: &str, label: &str, router: &Value, limits: &Limits, errors: &mut Vec<Diagnostic>) {
    let mut error =
        |option: &str, message: String| errors.push(Diagnostic::new(format!("{label}.{option}"), message));
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if router.get("priority").is_some() && !limits.priority {
        error("priority", format!("a priority can take the requests of other services; {REMEDY}"));
    }
    if let Some(allowed) = &limits.entrypoints {
        let used = router.get("entrypoints").map(list).unwrap_or_default();
        if used.is_empty() || !used.iter().all(|used| allowed.contains(used)) {
            error("entrypoints", format!("the policy allows {}", one_of(allowed)));
        }
    }
    if let Some(allowed) = &limits.hosts {
        let is_limited = protocol == "udp" && limits.entrypoints.is_some()
            || is_confined(protocol, router, Part::Host, &|host| limits.allows_host(host));
        if !is_limited {
            let option = if protocol == "udp" { "entrypoints" } else { "rule" };
            error(
                option,
                format!("the policy allows requests for {} only; limit the rule with Host", one_of(allowed)),
            );
        }
        let domains = router.get("tls").and_then(|tls| tls.get("domains")).and_then(Value::as_array);
        let names = domains.into_iter().flatten().flat_map(|domain| {
            let main = domain.get("main").and_then(Value::as_str).map(str::to_owned);
            main.into_iter().chain(domain.get("sans").map(list).unwrap_or_default())
        });
        if let Some(name) = names.into_iter().find(|name| !limits.allows_host(&name.to_lowercase())) {
            error(
                "tls.domains",
                format!("the policy allows certificates for {} only, not {name}", one_of(allowed)),
            );
        }
    }
    if let Some(allowed) = &limits.paths {
        let is_limited = protocol == "udp" && limits.entrypoints.is_some()
            || is_confined(protocol, router, Part::Path, &|path| limits.allows_path(path));
        if !is_limited {
            let option = if protocol == "udp" { "entrypoints" } else { "rule" };
            let message = format!(
                "the policy allows paths that begin with {} only; limit the rule with Path or PathPrefix",
                one_of(allowed)
            );
            error(option, message);
        }
    }
}

/// Lists what is allowed: `a.lan or b.lan`.
fn one_of(allowed: &[String]) -> String {
    match allowed.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Labels;

    use crate::Exposure;

    use super::*;

    fn exceeding(limits: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        let limits: Limits = serde_json::from_str(limits).unwrap();
        let labels = pairs.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned()));
        let config = ServiceConfig::read("s", &Labels(labels.collect()), &Exposure::default()).unwrap();
        config.exceeding(&limits).iter().map(ToString::to_string).collect()
    }

    fn assert_exceeds(limits: &str, pairs: &[(&str, &str)], expected: &str) {
        let found = exceeding(limits, pairs);
        assert!(matches!(&found[..], [error] if error.contains(expected)), "{limits} {pairs:?}: {found:?}");
    }

    const RULE: (&str, &str) = ("http.routers.r.rule", "Host(`a.lan`)");

    #[test]
    fn labels_of_a_token_without_policy_reach_no_other_service() {
        let own = [
            RULE,
            ("http.routers.r.service", "w"),
            ("http.routers.r.middlewares", "auth@docker,m@file"),
            ("http.routers.r.tls.options", "modern@file"),
            ("http.services.w.weighted.services[0].name", "x@docker"),
            ("http.services.x.loadbalancer.serverstransport", "t"),
            ("http.serverstransports.t.servername", "a"),
            ("tcp.routers.r.rule", "HostSNI(`a`)"),
            ("tcp.routers.r.tls", "true"),
        ];
        assert_eq!(exceeding("{}", &own), [""; 0]);
        for (key, value, expected) in [
            ("http.routers.r.service", "api@internal", "api@internal is not the service's own"),
            ("http.routers.r.service", "nas@file", "nas@file is not"),
            ("http.routers.r.service", "other@docker", "other@http is not"),
            ("http.services.x.loadbalancer.serverstransport", "other", "other is not"),
            (
                "http.middlewares.m.errors.service",
                "other",
                "traefik.http.middlewares.m.errors.service: other is not",
            ),
            ("http.routers.r.priority", "5", "priority can take"),
            ("http.services.x.loadbalancer.server.url", "http://10.0.0.1", "server.url: a service's token"),
            ("tls.stores.default.defaultgeneratedcert.resolver", "le", "traefik.tls.stores.default: "),
        ] {
            assert_exceeds("{}", &[RULE, (key, value)], expected);
        }
        let allowed = r#"{"references": ["api@internal"], "priority": true, "urls": true, "stores": true}"#;
        let labels = [
            RULE,
            ("http.routers.r.service", "api@internal"),
            ("http.routers.r.priority", "5"),
            ("http.services.x.loadbalancer.server.url", "http://10.0.0.1"),
            ("tls.stores.default.defaultgeneratedcert.resolver", "le"),
        ];
        assert_eq!(exceeding(allowed, &labels), [""; 0]);
    }

    #[test]
    fn each_alternative_of_a_rule_is_limited_to_the_hosts() {
        let limits = r#"{"hosts": ["A.lan", "*.b.lan"]}"#;
        for rule in [
            "Host(`a.lan`)",
            "Host(`A.LAN.`) || Host(`x.y.b.lan`)",
            "Host(`*.b.lan`) && PathPrefix(`/`)",
            "(Host(`a.lan`) || Host(`c.b.lan`)) && !Host(`x`)",
        ] {
            assert_eq!(exceeding(limits, &[("http.routers.r.rule", rule)]), [""; 0], "{rule}");
        }
        for rule in [
            "PathPrefix(`/`)",
            "Host(`b.lan`)",
            "Host(`evilb.lan`)",
            "Host(`*`)",
            "!Host(`a.lan`)",
            "Host(`a.lan`) || Path(`/`)",
            "Host(`a.lan`) || Host(`other.lan`)",
            "HostRegexp(`^a.lan$`)",
        ] {
            assert_exceeds(limits, &[("http.routers.r.rule", rule)], "requests for a.lan or *.b.lan only");
        }
        let v2 = [("http.routers.r.rule", "Host(`a.lan`, `c.lan`)"), ("http.routers.r.rulesyntax", "v2")];
        assert_exceeds(limits, &v2, "requests for");
        let tcp = |rule| [("tcp.routers.r.rule", rule), ("tcp.routers.r.tls", "true")];
        assert_eq!(exceeding(limits, &tcp("HostSNI(`a.lan`)")), [""; 0]);
        assert_exceeds(limits, &tcp("HostSNI(`*`)"), "requests for");
        assert_exceeds(limits, &[("udp.routers.r.entrypoints", "dns")], "requests for");
        let domain = [RULE, ("http.routers.r.tls.domains[0].sans", "a.lan,other.lan")];
        assert_exceeds(limits, &domain, "not other.lan");
        assert_eq!(exceeding(r#"{"hosts": ["*"]}"#, &tcp("HostSNI(`*`)")), [""; 0]);
    }

    #[test]
    fn rules_are_limited_to_paths_and_entry_points() {
        let limits = r#"{"paths": ["/a/"], "entrypoints": ["web", "dns"]}"#;
        let router = |rule, point| [("http.routers.r.rule", rule), ("http.routers.r.entrypoints", point)];
        assert_eq!(exceeding(limits, &router("PathPrefix(`/a/`) || Path(`/a/b`)", "web")), [""; 0]);
        assert_exceeds(limits, &router("PathPrefix(`/a`)", "web"), "paths that begin with /a/ only");
        assert_exceeds(limits, &router("PathRegexp(`^/a/`)", "web"), "paths that begin with /a/ only");
        assert_exceeds(
            limits,
            &router("Path(`/a/`)", "web,traefik"),
            "entrypoints: the policy allows web or dns",
        );
        assert_exceeds(limits, &[("http.routers.r.rule", "Path(`/a/`)")], "the policy allows web or dns");
        assert_eq!(exceeding(limits, &[("udp.routers.r.entrypoints", "dns")]), [""; 0]);
        let tcp = [
            ("tcp.routers.r.rule", "HostSNI(`a`)"),
            ("tcp.routers.r.tls", "true"),
            ("tcp.routers.r.entrypoints", "web"),
        ];
        assert_exceeds(limits, &tcp, "paths that begin with /a/ only");
    }

    #[test]
    fn invalid_limits_name_the_value() {
        for (limits, expected) in [
            (r#"{"host": []}"#, "unknown field `host`"),
            (r#"{"hosts": ["http://a"]}"#, "got \"http://a\" at line 1"),
            (r#"{"paths": ["a"]}"#, "begins with a slash, got \"a\""),
        ] {
            let error = serde_json::from_str::<Limits>(limits).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
