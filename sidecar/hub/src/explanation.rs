//! A service as the hub knows it: the response to `GET /v1/services/NAME`, which the commands of the hub read. Pure.

use protocol::{Instance, InstanceId, Labels, Update};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A service, without the values that only routers may receive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// Swarm's version index of the service, as the hub knows it from a manager.
    pub(crate) version: Option<u64>,
    /// Labels that apply to its instances, each set once.
    pub(crate) labels: Vec<LabelSet>,
    /// Definitions in the configuration for Traefik, with the instances as servers.
    pub(crate) configuration: Value,
    /// Labels without effect, and the like.
    pub(crate) warnings: Vec<String>,
    /// Errors and warnings of routers about these definitions.
    pub(crate) reports: Vec<RouterReport>,
    pub(crate) instances: Vec<Instance>,
    /// Answer of a manager's agent, if the request asks for it.
    pub(crate) update: Option<Update>,
}

/// Labels of some instances of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelSet {
    pub(crate) labels: Labels,
    pub(crate) instances: Vec<InstanceId>,
}

/// Messages of a router (Traefik instance).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouterReport {
    pub(crate) router: String,
    /// Each begins with the name of a definition, such as `http.routers.ping`.
    pub(crate) messages: Vec<String>,
}

/// Returns the error for a service that does not exist, with the names that the client may mean.
pub(crate) fn no_such_service<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let suffix = format!("_{name}");
    let similar = names.clone().find(|known| known.ends_with(&suffix));
    if let Some(similar) = similar.or_else(|| traefik::suggest(name, names.clone())) {
        return format!("no service {name:?}; did you mean {similar:?}?");
    }
    let known: Vec<_> = names.take(MAX_NAMES).collect();
    if known.is_empty() {
        return format!("no service {name:?}; the hub knows no service");
    }
    format!("no service {name:?}; there are {}", known.join(", "))
}

/// Maximum number of names in an error.
const MAX_NAMES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_for_an_unknown_service_names_a_similar_one_or_all() {
        let error = |name, names: &[&'static str]| no_such_service(name, names.iter().copied());
        let both = ["demo_hello", "demo_ping"];
        assert!(error("ping", &both).ends_with("did you mean \"demo_ping\"?"));
        assert!(error("demo_helo", &both).ends_with("did you mean \"demo_hello\"?"));
        assert!(error("other", &both).ends_with("there are demo_hello, demo_ping"));
        assert!(error("ping", &[]).ends_with("knows no service"));
    }
}
