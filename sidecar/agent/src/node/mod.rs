//! The agent's knowledge of this node, and the registrations that follow from it. Pure: takes the time as a parameter, in
//! nanoseconds of Unix time, like the engine's events.

mod address;
mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use protocol::{Health, InstanceId, Registration, Services, Source};

use crate::container::{self, Inspected, addresses};
use crate::engine::{Event, Info, Inspection, ListedContainer, Service};
use crate::services::to_published;
use crate::signal;
use address::Location;
use entry::{Entry, InFlight, Kill};

/// Flags that concern all containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Network on which the router reaches containers, unless a label names another.
    pub(crate) network: Option<String>,
    /// Address at which the router reaches containers on the host's own network.
    pub(crate) host_address: Option<IpAddr>,
    /// Whether the router reaches containers at published ports only, and at which address of this host.
    pub(crate) published: Option<Published>,
    /// Time that is added to a container's stop timeout before it counts as running again.
    pub(crate) stop_margin: Duration,
}

/// Address of the ports that containers publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The address that a port is bound to, or else the host's.
    Auto,
    Address(IpAddr),
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    settings: Settings,
    info: Info,
    /// Local address of the connection to the hub.
    local_address: Option<IpAddr>,
    agent_network: AgentNetwork,
    /// Network of each container's address, from the last list.
    networks: BTreeMap<IpAddr, Rc<str>>,
    /// By the engine's ID.
    entries: BTreeMap<String, Entry>,
    wanted: BTreeMap<InstanceId, Rc<Registration>>,
    services: Option<Rc<Services>>,
    services_query: InFlight,
    messages: Vec<LogMessage>,
}

/// The network on which this agent reaches the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AgentNetwork {
    /// Unknown until there is a connection and a list of containers.
    Unknown,
    /// The host's own network: no container has the agent's address.
    Host,
    /// A network of containers.
    Network(Rc<str>),
}

/// A query to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Inspects the container with this ID.
    Container(String),
    Services,
    Info,
    List,
}

/// A message for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogMessage {
    /// Whether the operator has to act.
    pub(crate) is_warning: bool,
    pub(crate) text: String,
}

impl Node {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            info: Info::default(),
            local_address: None,
            agent_network: AgentNetwork::Unknown,
            networks: BTreeMap::new(),
            entries: BTreeMap::new(),
            wanted: BTreeMap::new(),
            services: None,
            services_query: InFlight::default(),
            messages: Vec::new(),
        }
    }

    /// Returns the registrations that the hub should have.
    pub(crate) fn wanted(&self) -> &BTreeMap<InstanceId, Rc<Registration>> {
        &self.wanted
    }

    /// Returns the services that the hub should have, and this node's name, if the node is or was a manager.
    pub(crate) fn services(&self) -> Option<(InstanceId, &Rc<Services>)> {
        Some((self.info.name.parse().ok()?, self.services.as_ref()?))
    }

    /// Takes the log messages since the last call.
    pub(crate) fn take_messages(&mut self) -> Vec<LogMessage> {
        mem::take(&mut self.messages)
    }

    /// Sets the local address of the connection to the hub. Returns whether containers have to be listed, to find its
    /// network.
    pub(crate) fn connected(&mut self, local: IpAddr, now: u64) -> bool {
        if self.local_address == Some(local) && self.agent_network != AgentNetwork::Unknown {
            return false;
        }
        self.local_address = Some(local);
        self.agent_network = match self.networks.get(&local) {
            Some(network) => AgentNetwork::Network(Rc::clone(network)),
            None if local.is_loopback() => AgentNetwork::Host,
            None => AgentNetwork::Unknown,
        };
        self.refresh_all(now);
        self.agent_network == AgentNetwork::Unknown
    }

    /// Applies a complete list of running containers, and forgets the others. Returns the IDs to inspect.
    pub(crate) fn apply_list(&mut self, list: &[ListedContainer], now: u64) -> Vec<String> {
        let running: BTreeSet<&str> = list.iter().map(|listed| listed.id.as_str()).collect();
        let gone: Vec<_> = self.entries.keys().filter(|id| !running.contains(id.as_str())).cloned().collect();
        for id in gone {
            self.forget(&id);
        }
        self.apply_addresses(list, now);
        let relevant = list.iter().filter(|listed| container::is_relevant(&listed.labels));
        relevant.filter_map(|listed| self.inspect(&listed.id)).collect()
    }

    /// Applies the addresses in a list of containers.
    pub(crate) fn apply_addresses(&mut self, list: &[ListedContainer], now: u64) {
        let mut names: BTreeSet<Rc<str>> = BTreeSet::new();
        self.networks.clear();
        for (network, address) in list.iter().flat_map(|listed| addresses(&listed.network_settings.networks))
        {
            let name = names.get(&*network).cloned().unwrap_or_else(|| Rc::from(network));
            names.insert(Rc::clone(&name));
            self.networks.insert(address, name);
        }
        if let (AgentNetwork::Unknown, Some(local)) = (&self.agent_network, self.local_address) {
            let network = self.networks.get(&local);
            self.agent_network =
                network.map_or(AgentNetwork::Host, |network| AgentNetwork::Network(Rc::clone(network)));
            self.refresh_all(now);
        }
    }

    /// Applies a description of the node. Returns a query for the services if the node has become a manager, or its services
    /// are unknown.
    pub(crate) fn apply_info(&mut self, info: Info, now: u64) -> Option<Query> {
        let was_manager = self.is_manager();
        if self.info != info {
            self.info = info;
            self.refresh_all(now);
        }
        if was_manager && !self.is_manager() {
            // The remaining managers publish the services.
            self.services = Some(Rc::default());
        }
        let is_needed = self.is_manager() && (!was_manager || self.services.is_none());
        is_needed.then(|| self.query_services()).flatten()
    }

    pub(crate) fn is_manager(&self) -> bool {
        self.info.swarm.control_available
    }

    /// Applies an event. Returns the query that shows its effect.
    pub(crate) fn apply_event(&mut self, event: &Event, now: u64) -> Option<Query> {
        let action = event.action.split(':').next().unwrap_or_default();
        let id = event.actor.id.as_str();
        let attribute = |name| event.actor.attributes.get(name).map(String::as_str);
        let inspected = match (event.r#type.as_str(), action) {
            ("container", "kill") => {
                if let Some(signal) = attribute("signal").and_then(signal::parse) {
                    self.apply_kill(id, Kill { at: event.time, signal }, now);
                }
                None
            }
            ("container", "die") => {
                let container = self.entries.get(id).and_then(|entry| entry.container.as_ref());
                // The event may be older than the last start.
                if container.is_none_or(|container| container.started <= event.time) {
                    self.forget(id);
                }
                None
            }
            ("container", "destroy") => {
                self.forget(id);
                None
            }
            ("container", "create") => None,
            ("container", _) => {
                let is_known =
                    self.entries.contains_key(id) || container::is_relevant(&event.actor.attributes);
                is_known.then(|| self.inspect(id)).flatten()
            }
            ("network", "connect" | "disconnect") => {
                let id = attribute("container").filter(|id| self.entries.contains_key(*id));
                id.and_then(|id| self.inspect(id))
            }
            ("service", _) if self.is_manager() => return self.query_services(),
            ("node", _) => return Some(Query::Info),
            _ => None,
        };
        inspected.map(Query::Container)
    }

    /// Applies the inspection of a container, or `None` if it does not exist. Returns another inspection if there was an
    /// event in the meantime.
    pub(crate) fn apply_inspection(
        &mut self,
        id: &str,
        inspection: Option<Inspection>,
        now: u64,
    ) -> Option<Query> {
        let entry = self.entries.get_mut(id)?;
        if !entry.inspection.finish() {
            return entry.inspection.start().then(|| Query::Container(id.to_owned()));
        }
        match inspection.map(container::read) {
            Some(Inspected::Running(container)) => {
                let former = entry.container.as_ref().filter(|former| former.id != container.id);
                if let Some(former) = former {
                    self.wanted.remove(&former.id);
                }
                entry.kills.retain(|kill| kill.at >= container.started && container.is_ended_by(kill.signal));
                entry.container = Some(*container);
                self.refresh(id, now);
            }
            None | Some(Inspected::Ended | Inspected::Ignored) => self.forget(id),
        }
        None
    }

    /// Returns a query for the services, unless one is in flight.
    fn query_services(&mut self) -> Option<Query> {
        self.services_query.start().then_some(Query::Services)
    }

    /// Applies the swarm's services, or `None` if the query failed. Returns another query if there was an event in the
    /// meantime.
    pub(crate) fn apply_services(&mut self, services: Option<Vec<Service>>) -> Option<Query> {
        if !self.services_query.finish() {
            return self.query_services();
        }
        if let Some(services) = services.filter(|_| self.is_manager()).map(to_published)
            && self.services.as_deref() != Some(&services)
        {
            self.services = Some(Rc::new(services));
        }
        None
    }

    /// Drops all queries after the connection to the engine is lost. Containers stay, since they may still run.
    pub(crate) fn disconnected(&mut self) {
        self.services_query = InFlight::default();
        self.entries.retain(|_, entry| {
            entry.inspection = InFlight::default();
            entry.container.is_some()
        });
    }

    /// Returns the next time at which [`Node::advance`] has an effect.
    pub(crate) fn next_change(&self) -> Option<u64> {
        let margin = self.settings.stop_margin;
        let times = self.entries.values().filter_map(|entry| entry.stopping_until(margin));
        times.filter(|at| *at < u64::MAX).min()
    }

    /// Restores containers that outlived their stop timeout.
    pub(crate) fn advance(&mut self, now: u64) {
        let margin = self.settings.stop_margin;
        let has_survived = |entry: &Entry| entry.stopping_until(margin).is_some_and(|until| until <= now);
        let survivors: Vec<_> =
            self.entries.iter().filter(|(_, entry)| has_survived(entry)).map(|(id, _)| id.clone()).collect();
        for id in survivors {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.kills.clear();
            }
            self.refresh(&id, now);
        }
    }

    /// Starts an inspection. Returns the ID, or `None` if one is in flight.
    fn inspect(&mut self, id: &str) -> Option<String> {
        self.entries.entry(id.to_owned()).or_default().inspection.start().then(|| id.to_owned())
    }

    fn apply_kill(&mut self, id: &str, kill: Kill, now: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        // Before the first inspection the stop signal is unknown, so the signal is kept.
        if entry.container.as_ref().is_none_or(|c| kill.at >= c.started && c.is_ended_by(kill.signal)) {
            entry.kills.push(kill);
        }
        self.refresh(id, now);
    }

    /// Forgets a container. An inspection in flight becomes stale.
    fn forget(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(container) = entry.container.take() {
            self.wanted.remove(&container.id);
        }
        entry.kills.clear();
        entry.last_message = None;
        if entry.inspection.is_pending {
            entry.inspection.is_stale = true;
        } else {
            self.entries.remove(id);
        }
    }

    fn refresh_all(&mut self, now: u64) {
        let ids: Vec<_> = self.entries.keys().cloned().collect();
        for id in ids {
            self.refresh(&id, now);
        }
    }

    /// Updates the registration of a container.
    fn refresh(&mut self, id: &str, now: u64) {
        let Some(entry) = self.entries.get(id) else { return };
        // The address depends on the network on which the agent reaches the hub.
        let is_ready = self.agent_network != AgentNetwork::Unknown;
        let Some(container) = entry.container.as_ref().filter(|_| is_ready) else { return };
        let health = match entry.stopping_until(self.settings.stop_margin) {
            Some(until) if now < until => Health::Unhealthy,
            _ => container.health,
        };
        let (location, message) = self.location(container);
        let started = container.started / 1_000_000;
        let registration = match location {
            Some(Location { address, port, published }) => Some(Registration {
                service: container.service.clone(),
                host: container.host.clone(),
                node: Some(self.info.name.clone()).filter(|name| !name.is_empty()),
                slot: container.slot.clone(),
                address,
                port,
                started,
                age_ms: 0,
                health,
                labels: container.labels.clone().into(),
                source: Source::Agent,
                published,
                ticket: None,
            }),
            // It may rejoin its network, but a withdrawal would be final. So it is unhealthy.
            None => self
                .wanted
                .get(&container.id)
                .filter(|known| known.started == started)
                .map(|known| Registration { health: Health::Unhealthy, ..Registration::clone(known) }),
        };
        match registration {
            None => drop(self.wanted.remove(&container.id)),
            Some(registration) => {
                if self.wanted.get(&container.id).is_none_or(|known| **known != registration) {
                    self.wanted.insert(container.id.clone(), Rc::new(registration));
                }
            }
        }
        let text = message.as_ref().map(|message| message.text.clone());
        if let Some(entry) = self.entries.get_mut(id)
            && entry.last_message != text
        {
            entry.last_message = text;
            self.messages.extend(message);
        }
    }
}

#[cfg(test)]
mod tests;
