//! Messages between sidecar, agent and hub. No I/O and no clock: callers pass the time in.
//!
//! | request | body | response |
//! |---|---|---|
//! | `PUT /v1/instances/ID?wait=2s` | [`Registration`] | [`Lease`]; with `wait`, as soon as the routing is decided, or after a third of the lease's time to live |
//! | `DELETE /v1/instances/ID?wait=10s` | | [`Withdrawal`], once every router has acknowledged or `wait` has passed |
//! | `GET /v1/instances` | | list of [`Instance`] |
//! | `POST /v1/heartbeat` | | [`Heartbeat`]: renews all leases of the connection |
//! | `PUT /v1/managers/NODE` | [`Services`] | empty object |
//! | `PUT /v1/updates/SERVICE` | [`Update`] | empty object |
//! | `GET /v1/routed/SERVICE` | | [`Routed`] |
//!
//! Every request carries a token as `authorization: Bearer TOKEN`: that of the service, or of another role. A response that is not 2xx has an
//! [`ErrorBody`], unless the request was malformed HTTP or its body too large.
//!
//! A lease is bound to the connection that last renewed it. If that connection closes without a `DELETE` and no other
//! connection renews the lease within a short grace period, the hub removes the instance. The grace period is longer
//! for an agent, since the end of the agent is not the end of the containers that it registered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod id;
mod labels;
mod number;

pub use id::InstanceId;
pub use labels::Labels;

/// Path of the instances. A single instance is at `INSTANCES/ID`.
pub const INSTANCES: &str = "/v1/instances";

/// Path that renews all leases of a connection.
pub const HEARTBEAT: &str = "/v1/heartbeat";

/// Path of the swarm's managers. A single manager publishes to `MANAGERS/NODE`.
pub const MANAGERS: &str = "/v1/managers";

/// Path of updates. A manager's agent tells that of a service at `UPDATES/SERVICE`, when a [`Heartbeat`] asks for it.
pub const UPDATES: &str = "/v1/updates";

/// Path that tells whether a service is routed: `ROUTED/SERVICE`.
pub const ROUTED: &str = "/v1/routed";

/// Everything that the hub has to know about a task. Each renewal repeats it in full, so a hub that lost its state
/// recovers it from the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Name of the service that the task belongs to; in Swarm its full name, such as `demo_ping`.
    pub service: String,
    /// Host name of the task, which the service also shows to its clients.
    pub host: String,
    /// Swarm node that the task runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Swarm slot: the number of the replica, or the node's ID in global mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Address at which routers reach the task.
    pub address: IpAddr,
    /// Port of the service, unless a label sets another one.
    #[serde(deserialize_with = "number::port")]
    pub port: NonZeroU16,
    /// Start time of the task by its node's clock, in milliseconds since the Unix epoch. Identifies a start of the task:
    /// a withdrawn task cannot register again.
    #[serde(deserialize_with = "number::integer")]
    pub started: u64,
    /// Time since that start, in milliseconds. Of two generations, the labels of the later one apply, and clocks of nodes
    /// may differ.
    #[serde(default, deserialize_with = "number::integer", skip_serializing_if = "is_zero")]
    pub age_ms: u64,
    /// Result of the service's health probe.
    pub health: Health,
    /// Labels of the service, unchanged. Those of all its instances are usually the same.
    #[serde(default)]
    pub labels: Arc<Labels>,
    /// Program that registers the task.
    #[serde(default, skip_serializing_if = "Source::is_sidecar")]
    pub source: Source,
    /// Ports of `address` by the port in the container, such as `8080/tcp`, if routers reach the task at published ports only.
    /// Labels name the port in the container.
    #[serde(default, deserialize_with = "number::ports", skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, NonZeroU16>,
    /// Ticket from the last [`Lease`] of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Program that registers a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The task's own PID 1. Its connection ends with the task.
    #[default]
    Sidecar,
    /// An agent on the same node, which may restart while the task runs.
    Agent,
}

impl Source {
    /// Returns whether the task's own sidecar registers it.
    pub fn is_sidecar(&self) -> bool {
        *self == Self::Sidecar
    }
}

/// Health of a service, from its probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not healthy yet since the start.
    #[default]
    Starting,
    /// Ready for requests.
    Healthy,
    /// Healthy before, but not now.
    Unhealthy,
}

/// Response to a [`Registration`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Generation of the configuration when the hub responded. It only grows while the hub runs.
    pub generation: u64,
    /// Time to live of the lease without a renewal, in milliseconds.
    pub ttl_ms: u64,
    /// Routing state of the instance.
    pub routing: Routing,
    /// Names of the routers that have to acknowledge the instance: those that poll this hub, and those that polled it a
    /// moment ago.
    pub routers: Vec<String>,
    /// Whether no router polls a hub that started recently, so that it expects one. If neither, the instance can be
    /// pending forever.
    #[serde(default)]
    pub expects_router: bool,
    /// Ticket of the service: when a hub first saw it. The next registrations repeat it, also with other hubs. Of two
    /// services in conflict, the one with the earlier ticket is routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// Routing state of an instance: whether requests reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Routing {
    /// No label asks for a route, or `traefik.enable=false`.
    Unrouted,
    /// The instance is not healthy yet, or not every router has acknowledged it.
    Pending,
    /// Every router that polls has fetched a configuration with this instance.
    Confirmed,
    /// The labels are invalid or conflict with those of another service.
    Refused {
        /// The label and what is wrong with it.
        reason: String,
    },
}

/// Response to a heartbeat, which renews all leases of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Generation of the configuration when the hub responded.
    pub generation: u64,
    /// Time to live of the leases without a renewal, in milliseconds.
    pub ttl_ms: u64,
    /// Number of leases that the connection holds.
    pub leases: usize,
    /// Identity of this run of the hub. Two addresses with the same one lead to the same hub.
    #[serde(default)]
    pub hub: String,
    /// Address at which the client reached the hub. If it is not the one to which the client connected, that one may lead
    /// to another hub each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Services of which a manager's agent should tell the [`Update`], each with the number of the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, u64>,
}

/// State of a service's latest update, as a manager knows it after it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Number of the question.
    #[serde(deserialize_with = "number::integer")]
    pub number: u64,
    /// Swarm's version index of the service.
    #[serde(deserialize_with = "number::integer")]
    pub version: u64,
    /// Number of tasks that the service should have. A global service has at least one, and its nodes decide the number.
    #[serde(deserialize_with = "number::integer")]
    pub replicas: u64,
    /// Swarm's state of the update, such as `updating`; empty before the first update.
    #[serde(default)]
    pub state: String,
    /// Swarm's description of that state.
    #[serde(default)]
    pub message: String,
    /// Tasks of the current specification that should run, with Swarm's state of each: `running`, or `pending: no suitable node`.
    #[serde(default)]
    pub tasks: BTreeMap<InstanceId, String>,
}

/// Whether a service is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// Whether every router that polls the hub sends requests to at least one task of the service.
    pub routed: bool,
}

/// Services of the swarm as one manager knows them. They replace everything that this manager published before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// Specifications by the service's full name, such as `demo_ping`.
    pub services: BTreeMap<String, ServiceSpec>,
}

/// Current specification of a service. Its tasks may still be those of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Swarm's version index of the specification. Of two managers, the one with the higher index is more recent.
    #[serde(deserialize_with = "number::integer")]
    pub version: u64,
    /// `deploy.labels`, unchanged.
    #[serde(default)]
    pub labels: Labels,
    /// Whether the sidecars of its tasks get exactly these labels, from a template in their environment. Then these
    /// labels replace those that a task was started with.
    #[serde(default)]
    pub templated: bool,
    /// Whether no update is replacing tasks. If so, a task with other labels will not be replaced, and its labels are
    /// outdated. During an update, they are those of an earlier generation and still apply to it.
    #[serde(default)]
    pub settled: bool,
}

/// Response to a withdrawal. If `pending` is empty and no router is expected, no router sends requests to the instance any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Routers that use a configuration without the instance.
    pub confirmed: Vec<String>,
    /// Routers that did not acknowledge within `wait`.
    pub pending: Vec<String>,
    /// Whether no router polls a hub that started recently, so that it expects one.
    #[serde(default)]
    pub expects_router: bool,
}

/// Returns the earlier of two tickets of a service. Tickets begin with the time at which a hub first saw the service.
pub fn earlier_ticket(a: Option<String>, b: Option<String>) -> Option<String> {
    let first_seen = |ticket: &Option<String>| {
        ticket.as_ref().and_then(|ticket| ticket.split('.').next()?.parse::<u64>().ok()).unwrap_or(u64::MAX)
    };
    if a.is_none() || b.is_some() && first_seen(&b) < first_seen(&a) { b } else { a }
}

/// Entry in the hub's list of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique ID; in Swarm the name of the task.
    pub id: InstanceId,
    /// Latest registration.
    #[serde(flatten)]
    pub registration: Registration,
    /// Routing state.
    pub routing: Routing,
    /// Whether every router that polls sends requests to it. If it is refused, that is with earlier labels.
    #[serde(default)]
    pub serving: bool,
    /// Whether the connection that holds the lease is open.
    pub connected: bool,
    /// Whether the task was started with other labels than its service has now. The service's labels apply.
    #[serde(default)]
    pub stale: bool,
    /// When its health or its routing state last changed, in milliseconds since the Unix epoch by the hub's clock.
    #[serde(default)]
    pub changed_at: u64,
}

/// A change of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number of earlier events of this hub.
    pub number: u64,
    /// Time by the hub's clock, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Service of the instance.
    pub service: String,
    /// ID of the instance.
    pub instance: InstanceId,
    /// Swarm node of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// It registered before it was healthy.
    Started,
    /// Its service became healthy.
    Healthy,
    /// Its service is healthy no more.
    Unhealthy,
    /// Every router that polls this hub sends requests to it.
    Routed,
    /// It is not routed because of its labels.
    Refused {
        /// The label and what is wrong with it.
        reason: String,
    },
    /// The reason for the refusal is gone.
    Accepted,
    /// Its sidecar or an agent withdrew it, so that it can stop.
    Withdrawn,
    /// Every router that polls this hub has stopped sending requests to it.
    Unrouted,
    /// Its sidecar, which had withdrawn it, ended; or so did the container that an agent withdrew.
    Stopped,
    /// Its lease ended without a withdrawal.
    Lost,
}

/// A hub, and the routers that poll it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Identity of this run of the hub.
    pub hub: String,
    /// Host name of the hub; in Swarm that of its task.
    pub host: String,
    /// Version of the hub.
    pub version: String,
    /// Time of the response by the hub's clock, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Start of the hub, in milliseconds since the Unix epoch.
    pub started: u64,
    /// Whether its warm-up has ended.
    pub ready: bool,
    /// Generation of the configuration.
    pub generation: u64,
    /// Routers that poll, or did a moment ago.
    pub routers: Vec<RouterStatus>,
}

/// A router that polls a hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Its name in the poll.
    pub name: String,
    /// Whether its connection is open.
    pub connected: bool,
    /// Generation that it has acknowledged last.
    pub generation: Option<u64>,
    /// Since when it has not used the hub's latest generation, in milliseconds since the Unix epoch.
    pub behind_since: Option<u64>,
    /// Whether its API reports what it uses.
    pub api: bool,
}

/// Body of a response that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Cause of the error, with the field or parameter.
    pub error: String,
}
