//! Which services are routed at all, and by which rule if their labels have none: what Traefik's providers for Docker
//! and Swarm call `exposedByDefault`, `constraints` and `defaultRule`.

use protocol::Labels;

use crate::{Constraints, DefaultRule};

/// What whoever runs the hub says for all services.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// Whether services are routed that do not say `traefik.enable`.
    pub by_default: bool,
    /// What the labels of a service have to be like; all are if there are none.
    pub constraints: Option<Constraints>,
    /// For services that no label gives a router, and routers that no label gives a rule.
    pub default_rule: Option<DefaultRule>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self { by_default: true, constraints: None, default_rule: None }
    }
}

impl Exposure {
    /// Whether a service with these labels may be routed; `enabled` is what `traefik.enable` says.
    pub(crate) fn admits(&self, enabled: Option<bool>, labels: &Labels) -> bool {
        let constraints = self.constraints.as_ref();
        enabled.unwrap_or(self.by_default) && constraints.is_none_or(|constraints| constraints.admit(labels))
    }

    /// The rule that a router of `service` gets if it has none; none if there is none for it either.
    pub fn rule_for(&self, service: &str, labels: &Labels) -> Option<String> {
        self.default_rule.as_ref().map(|rule| rule.of(service, labels)).filter(|rule| !rule.is_empty())
    }
}
