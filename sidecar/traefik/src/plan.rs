//! What a service's labels ask of Traefik, checked before it gets there.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use protocol::Labels;
use serde_json::Value;

use crate::exposure::Exposure;
use crate::fields::as_bool;
use crate::tree::{Tree, object, read_all};
use crate::v1;

/// The protocols that have routers, services and middlewares.
pub(crate) const PROTOCOLS: [&str; 3] = ["http", "tcp", "udp"];

/// What a Traefik service may be instead of the instances themselves: it sends requests to other services.
const DISTRIBUTORS: [&str; 4] = ["weighted", "mirroring", "failover", "highestrandomweight"];

/// What a service's labels ask of Traefik: all but the addresses of its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// `http`, `tcp`, `udp` and `tls`, word for word, but for `loadbalancer.server`.
    pub(crate) tree: Tree,
    /// What `loadbalancer.server` said: port, scheme, … by protocol and Traefik service.
    pub(crate) server: BTreeMap<(String, String), Tree>,
    /// What has no successor among labels of Traefik 1, or means something else now.
    warnings: Vec<String>,
}

impl Plan {
    /// Reads the labels of `service`, those of Traefik 1 as [`v1::translate`] has them. Labels that are not Traefik's are
    /// left alone.
    ///
    /// This does what Traefik's providers for Docker and Swarm do with a container's labels, but that
    /// - a fault refuses the service (Traefik drops a router that has no rule, or too many services to choose from, and
    ///   goes on with the rest);
    /// - without a default rule there is no router of its own for a service that has none;
    /// - services that distribute requests, servers transports and options of TLS may be said in labels;
    /// - `traefik.docker.network` and the like are for whoever looks up addresses, and read by nobody here.
    ///
    /// # Errors
    /// Every fault found, each with the key of its label.
    pub fn read(service: &str, labels: &Labels, exposure: &Exposure) -> Result<Self, String> {
        let translated = v1::translate(service, labels, exposure.rule(service, labels).as_deref());
        let warnings = translated.warnings.iter().map(ToString::to_string).collect();
        let mut faults: Vec<String> = translated.faults.iter().map(ToString::to_string).collect();
        let mut today = translated.labels;
        // What a label says of today's counts, whatever an old one says.
        let others = labels.0.iter().filter(|(key, _)| !v1::is_v1(key));
        today.0.extend(others.map(|(key, value)| (key.clone(), value.clone())));
        let (mut tree, more) = read_all(&today);
        faults.extend(more);
        let enabled = tree.remove("enable").and_then(|value| as_bool(value.as_str()?));
        if !exposure.admits(enabled, labels) {
            // What is wrong with the rest harms nobody. That the switch itself cannot be read is another matter.
            let enable = faults.into_iter().find(|fault| is_about_enable(fault));
            return enable.map_or_else(|| Ok(Self::default()), Err);
        }
        for provider in ["docker", "swarm"] {
            tree.remove(provider);
        }
        let mut plan = Self { tree, server: BTreeMap::new(), warnings };
        plan.take_servers(&mut faults);
        plan.add_default_router(service, labels, exposure);
        plan.connect(service, labels, exposure, &mut faults);
        if faults.is_empty() { Ok(plan) } else { Err(faults.join("; ")) }
    }

    /// What is to be said of labels that are not faulty, each with its key.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether instances of the service get requests: it has routers or Traefik services.
    pub fn is_routed(&self) -> bool {
        PROTOCOLS.iter().any(|protocol| {
            ["routers", "services"]
                .iter()
                .any(|kind| self.section(protocol, kind).is_some_and(|s| !s.is_empty()))
        })
    }

    /// The names that the service claims and what it says of them: `http`, `routers`, `ping`.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
        self.tree.iter().flat_map(|(protocol, kinds)| {
            kinds.as_object().into_iter().flatten().flat_map(move |(kind, names)| {
                let names = names.as_object().into_iter().flatten();
                names.map(move |(name, value)| (protocol.as_str(), kind.as_str(), name.as_str(), value))
            })
        })
    }

    /// Certificates, which have no names.
    pub(crate) fn certificates(&self) -> &[Value] {
        let list = self.tree.get("tls").and_then(|tls| tls.get("certificates"));
        list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn section(&self, protocol: &str, kind: &str) -> Option<&Tree> {
        self.tree.get(protocol)?.get(kind)?.as_object()
    }

    fn has(&self, protocol: &str, kind: &str) -> bool {
        self.section(protocol, kind).is_some_and(|section| !section.is_empty())
    }

    fn take_servers(&mut self, faults: &mut Vec<String>) {
        for protocol in PROTOCOLS {
            let services = self.tree.get_mut(protocol).and_then(|protocol| protocol.get_mut("services"));
            for (name, service) in services.and_then(Value::as_object_mut).into_iter().flatten() {
                let label = format!("traefik.{protocol}.services.{name}");
                let Some(service) = service.as_object_mut() else { continue };
                if let Some(other) = DISTRIBUTORS.iter().find(|kind| service.contains_key(**kind))
                    && service.contains_key("loadbalancer")
                {
                    faults.push(format!("{label}: it is both loadbalancer and {other}"));
                }
                let balancer = service.get_mut("loadbalancer").and_then(Value::as_object_mut);
                let Some(Value::Object(server)) = balancer.and_then(|balancer| balancer.remove("server"))
                else {
                    continue;
                };
                let label = format!("{label}.loadbalancer.server");
                let port = server.get("port").and_then(Value::as_str);
                if let Some(port) = port.filter(|port| port.parse::<NonZeroU16>().is_err()) {
                    faults.push(format!("{label}.port: a port from 1 to 65535 is expected, not {port:?}"));
                }
                if let Some(part) = ["port", "scheme"].iter().find(|part| server.contains_key(**part))
                    && server.contains_key("url")
                {
                    faults.push(format!("{label}.{part}: it is part of the URL already, which a label says"));
                }
                self.server.insert((protocol.to_owned(), name.clone()), server);
            }
        }
    }

    /// Gives the service a router of its own if labels give it none, as Traefik's own providers do: not where they speak
    /// of TCP or UDP alone, and not where there are several services to choose from.
    fn add_default_router(&mut self, service: &str, labels: &Labels, exposure: &Exposure) {
        let others = ["tcp", "udp"]
            .iter()
            .any(|protocol| self.has(protocol, "routers") || self.has(protocol, "services"));
        let http =
            ["routers", "services", "middlewares"].iter().any(|kind| self.section("http", kind).is_some());
        let choice = self.section("http", "services").map_or(0, Tree::len);
        if self.section("http", "routers").is_some() || (others && !http) || choice > 1 {
            return;
        }
        if let Some(rule) = exposure.rule(service, labels) {
            let http = object(self.tree.entry("http"));
            object(http.entry("routers")).insert(service.to_owned(), Value::from_iter([("rule", rule)]));
        }
    }

    /// Gives each router its service and rule where labels leave them out, as Traefik's own providers do.
    fn connect(&mut self, service: &str, labels: &Labels, exposure: &Exposure, faults: &mut Vec<String>) {
        for protocol in PROTOCOLS {
            let Some(kinds) = self.tree.get_mut(protocol).and_then(Value::as_object_mut) else { continue };
            let services: Vec<String> = kinds
                .get("services")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            let mut wants_own = false;
            for (name, router) in
                kinds.get_mut("routers").and_then(Value::as_object_mut).into_iter().flatten()
            {
                let label = format!("traefik.{protocol}.routers.{name}");
                let Some(router) = router.as_object_mut() else { continue };
                if is_blank(router, "rule") && protocol != "udp" {
                    match exposure.rule(service, labels).filter(|_| protocol == "http") {
                        Some(rule) => drop(router.insert("rule".to_owned(), rule.into())),
                        None => faults.push(format!("{label}: it has no rule")),
                    }
                }
                if !is_blank(router, "service") {
                    continue;
                }
                let target = match services.as_slice() {
                    [] => service,
                    [only] => only,
                    several => {
                        let names = several.join(", ");
                        faults.push(format!("{label}: it names no service, and there are {names}"));
                        continue;
                    }
                };
                wants_own |= services.is_empty();
                router.insert("service".to_owned(), target.into());
            }
            if wants_own {
                object(kinds.entry("services")).insert(service.to_owned(), Value::Object(Tree::new()));
            }
        }
    }
}

/// Whether requests for a Traefik service go to instances, and not to other services.
pub(crate) fn has_servers(service: &Value) -> bool {
    !DISTRIBUTORS.iter().any(|kind| service.get(kind).is_some())
}

fn is_blank(router: &Tree, option: &str) -> bool {
    router.get(option).and_then(Value::as_str).is_none_or(str::is_empty)
}

fn is_about_enable(fault: &str) -> bool {
    fault.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case("traefik.enable"))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
