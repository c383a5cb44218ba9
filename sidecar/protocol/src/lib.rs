//! What sidecar, agent and hub say to each other, as types. No I/O, no clock: time is passed in by those who use it.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /v1/instances/ID?wait=2s` | [`Registration`] | [`Lease`]; with `wait`, as soon as the routing is decided |
//! | `DELETE /v1/instances/ID?wait=10s` | | [`Withdrawal`], when every router has confirmed or the wait is over |
//! | `GET /v1/instances` | | a list of [`Instance`] |
//! | `POST /v1/heartbeat` | | [`Heartbeat`]: all leases that the connection holds are renewed |
//! | `PUT /v1/managers/NODE` | [`Services`] | an empty object |
//!
//! Every request but `GET` carries the token as `authorization: Bearer TOKEN`. An answer that is not 2xx has a
//! [`Fault`] as its body, unless it is HTTP's rules or the size of a body that were not kept to. A lease is bound to the
//! connection that last renewed it: when that closes without a `DELETE`, and no other takes its place within a short
//! grace, the instance is out. An agent's grace is longer: its end is not that of the tasks that it speaks for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

mod id;
mod labels;
mod number;

pub use id::{InstanceId, InvalidId};
pub use labels::{Labels, LabelsError};

/// Where the hub keeps its instances: the path's part before the [`InstanceId`].
pub const INSTANCES: &str = "/v1/instances";

/// Where all leases of a connection are renewed at once.
pub const HEARTBEAT: &str = "/v1/heartbeat";

/// Where managers of the swarm tell what they know: the path's part before the node's name.
pub const MANAGERS: &str = "/v1/managers";

/// A task's own word of itself: who it is, where it listens, how it is. Repeated whole as the lease's heartbeat, so
/// that a hub which has lost everything learns everything from the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The service that this task belongs to; in Swarm its full name, such as `demo_ping`.
    pub service: String,
    /// The name of the host that the task sees, which it also shows to its clients.
    pub host: String,
    /// Swarm's name of the node that the task runs on, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Swarm's slot: the number of a replica, or the node's ID in global mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Where the router reaches the task.
    pub address: IpAddr,
    /// The service's port, unless a label says another.
    #[serde(deserialize_with = "number::port")]
    pub port: NonZeroU16,
    /// When the task began, in milliseconds of Unix time: of two generations the later one's labels count.
    #[serde(deserialize_with = "number::whole")]
    pub started: u64,
    /// How the service's own probe finds it.
    pub health: Health,
    /// The service's labels, word for word.
    #[serde(default)]
    pub labels: Labels,
    /// Who speaks for the task.
    #[serde(default, skip_serializing_if = "Source::is_sidecar")]
    pub source: Source,
}

/// Who speaks for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Its own PID 1: its connection ends with the task.
    #[default]
    Sidecar,
    /// An agent on the same node, which may come and go while the task runs.
    Agent,
}

impl Source {
    /// Whether it is the task's own sidecar.
    pub fn is_sidecar(&self) -> bool {
        *self == Self::Sidecar
    }
}

/// What the probe says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not yet well since it started.
    Starting,
    /// Fit for requests.
    Healthy,
    /// Was well, and is no more.
    Unhealthy,
}

/// The hub's answer to a [`Registration`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The configuration's generation at the time of the answer. It only grows during a hub's life.
    pub generation: u64,
    /// For how long the registration holds without a heartbeat, in milliseconds.
    pub ttl_ms: u64,
    /// Whether requests reach the instance.
    pub routing: Routing,
}

/// Whether requests reach an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Routing {
    /// It is not to be routed: no label asks for it, or `traefik.enable=false`.
    Unrouted,
    /// It will be once it is healthy, or once every router has confirmed.
    Pending,
    /// Every router that polls has fetched a configuration with this instance in it.
    Confirmed,
    /// Its labels are faulty or claim what another service holds.
    Refused {
        /// What was wrong, and where.
        reason: String,
    },
}

impl Routing {
    /// Whether waiting longer could change it.
    pub fn is_pending(&self) -> bool {
        *self == Self::Pending
    }
}

/// The hub's answer to a heartbeat for all leases of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The configuration's generation at the time of the answer.
    pub generation: u64,
    /// For how long the leases hold without a heartbeat, in milliseconds.
    pub ttl_ms: u64,
    /// How many leases the connection holds.
    pub leases: usize,
}

/// What a manager of the swarm knows of its services. It replaces whatever the same manager has told before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// By the service's full name, such as `demo_ping`.
    pub services: BTreeMap<String, ServiceSpec>,
}

/// What a service's specification says now, while its tasks may still be those of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Swarm's index of the specification: of two managers the one with the higher index knows better.
    #[serde(deserialize_with = "number::whole")]
    pub version: u64,
    /// `deploy.labels`, word for word.
    #[serde(default)]
    pub labels: Labels,
    /// Whether its tasks' sidecars have their labels from here, by a template in their environment: then these are all
    /// that they have, and replace those which a task was started with.
    #[serde(default)]
    pub templated: bool,
    /// Whether no update is under way that replaces tasks: then a task with other labels will not be replaced by itself,
    /// and those labels are merely old. During an update they are those of an earlier generation, which fit it.
    #[serde(default)]
    pub settled: bool,
}

/// The hub's answer to a withdrawal. An empty `pending` means that no router sends requests to the instance any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The routers that have taken a configuration without the instance into use.
    pub confirmed: Vec<String>,
    /// The routers that had not when the wait was over.
    pub pending: Vec<String>,
}

/// One line of the hub's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique among tasks; in Swarm the task's name.
    pub id: InstanceId,
    /// What the task last said of itself.
    #[serde(flatten)]
    pub registration: Registration,
    /// Whether requests reach it.
    pub routing: Routing,
    /// Whether the connection that holds the lease is open.
    pub connected: bool,
    /// Whether the task was started with other labels than its service has now. Those that count are the service's.
    #[serde(default)]
    pub stale: bool,
}

/// The body of an answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What was wrong, and where.
    pub error: String,
}
