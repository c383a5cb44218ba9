//! Types of the engine's responses, with the fields that the agent uses.

use std::collections::BTreeMap;

use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// Item of `GET /containers/json`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListedContainer {
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
    /// Begins with a slash.
    pub(crate) name: String,
    /// The program. With `args` it combines entry point and command.
    pub(crate) path: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) args: Vec<String>,
    pub(crate) state: ContainerState,
    pub(crate) config: ContainerConfig,
    pub(crate) host_config: HostConfig,
    pub(crate) network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ContainerState {
    pub(crate) running: bool,
    pub(crate) paused: bool,
    /// Waits for a restart. `running` is then also true.
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
pub(crate) struct ContainerConfig {
    pub(crate) hostname: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) exposed_ports: BTreeMap<String, Value>,
    pub(crate) stop_signal: Option<String>,
    /// Seconds; -1 means unlimited.
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
    /// Published ports by the port in the container, such as `80/tcp`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) ports: BTreeMap<String, Option<Vec<PortBinding>>>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) networks: BTreeMap<String, Option<Endpoint>>,
}

/// An address of the host at which a port of a container is published.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PortBinding {
    /// Empty or unspecified for all addresses.
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// A container's addresses on a network.
#[derive(Clone, Debug, Default, Derive)]
#[serde(default)]
pub(crate) struct Endpoint {
    /// IPv4 address, or empty.
    #[serde(rename = "IPAddress")]
    pub(crate) v4: String,
    /// IPv6 address, or empty.
    #[serde(rename = "GlobalIPv6Address")]
    pub(crate) v6: String,
}

/// `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    /// Host name.
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) swarm: Swarm,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Swarm {
    /// Address at which other nodes reach this one; empty outside of a swarm.
    pub(crate) node_addr: String,
    /// Whether the node is a manager.
    pub(crate) control_available: bool,
}

/// Item of `GET /services`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Service {
    pub(crate) version: Version,
    pub(crate) spec: ServiceSpec,
    /// The previous specification, if there is one.
    pub(crate) previous_spec: Option<ServiceSpec>,
    /// State of the last update that replaces tasks. A change of the specification resets it.
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
    /// For example `updating`; empty without an update.
    pub(crate) state: String,
    pub(crate) message: String,
}

/// Item of `GET /tasks`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Task {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// Number of the replica; 0 in global mode.
    pub(crate) slot: u64,
    #[serde(rename = "NodeID")]
    pub(crate) node_id: String,
    pub(crate) status: TaskStatus,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TaskStatus {
    pub(crate) state: String,
    pub(crate) err: String,
}

/// Mode of a service. That of global services and jobs has no `replicated`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Mode {
    pub(crate) replicated: Option<Replicated>,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Replicated {
    pub(crate) replicas: u64,
}

#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ServiceSpec {
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) mode: Mode,
    /// Complete, because any change of it replaces tasks.
    pub(crate) task_template: Value,
    /// Complete, for the same reason.
    pub(crate) endpoint_spec: Value,
}

/// Part of a task template.
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

/// Item of `GET /events`.
#[derive(Clone, Debug, Default, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Event {
    /// `container`, `network`, `service` or `node`.
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
    /// For a container, they include its labels.
    #[serde(deserialize_with = "or_default")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Reads `null` as the default: Go writes it for empty lists and maps.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
