//! Who is there: leases, and whose labels count. Pure: time is passed in.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Health, InstanceId, Registration, Services, Source};

use traefik::{BEACON, Backend, Document, Exposure, ServiceConfig, render};

use crate::specs::{Effective, Specs};

/// How long things hold.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A lease without a heartbeat.
    pub(crate) ttl: Duration,
    /// A lease whose connection has closed.
    pub(crate) lost_after: Duration,
    /// The same where an agent has the lease, whose end is not the task's.
    pub(crate) agent_lost_after: Duration,
    /// The routers of a service without instances.
    pub(crate) keep_empty: Duration,
    /// Which services are routed at all, and by which rule if they have none.
    pub(crate) exposure: Exposure,
}

/// A heartbeat that a task sent before it withdrew may arrive after, for it went by another connection.
const WITHDRAWN_FOR: Duration = Duration::from_mins(1);

/// Who is there.
#[derive(Debug)]
pub(crate) struct Registry {
    settings: Settings,
    instances: BTreeMap<InstanceId, Instance>,
    services: BTreeMap<String, Service>,
    specs: Specs,
    /// Tasks that have withdrawn, by what they said of their start, and until when that is remembered.
    withdrawn: BTreeMap<InstanceId, (u64, Instant)>,
    /// Counts services, in the order in which they first came.
    arrivals: u64,
}

/// A task that holds a lease.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) registration: Registration,
    /// What its labels ask for, or what is wrong with them.
    plan: Result<Arc<ServiceConfig>, String>,
    /// Whether these are other labels than it was started with.
    stale: bool,
    /// The connection that last renewed the lease, while it is open.
    connection: Option<u64>,
    expires: Instant,
    /// The generation with which it came into the configuration, while it is there.
    pub(crate) since: Option<u64>,
}

/// A service that has instances, or had some a short while ago.
#[derive(Debug)]
struct Service {
    /// Of two that claim one name, the lower rank keeps it.
    rank: (u64, u64),
    /// Its newest healthy task's plan; kept when there is none any more.
    plan: Option<Arc<ServiceConfig>>,
    /// Why it is not in the configuration, although it has a plan.
    refusal: Option<String>,
    empty_since: Option<Instant>,
    /// What has been said of its labels, so that it is said once and not of each task.
    remarked: BTreeSet<String>,
}

/// What has come of a manager's word on its services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Whether any task's labels have changed by it.
    pub(crate) changed: bool,
    /// Tasks whose own labels no longer count.
    pub(crate) stale: Vec<InstanceId>,
}

/// The task has withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Withdrawn;

/// Whether an instance gets requests, as far as the registry knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its labels do not ask for it.
    Unrouted,
    /// Not healthy.
    Waiting,
    /// In the configuration, since this generation.
    Routed(u64),
    /// Its labels are faulty, or another service holds what they claim.
    Refused(String),
}

impl Registry {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            instances: BTreeMap::new(),
            services: BTreeMap::new(),
            specs: Specs::default(),
            withdrawn: BTreeMap::new(),
            arrivals: 0,
        }
    }

    /// Takes or renews a lease, bound to `connection`. Tells whether anything but the lease's time has changed.
    ///
    /// # Errors
    /// [`Withdrawn`] if the same task, not one that has started anew under its name, has withdrawn already.
    ///
    /// `learning`: the hub has just started and services come back in no order: the one whose task is oldest counts as
    /// first. Later the one that comes first does.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        learning: bool,
        id: &InstanceId,
        connection: u64,
        registration: Registration,
    ) -> Result<bool, Withdrawn> {
        if self.withdrawn.get(id).is_some_and(|(started, _)| *started == registration.started) {
            return Err(Withdrawn);
        }
        let expires = now + self.settings.ttl;
        match self.instances.entry(id.clone()) {
            MapEntry::Occupied(entry) => {
                let instance = entry.into_mut();
                instance.connection = Some(connection);
                instance.expires = expires;
                if instance.registration == registration {
                    return Ok(false);
                }
                if instance.registration.labels != registration.labels
                    || instance.registration.service != registration.service
                    || instance.registration.source != registration.source
                {
                    (instance.plan, instance.stale) = read(&self.settings, &self.specs, &registration);
                }
                instance.registration = registration;
            }
            MapEntry::Vacant(entry) => {
                let (plan, stale) = read(&self.settings, &self.specs, &registration);
                entry.insert(Instance {
                    registration,
                    plan,
                    stale,
                    connection: Some(connection),
                    expires,
                    since: None,
                });
            }
        }
        let registration = &self.instances[id].registration;
        self.arrivals += 1;
        let rank = if learning { (0, registration.started) } else { (1, self.arrivals) };
        let service = self.services.entry(registration.service.clone()).or_insert(Service {
            rank,
            plan: None,
            refusal: None,
            empty_since: None,
            remarked: BTreeSet::new(),
        });
        service.rank = service.rank.min(rank);
        Ok(true)
    }

    /// Renews all leases that `connection` holds. Returns how many these are.
    pub(crate) fn heartbeat(&mut self, now: Instant, connection: u64) -> usize {
        let held = self.instances.values_mut().filter(|instance| instance.connection == Some(connection));
        held.map(|instance| instance.expires = now + self.settings.ttl).count()
    }

    /// Takes what the manager on `node` knows of services.
    pub(crate) fn publish(&mut self, node: InstanceId, services: Services) -> Published {
        let services = self.specs.publish(node, services);
        let mut published = Published::default();
        let theirs = |instance: &Instance| services.contains(&instance.registration.service);
        for (id, instance) in self.instances.iter_mut().filter(|(_, instance)| theirs(instance)) {
            let (plan, stale) = read(&self.settings, &self.specs, &instance.registration);
            published.changed |= plan != instance.plan || stale != instance.stale;
            if stale && !instance.stale {
                published.stale.push(id.clone());
            }
            (instance.plan, instance.stale) = (plan, stale);
        }
        published
    }

    /// Ends a lease. Tells whether there was one.
    pub(crate) fn withdraw(&mut self, now: Instant, id: &InstanceId) -> bool {
        let Some(instance) = self.instances.remove(id) else { return false };
        self.withdrawn.insert(id.clone(), (instance.registration.started, now + WITHDRAWN_FOR));
        true
    }

    /// `connection` has closed: unless they are renewed on another, its leases end soon.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        for instance in self.instances.values_mut().filter(|i| i.connection == Some(connection)) {
            instance.connection = None;
            instance.expires = match instance.registration.source {
                Source::Sidecar => instance.expires.min(now + self.settings.lost_after),
                // Longer than the time to live, since what is silent for that long may be a node that has died.
                Source::Agent => now + self.settings.agent_lost_after,
            };
        }
    }

    /// Lets time pass: returns the instances whose lease has run out, and whether anything has changed.
    pub(crate) fn advance(&mut self, now: Instant) -> (Vec<InstanceId>, bool) {
        let lost: Vec<_> = self.instances.extract_if(.., |_, i| i.expires <= now).map(|(id, _)| id).collect();
        self.withdrawn.retain(|_, (_, until)| now < *until);
        let alive: BTreeSet<&str> =
            self.instances.values().map(|i| i.registration.service.as_str()).collect();
        let keep_empty = self.settings.keep_empty;
        let before = self.services.len();
        self.services.retain(|name, service| {
            service.empty_since =
                if alive.contains(name.as_str()) { None } else { service.empty_since.or(Some(now)) };
            service.empty_since.is_none_or(|since| now < since + keep_empty)
        });
        let changed = !lost.is_empty() || self.services.len() != before;
        (lost, changed)
    }

    /// What is to be said of labels and has not been yet: of which service, and what.
    pub(crate) fn remarks(&mut self) -> Vec<(String, String)> {
        let mut news = Vec::new();
        for instance in self.instances.values() {
            let name = &instance.registration.service;
            let Some(service) = self.services.get_mut(name) else { continue };
            let remarks = instance.plan.iter().flat_map(|plan| plan.warnings()).map(ToString::to_string);
            for remark in remarks {
                if !service.remarked.contains(&remark) {
                    service.remarked.insert(remark.clone());
                    news.push((name.clone(), remark));
                }
            }
        }
        news
    }

    /// When [`Registry::advance`] will next have something to do.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let leases = self.instances.values().map(|instance| instance.expires);
        let empty = self.services.values().filter_map(|s| Some(s.empty_since? + self.settings.keep_empty));
        leases.chain(empty).min()
    }

    /// The configuration as it should be now. Decides whose labels count, and who is refused.
    pub(crate) fn document(&mut self) -> Document {
        let mut document = Document::default();
        let mut claimed: BTreeMap<(String, String, String), (String, serde_json::Value)> = BTreeMap::new();
        let mut healthy: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in self.instances.values().filter(|i| i.registration.health == Health::Healthy) {
            healthy.entry(&instance.registration.service).or_default().push(instance);
        }
        let mut order: Vec<_> = self.services.iter_mut().collect();
        order.sort_by_key(|(_, service)| service.rank);
        for (name, service) in order {
            let healthy = healthy.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let newest = healthy
                .iter()
                .filter_map(|instance| Some((instance.registration.started, instance.plan.as_ref().ok()?)))
                .max_by_key(|(started, _)| *started);
            if let Some((_, plan)) = newest {
                service.plan = Some(Arc::clone(plan));
            }
            let Some(plan) = &service.plan else { continue };
            service.refusal = plan.claims().find_map(|(protocol, kind, wanted, value)| {
                if wanted == BEACON {
                    return Some(format!("traefik.{protocol}.{kind}.{wanted} is the hub's own"));
                }
                let key = (protocol.to_owned(), kind.to_owned(), wanted.to_owned());
                let (holder, held) = claimed.get(&key)?;
                // A middleware may be said twice, if it is the same.
                let shared = !matches!(kind, "routers" | "services") && held == value;
                (!shared)
                    .then(|| format!("traefik.{protocol}.{kind}.{wanted} is held by the service {holder}"))
            });
            service.refusal = service.refusal.take().or_else(|| document.find_cycle(plan));
            if service.refusal.is_some() {
                continue;
            }
            for (protocol, kind, wanted, value) in plan.claims() {
                claimed
                    .entry((protocol.to_owned(), kind.to_owned(), wanted.to_owned()))
                    .or_insert_with(|| (name.clone(), value.clone()));
            }
            let backends: Vec<_> = healthy.iter().filter_map(|instance| instance.backend()).collect();
            render(&mut document, plan, &backends);
        }
        document
    }

    /// Notes that `generation` holds what [`Registry::document`] returned last.
    pub(crate) fn published(&mut self, generation: u64) {
        for instance in self.instances.values_mut() {
            let refused =
                self.services.get(&instance.registration.service).is_some_and(|s| s.refusal.is_some());
            let is_in =
                !refused && instance.registration.health == Health::Healthy && instance.backend().is_some();
            instance.since = is_in.then(|| instance.since.unwrap_or(generation));
        }
    }

    /// Whether `id` gets requests; none if it holds no lease.
    pub(crate) fn standing(&self, id: &InstanceId) -> Option<Standing> {
        let instance = self.instances.get(id)?;
        if let Some(reason) = self.refusal(instance) {
            return Some(Standing::Refused(reason.to_owned()));
        }
        Some(match (&instance.plan, instance.since) {
            (Ok(plan), _) if !plan.is_routed() => Standing::Unrouted,
            (_, Some(generation)) => Standing::Routed(generation),
            _ => Standing::Waiting,
        })
    }

    /// Those that are refused, and why.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&InstanceId, &str)> {
        self.instances.iter().filter_map(|(id, instance)| Some((id, self.refusal(instance)?)))
    }

    fn refusal<'a>(&'a self, instance: &'a Instance) -> Option<&'a str> {
        let service = self.services.get(&instance.registration.service);
        let fault = instance.plan.as_ref().err();
        fault.or_else(|| service?.refusal.as_ref()).map(String::as_str)
    }

    /// The service that `id` belongs to; none if it holds no lease.
    pub(crate) fn service_of(&self, id: &InstanceId) -> Option<&str> {
        self.instances.get(id).map(|instance| instance.registration.service.as_str())
    }

    /// Everybody.
    pub(crate) fn instances(&self) -> impl Iterator<Item = (&InstanceId, &Instance)> {
        self.instances.iter()
    }

    /// How long a lease holds.
    pub(crate) fn ttl(&self) -> Duration {
        self.settings.ttl
    }
}

impl Instance {
    /// Whether the connection that holds the lease is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether the labels that count are not those that the task was started with.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    fn backend(&self) -> Option<Backend<'_>> {
        let plan = self.plan.as_deref().ok().filter(|plan| plan.is_routed())?;
        Some(Backend { address: self.registration.address, port: self.registration.port, config: plan })
    }
}

/// What the labels that count for a task ask for, and whether they are other than those it was started with.
fn read(
    settings: &Settings,
    specs: &Specs,
    registration: &Registration,
) -> (Result<Arc<ServiceConfig>, String>, bool) {
    let Effective { labels, stale } = specs.effective(registration);
    let plan = traefik_v1::read_config(&registration.service, &labels, &settings.exposure);
    (plan.map(Arc::new).map_err(|errors| errors.to_string()), stale)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
