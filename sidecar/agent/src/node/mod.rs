//! What is known of this node, and what the hub is to know of it. Pure: time is passed in, in nanoseconds of Unix time,
//! as the engine gives it.

mod entry;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use protocol::{Health, InstanceId, Registration, Services, Source};

use crate::container::{self, Reading};
use crate::engine::{Event, Info, Inspection, Listed, Service};
use crate::network::addresses;
use crate::services::published;
use entry::{Entry, Kill, Question};

/// What is said of all containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The network on which the router reaches those that no label gives another.
    pub(crate) network: Option<String>,
    /// Where it reaches those on the host's own network.
    pub(crate) host_address: Option<IpAddr>,
    /// For how much longer than it may take to stop a container is taken to be stopping that was told to.
    pub(crate) stop_margin: Duration,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    settings: Settings,
    info: Info,
    /// The local address of the connection to the hub.
    local: Option<IpAddr>,
    shared: Shared,
    /// The network that each address of a container was on when they were last listed.
    addresses: BTreeMap<IpAddr, Rc<str>>,
    /// By the engine's ID.
    entries: BTreeMap<String, Entry>,
    wanted: BTreeMap<InstanceId, Rc<Registration>>,
    services: Option<Rc<Services>>,
    services_asked: Question,
    remarks: Vec<Remark>,
}

/// Where this agent itself reaches the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shared {
    /// There was no connection yet, or no list of containers since.
    Unknown,
    /// From no container: from the host's own network.
    Host,
    /// On this one.
    Network(Rc<str>),
}

/// What the engine is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing.
    None,
    /// How a container is.
    Container(String),
    /// What services there are.
    Services,
    /// What this node is.
    Info,
}

/// Something to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// Whether somebody has to mend something.
    pub(crate) is_warning: bool,
    pub(crate) text: String,
}

impl Node {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            info: Info::default(),
            local: None,
            shared: Shared::Unknown,
            addresses: BTreeMap::new(),
            entries: BTreeMap::new(),
            wanted: BTreeMap::new(),
            services: None,
            services_asked: Question::default(),
            remarks: Vec::new(),
        }
    }

    /// What the hub is to know of containers.
    pub(crate) fn wanted(&self) -> &BTreeMap<InstanceId, Rc<Registration>> {
        &self.wanted
    }

    /// What the hub is to know of services, if this node is a manager or was one, and the name that it has.
    pub(crate) fn services(&self) -> Option<(InstanceId, &Rc<Services>)> {
        Some((self.info.name.parse().ok()?, self.services.as_ref()?))
    }

    /// What is to be logged since the last call.
    pub(crate) fn take_remarks(&mut self) -> Vec<Remark> {
        mem::take(&mut self.remarks)
    }

    /// The hub is reached from `local`. Tells whether containers have to be listed, to find the network that this is on.
    pub(crate) fn connected(&mut self, local: IpAddr, now: u64) -> bool {
        if self.local == Some(local) && self.shared != Shared::Unknown {
            return false;
        }
        self.local = Some(local);
        self.shared = match self.addresses.get(&local) {
            Some(network) => Shared::Network(Rc::clone(network)),
            None if local.is_loopback() => Shared::Host,
            None => Shared::Unknown,
        };
        self.refresh_all(now);
        self.shared == Shared::Unknown
    }

    /// The containers that run are these. The others are forgotten; what is returned is to be looked at.
    pub(crate) fn listed(&mut self, list: &[Listed], now: u64) -> Vec<String> {
        let running: BTreeSet<&str> = list.iter().map(|listed| listed.id.as_str()).collect();
        let gone: Vec<_> = self.entries.keys().filter(|id| !running.contains(id.as_str())).cloned().collect();
        for id in gone {
            self.forget(&id);
        }
        self.located(list, now);
        let of_interest = list.iter().filter(|listed| container::is_of_interest(&listed.labels));
        of_interest.filter_map(|listed| self.ask(&listed.id)).collect()
    }

    /// The addresses of containers are these.
    pub(crate) fn located(&mut self, list: &[Listed], now: u64) {
        let mut names: BTreeSet<Rc<str>> = BTreeSet::new();
        self.addresses.clear();
        for (network, address) in list.iter().flat_map(|listed| addresses(&listed.network_settings.networks))
        {
            let name = names.get(&*network).cloned().unwrap_or_else(|| Rc::from(network));
            names.insert(Rc::clone(&name));
            self.addresses.insert(address, name);
        }
        if let (Shared::Unknown, Some(local)) = (&self.shared, self.local) {
            let network = self.addresses.get(&local);
            self.shared = network.map_or(Shared::Host, |network| Shared::Network(Rc::clone(network)));
            self.refresh_all(now);
        }
    }

    /// This node is as `info` says. Tells whether its services are to be looked at, since it has become a manager or is
    /// seen for the first time.
    pub(crate) fn informed(&mut self, info: Info, now: u64) -> bool {
        let was_manager = self.is_manager();
        if self.info != info {
            self.info = info;
            self.refresh_all(now);
        }
        if was_manager && !self.is_manager() {
            // Others know better from now on.
            self.services = Some(Rc::default());
        }
        self.is_manager() && (!was_manager || self.services.is_none())
    }

    /// Whether it is a manager of a swarm.
    pub(crate) fn is_manager(&self) -> bool {
        self.info.swarm.control_available
    }

    /// Something has happened. What it means is to be looked up.
    pub(crate) fn happened(&mut self, event: &Event, now: u64) -> Look {
        let action = event.action.split(':').next().unwrap_or_default();
        let id = event.actor.id.as_str();
        let attribute = |name| event.actor.attributes.get(name).map(String::as_str);
        let asked = match (event.r#type.as_str(), action) {
            ("container", "kill") => {
                let signal = attribute("signal").and_then(crate::signal::number);
                if let Some(signal) = signal {
                    self.killed(id, Kill { at: event.time, signal }, now);
                }
                None
            }
            ("container", "die") => {
                self.died(id, event.time);
                None
            }
            ("container", "destroy") => {
                self.forget(id);
                None
            }
            ("container", "create") => None,
            ("container", _) => {
                let is_known =
                    self.entries.contains_key(id) || container::is_of_interest(&event.actor.attributes);
                is_known.then(|| self.ask(id)).flatten()
            }
            ("network", "connect" | "disconnect") => {
                attribute("container").filter(|id| self.entries.contains_key(*id)).and_then(|id| self.ask(id))
            }
            ("service", _) => return if self.is_manager() { Look::Services } else { Look::None },
            ("node", _) => return Look::Info,
            _ => None,
        };
        asked.map_or(Look::None, Look::Container)
    }

    /// A container that was to be looked at is as `inspection` says; none if there is none. Tells whether it has to be
    /// looked at once more, because something has happened to it meanwhile.
    pub(crate) fn inspected(&mut self, id: &str, inspection: Option<Inspection>, now: u64) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        if !entry.asked.is_answered() {
            return entry.asked.ask();
        }
        match inspection.map(container::read) {
            Some(Reading::Running(container)) => {
                let former = entry.container.as_ref().filter(|former| former.id != container.id);
                if let Some(former) = former {
                    self.wanted.remove(&former.id);
                }
                entry.kills.retain(|kill| kill.at >= container.started && container.is_ended_by(kill.signal));
                entry.container = Some(*container);
                self.refresh(id, now);
            }
            None | Some(Reading::Ended | Reading::Another) => self.forget(id),
        }
        false
    }

    /// Services are to be looked at. Tells whether that is not under way already.
    pub(crate) fn ask_services(&mut self) -> bool {
        self.services_asked.ask()
    }

    /// The swarm's services are these; none if they could not be looked at. Tells whether they have to be looked at once
    /// more.
    pub(crate) fn served(&mut self, services: Option<Vec<Service>>) -> bool {
        if !self.services_asked.is_answered() {
            return self.services_asked.ask();
        }
        if let Some(services) = services.filter(|_| self.is_manager()).map(published)
            && self.services.as_deref() != Some(&services)
        {
            self.services = Some(Rc::new(services));
        }
        false
    }

    /// The engine is gone, and with it the answers to all questions. What is known stays: containers may live on.
    pub(crate) fn disconnected(&mut self) {
        self.services_asked = Question::default();
        self.entries.retain(|_, entry| {
            entry.asked = Question::default();
            entry.container.is_some()
        });
    }

    /// When [`Node::advance`] will next have something to do.
    pub(crate) fn next_change(&self) -> Option<u64> {
        let margin = self.settings.stop_margin;
        self.entries
            .values()
            .filter_map(|entry| entry.stopping_until(margin))
            .filter(|at| *at < u64::MAX)
            .min()
    }

    /// Lets time pass: whoever was told to end, and has had the time to, lives on.
    pub(crate) fn advance(&mut self, now: u64) {
        let margin = self.settings.stop_margin;
        let survives = |entry: &Entry| entry.stopping_until(margin).is_some_and(|until| until <= now);
        let survivors: Vec<_> =
            self.entries.iter().filter(|(_, entry)| survives(entry)).map(|(id, _)| id.clone()).collect();
        for id in survivors {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.kills.clear();
            }
            self.refresh(&id, now);
        }
    }

    /// Returns the ID if nobody looks at that container already.
    fn ask(&mut self, id: &str) -> Option<String> {
        self.entries.entry(id.to_owned()).or_default().asked.ask().then(|| id.to_owned())
    }

    fn killed(&mut self, id: &str, kill: Kill, now: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        // Of a container that is not known yet neither are the signals that end it.
        if entry.container.as_ref().is_none_or(|c| kill.at >= c.started && c.is_ended_by(kill.signal)) {
            entry.kills.push(kill);
        }
        self.refresh(id, now);
    }

    /// A container has ended, unless that was in an earlier life.
    fn died(&mut self, id: &str, at: u64) {
        if self.entries.get(id).and_then(|entry| entry.container.as_ref()).is_none_or(|c| c.started <= at) {
            self.forget(id);
        }
    }

    /// Whoever is looking at it at this moment has to do so again.
    fn forget(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(container) = entry.container.take() {
            self.wanted.remove(&container.id);
        }
        entry.kills.clear();
        entry.remarked = None;
        if entry.asked.is_open {
            entry.asked.again = true;
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

    /// Sees to it that the hub is to know what follows from what is known of a container.
    fn refresh(&mut self, id: &str, now: u64) {
        let Some(entry) = self.entries.get(id) else { return };
        // Before the hub is reached there is no telling on which network it is.
        let Some(container) = entry.container.as_ref().filter(|_| self.shared != Shared::Unknown) else {
            return;
        };
        let health = match entry.stopping_until(self.settings.stop_margin) {
            Some(until) if now < until => Health::Unhealthy,
            _ => container.health,
        };
        let (address, remark) = self.address(container);
        let started = container.started / 1_000_000;
        let registration = match address {
            Some(address) => Some(Registration {
                service: container.service.clone(),
                host: container.host.clone(),
                node: Some(self.info.name.clone()).filter(|name| !name.is_empty()),
                slot: container.slot.clone(),
                address,
                port: container.port,
                started,
                health,
                labels: container.labels.clone(),
                source: Source::Agent,
            }),
            // It may come back to the network that it has been taken off, but nobody does who has withdrawn.
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
        let text = remark.as_ref().map(|remark| remark.text.clone());
        if let Some(entry) = self.entries.get_mut(id)
            && entry.remarked != text
        {
            entry.remarked = text;
            self.remarks.extend(remark);
        }
    }
}

#[cfg(test)]
mod tests;
