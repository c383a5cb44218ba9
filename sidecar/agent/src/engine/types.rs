//! What is read of an engine's answers: of each only what is used.

use std::collections::BTreeMap;

use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// One line of `GET /containers/json`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Listed {
    pub(crate) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) network_settings: NetworkSettings,
}

/// `GET /containers/ID/json`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Inspection {
    pub(crate) id: String,
    /// With a slash in front.
    pub(crate) name: String,
    /// What is executed, with `args`: the entry point and the command.
    pub(crate) path: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) args: Vec<String>,
    pub(crate) state: State,
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
    pub(crate) network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct State {
    pub(crate) running: bool,
    pub(crate) paused: bool,
    /// Has ended and will be started again. Then it is `running` too.
    pub(crate) restarting: bool,
    pub(crate) started_at: String,
    pub(crate) health: Option<Health>,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Health {
    pub(crate) status: String,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Config {
    pub(crate) hostname: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) exposed_ports: BTreeMap<String, Value>,
    pub(crate) stop_signal: Option<String>,
    /// Seconds; -1 is for ever.
    pub(crate) stop_timeout: Option<i64>,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HostConfig {
    pub(crate) network_mode: String,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkSettings {
    #[serde(deserialize_with = "or_default")]
    pub(crate) networks: BTreeMap<String, Option<Endpoint>>,
}

/// A container's end on a network.
#[derive(Clone, Debug, Default, Derive)]
#[serde(default)]
pub(crate) struct Endpoint {
    /// Empty if there is none.
    #[serde(rename = "IPAddress")]
    pub(crate) v4: String,
    /// Empty if there is none.
    #[serde(rename = "GlobalIPv6Address")]
    pub(crate) v6: String,
}

/// `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    /// The host's.
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) swarm: Swarm,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Swarm {
    /// Where the other nodes reach this one; empty outside a swarm.
    pub(crate) node_addr: String,
    /// Whether it is a manager.
    pub(crate) control_available: bool,
}

/// One line of `GET /services`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Service {
    pub(crate) version: Version,
    pub(crate) spec: ServiceSpec,
    /// The one before, if there was one.
    pub(crate) previous_spec: Option<ServiceSpec>,
    /// How the last update that replaces tasks goes. Gone as soon as the specification changes again.
    #[serde(deserialize_with = "or_default")]
    pub(crate) update_status: UpdateStatus,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Version {
    pub(crate) index: u64,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UpdateStatus {
    /// Such as `updating`; empty if there was no update.
    pub(crate) state: String,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ServiceSpec {
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    /// Whole, since whatever changes in it replaces tasks.
    pub(crate) task_template: Value,
    /// The same.
    pub(crate) endpoint_spec: Value,
}

/// A part of a task's template.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ContainerSpec {
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) command: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) args: Vec<String>,
}

/// One line of `GET /events`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Event {
    /// Of what: `container`, `network`, `service`, `node`.
    pub(crate) r#type: String,
    pub(crate) action: String,
    pub(crate) actor: Actor,
    /// Nanoseconds of Unix time.
    #[serde(rename = "timeNano")]
    pub(crate) time: u64,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Actor {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// A container's labels are among them.
    #[serde(deserialize_with = "or_default")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Go writes `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
