//! A service's part of Traefik's dynamic configuration, read from its labels and checked.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use protocol::Labels;
use serde_json::Value;

use crate::default_rule::normalize;
use crate::diagnostic::{Diagnostic, ENOUGH, LabelErrors, Translation};
use crate::document::transport;
use crate::exposure::Exposure;
use crate::references::Reference;
use crate::tls::HostRouter;
use crate::tree::{Parsed, Tree, check_service_name, object, parse};
use crate::{definitions, graph, rule};

/// The protocols that have routers, services and middlewares.
pub(crate) const PROTOCOLS: [&str; 3] = ["http", "tcp", "udp"];

/// Maximum number of names in a message.
const MAX_NAMES: usize = 5;

/// A service's part of Traefik's dynamic configuration: everything except the addresses of its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The sections `http`, `tcp`, `udp` and `tls`, without `loadbalancer.server`.
    pub(crate) tree: Tree,
    /// The options of `loadbalancer.server` (port, scheme, …) by protocol and Traefik service.
    pub(crate) server_options: BTreeMap<(String, String), Tree>,
    /// References to definitions that the hub should have.
    pub(crate) references: Vec<Reference>,
    /// Routers that name hosts, with their TLS options.
    pub(crate) hosts: Vec<HostRouter>,
    warnings: Vec<Diagnostic>,
}

impl ServiceConfig {
    /// Reads the labels of `service`. Labels that do not begin with `traefik.` are ignored.
    ///
    /// This follows Traefik's Docker and Swarm providers, with these differences:
    /// - an error rejects the whole service (Traefik drops a router that has no rule, or that has several services to
    ///   choose from, and continues with the rest);
    /// - without a default rule, a service without router labels gets no router;
    /// - labels may define weighted services, servers transports and TLS options;
    /// - an option that would stop, block or exhaust Traefik is an error, and so is one that reads a file on its host;
    /// - `traefik.docker.*` and `traefik.swarm.*` are ignored: the sidecar and the agent choose the address.
    ///
    /// # Errors
    /// Every error found in the labels.
    pub fn read(service: &str, labels: &Labels, exposure: &Exposure) -> Result<Self, LabelErrors> {
        let default_rule = exposure.rule_for(service, labels);
        let translation = Translation { labels: labels.clone(), ..Translation::default() };
        Self::from_translation(service, labels, translation, default_rule.as_deref(), exposure)
    }

    /// Does the same for labels that were translated from an older version of Traefik. Constraints apply to the
    /// `original` labels; `default_rule` is the rule for routers that have none.
    ///
    /// # Errors
    /// Every error found in the labels or in their translation.
    pub fn from_translation(
        service: &str,
        original: &Labels,
        translation: Translation,
        default_rule: Option<&str>,
        exposure: &Exposure,
    ) -> Result<Self, LabelErrors> {
        let Translation { labels, mut warnings, mut errors } = translation;
        let Parsed { mut tree, warnings: more_warnings, errors: more_errors } = parse(&labels);
        warnings.extend(more_warnings);
        errors.extend(more_errors);
        let enabled = tree.remove("enable").and_then(|value| parse::go_bool(value.as_str()?));
        if !exposure.admits(enabled, original) {
            // Errors in the other labels do no harm here. An unreadable `traefik.enable` may be why it is not admitted.
            errors.retain(|error| error.label.eq_ignore_ascii_case("traefik.enable"));
            return if errors.is_empty() { Ok(Self::default()) } else { Err(LabelErrors(errors)) };
        }
        for provider in ["docker", "swarm"] {
            tree.remove(provider);
        }
        let mut config = Self { tree, warnings, ..Self::default() };
        config.extract_server_options(&mut errors);
        // The name of what the labels do not name, as in Traefik.
        let name = normalize(service);
        config.add_default_router(&name, default_rule);
        config.complete_routers(&name, default_rule, &mut errors);
        if errors.len() >= ENOUGH {
            return Err(LabelErrors(errors));
        }
        rule::check_routers(&config.tree, &mut config.warnings, &mut errors);
        config.find_references();
        config.find_hosts();
        if let Some(message) = check_service_name(service, &name).err().filter(|_| config.is_routed()) {
            errors.push(Diagnostic::new("service", message));
        }
        errors.extend(definitions::check(&config.tree));
        errors.extend(graph::check(|_, _, _| None, &config.tree));
        if errors.is_empty() { Ok(config) } else { Err(LabelErrors(errors)) }
    }

    /// Warnings about labels that are valid but have no effect, or an effect that the operator may not expect.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Whether instances of the service receive requests: it has routers or Traefik services.
    pub fn is_routed(&self) -> bool {
        PROTOCOLS.iter().any(|protocol| self.has(protocol, "routers") || self.has(protocol, "services"))
    }

    /// Names that the service defines, with protocol, kind and definition: (`http`, `routers`, `ping`, …).
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
        self.tree.iter().flat_map(|(protocol, kinds)| {
            kinds.as_object().into_iter().flatten().flat_map(move |(kind, names)| {
                let names = names.as_object().into_iter().flatten();
                names.map(move |(name, value)| (protocol.as_str(), kind.as_str(), name.as_str(), value))
            })
        })
    }

    /// Returns an error if this would close a cycle of references, or nest or multiply them too often, together with the
    /// definitions of other services. `present` returns these by protocol, kind and name.
    ///
    /// A cycle of TCP or UDP services overflows Traefik's stack and ends the process. Two services can form one together.
    pub fn find_cycle<'a>(
        &'a self,
        present: impl Fn(&str, &str, &str) -> Option<&'a Value>,
    ) -> Option<String> {
        graph::check(present, &self.tree).first().map(ToString::to_string)
    }

    /// Returns whether `other` has the same definitions. The options of servers may differ.
    pub fn defines_the_same(&self, other: &Self) -> bool {
        self.tree == other.tree
    }

    /// Returns an error for each label that sets a port without a published one, unless no port is published.
    pub fn unpublished_ports(&self, published: &BTreeMap<String, NonZeroU16>) -> Vec<Diagnostic> {
        let options = self.server_options.iter().filter(|_| !published.is_empty());
        let ports = options.filter_map(|((protocol, name), options)| {
            let port = format!("{}/{}", options.get("port")?.as_str()?, transport(protocol));
            (!published.contains_key(&port)).then(|| {
                let known = published.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let message =
                    format!("the container does not publish its port {port} on this host, only {known}");
                Diagnostic::new(
                    format!("traefik.{protocol}.services.{name}.loadbalancer.server.port"),
                    message,
                )
            })
        });
        ports.collect()
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn section(&self, protocol: &str, kind: &str) -> Option<&Tree> {
        self.tree.get(protocol)?.get(kind)?.as_object()
    }

    fn has(&self, protocol: &str, kind: &str) -> bool {
        self.section(protocol, kind).is_some_and(|section| !section.is_empty())
    }

    /// Moves `loadbalancer.server` out of the tree and checks it.
    fn extract_server_options(&mut self, errors: &mut Vec<Diagnostic>) {
        for protocol in PROTOCOLS {
            let services = self.tree.get_mut(protocol).and_then(|protocol| protocol.get_mut("services"));
            for (name, service) in services.and_then(Value::as_object_mut).into_iter().flatten() {
                let label = format!("traefik.{protocol}.services.{name}");
                let Some(service) = service.as_object_mut() else { continue };
                let balancer = service.get_mut("loadbalancer").and_then(Value::as_object_mut);
                let Some(Value::Object(options)) = balancer.and_then(|balancer| balancer.remove("server"))
                else {
                    continue;
                };
                let label = format!("{label}.loadbalancer.server");
                let port = options.get("port").and_then(Value::as_str);
                if let Some(port) = port.filter(|port| port.parse::<NonZeroU16>().is_err()) {
                    let label = format!("{label}.port");
                    errors.push(Diagnostic::expected(label, "a port from 1 to 65535", port));
                }
                if let Some(part) = ["port", "scheme"].iter().find(|part| options.contains_key(**part))
                    && options.contains_key("url")
                {
                    errors.push(Diagnostic::new(
                        format!("{label}.{part}"),
                        format!("conflicts with {label}.url, which contains the {part}; remove one of them"),
                    ));
                }
                self.server_options.insert((protocol.to_owned(), name.clone()), options);
            }
        }
    }

    /// Adds a router if the labels define none, as Traefik's providers do; but not if the labels are about TCP or UDP
    /// only, and not if there are several services to choose from.
    fn add_default_router(&mut self, name: &str, default_rule: Option<&str>) {
        let Some(rule) = default_rule else { return };
        let has_stream = ["tcp", "udp"]
            .iter()
            .any(|protocol| self.has(protocol, "routers") || self.has(protocol, "services"));
        let has_http =
            ["routers", "services", "middlewares"].iter().any(|kind| self.section("http", kind).is_some());
        let services = self.section("http", "services").map_or(0, Tree::len);
        if self.section("http", "routers").is_some() || (has_stream && !has_http) || services > 1 {
            return;
        }
        let http = object(self.tree.entry("http"));
        object(http.entry("routers")).insert(name.to_owned(), Value::from_iter([("rule", rule)]));
    }

    /// Gives each router the service and the rule that its labels leave out, as Traefik's providers do.
    fn complete_routers(&mut self, own_name: &str, default_rule: Option<&str>, errors: &mut Vec<Diagnostic>) {
        for protocol in PROTOCOLS {
            let Some(kinds) = self.tree.get_mut(protocol).and_then(Value::as_object_mut) else { continue };
            let services = kinds.get("services").and_then(Value::as_object);
            let services: Vec<String> =
                services.map_or_else(Vec::new, |services| services.keys().cloned().collect());
            let mut needs_own_service = false;
            let routers = kinds.get_mut("routers").and_then(Value::as_object_mut);
            for (name, router) in routers.into_iter().flatten() {
                let label = format!("traefik.{protocol}.routers.{name}");
                let Some(router) = router.as_object_mut() else { continue };
                if errors.len() >= ENOUGH {
                    return;
                }
                if is_blank(router, "rule") && protocol != "udp" {
                    match default_rule.filter(|_| protocol == "http") {
                        Some(rule) => drop(router.insert("rule".to_owned(), rule.into())),
                        None => errors.push(Diagnostic::new(
                            &label,
                            format!("the router has no rule; set {label}.rule"),
                        )),
                    }
                }
                if !is_blank(router, "service") {
                    continue;
                }
                let target = match services.as_slice() {
                    [] => own_name,
                    [only] => only,
                    several => {
                        let names = several[..several.len().min(MAX_NAMES)].join(", ");
                        let more = if several.len() > MAX_NAMES { ", …" } else { "" };
                        let message = format!(
                            "the router names no service and there are several ({names}{more}); set {label}.service"
                        );
                        errors.push(Diagnostic::new(label, message));
                        continue;
                    }
                };
                needs_own_service |= services.is_empty();
                router.insert("service".to_owned(), target.into());
            }
            if needs_own_service {
                object(kinds.entry("services")).insert(own_name.to_owned(), Value::Object(Tree::new()));
            }
        }
    }
}

/// Whether a Traefik service forwards to servers, and not to other services.
pub(crate) fn has_servers(service: &Value) -> bool {
    service.get("weighted").is_none()
}

fn is_blank(router: &Tree, option: &str) -> bool {
    router.get(option).and_then(Value::as_str).is_none_or(str::is_empty)
}

#[cfg(test)]
#[path = "service_config_tests.rs"]
mod tests;
