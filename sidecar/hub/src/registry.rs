//! Leases, and the configuration that follows from their labels. Pure: callers pass the time in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Change, Event, Health, InstanceId, Labels, Registration, Routing, Services, Source};
use traefik::{
    Backend, Diagnostic, Document, Draft, Exposure, LabelErrors, Reference, Secrets, ServiceConfig,
    redact_document,
};

use crate::explanation::{Explanation, LabelSet};
use crate::journal::Journal;
use crate::key::Key;
use crate::leases::Leases;
use crate::plans::{Members, Plan, REPORTED, decide, scope};
use crate::policy::Policy;
use crate::reports::Reports;
use crate::specs::Specs;
use crate::ticket;

/// Lifetimes, and the rules for exposing services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Lifetime of a lease without a renewal, for a few instances. See [`Registry::ttl`].
    pub(crate) ttl: Duration,
    /// Lifetime of a sidecar's lease after its connection closed.
    pub(crate) lost_after: Duration,
    /// Lifetime of an agent's lease after its connection closed. The containers may outlive the agent.
    pub(crate) agent_lost_after: Duration,
    /// Lifetime of the routers of a service without instances, unless a manager lists the service.
    pub(crate) keep_empty: Duration,
    /// Services that are exposed, and their default rule.
    pub(crate) exposure: Exposure,
    /// Key of tickets.
    pub(crate) key: Key,
    /// What services with tokens of their own may claim.
    pub(crate) policy: Policy,
}

/// Time for which a withdrawn instance cannot register again. A renewal sent before the withdrawal may arrive after
/// it, on another connection.
const WITHDRAWN_FOR: Duration = Duration::from_mins(1);

/// Lifetime that each instance adds to those of all leases, so that heartbeats become rarer. The kernel reports a lost host, and
/// a process that ends, without them.
const TTL_PER_INSTANCE: Duration = Duration::from_millis(10);

/// Maximum lifetime of a lease, unless the flag sets a longer one. Clients send a heartbeat each third of it.
const MAX_TTL: Duration = Duration::from_secs(30);

/// Minimum time after which a service without instances is looked up again among those that managers publish.
const RECHECK: Duration = Duration::from_secs(1);

/// All instances.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) settings: Settings,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    leases: Leases,
    services: BTreeMap<String, Service>,
    /// Services whose instances changed since the last call of [`Registry::update`].
    touched: BTreeSet<String>,
    /// Whether the next call has to decide again which configurations are in use.
    undecided: bool,
    /// The configuration.
    pub(crate) document: Document,
    /// Configurations that are no longer in use, with their services. [`Registry::update`] keeps the definitions to which
    /// other services refer.
    former: Vec<(String, Arc<ServiceConfig>)>,
    specs: Specs,
    /// Whether the missing policy has been reported.
    reported_policy: bool,
    withdrawn: BTreeMap<InstanceId, WithdrawnInstance>,
    /// Withdrawn instances by the connection on which their sidecars wait.
    draining: BTreeMap<u64, InstanceId>,
    /// Instances that not all routers have acknowledged, with their first generations.
    unconfirmed: BTreeMap<InstanceId, u64>,
    pub(crate) journal: Journal,
    /// Withdrawn instances by the end of the time for which they cannot register again, in order.
    withdrawn_until: VecDeque<(Instant, InstanceId)>,
    /// Services by the end of `keep_empty`, in order. Some may have instances again.
    empty_until: VecDeque<(Instant, String)>,
    /// A time, and the same time in milliseconds since the Unix epoch.
    epoch: (Instant, u64),
    /// Warnings that have not been returned yet, with their services.
    warnings: Vec<(String, String)>,
    /// Revision of the reports that the plans have taken over; `None` if plans changed since.
    settled: Option<u64>,
}

/// A task that holds a lease.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Latest registration, without age and ticket.
    pub(crate) registration: Registration,
    /// Whether it registered with the token of its service only.
    is_limited: bool,
    /// Labels without secrets, if they contain any.
    redacted: Option<Arc<Labels>>,
    /// Start of the task, from the age in its first registration, or the last change of its labels.
    start: Instant,
    /// Configuration from its labels, or the errors in them.
    config: Result<Arc<ServiceConfig>, LabelErrors>,
    /// Configuration with which it last received requests. It still does if new labels do not work.
    serving: Option<Arc<ServiceConfig>>,
    /// Whether its labels differ from those that the task was started with.
    pub(crate) stale: bool,
    /// Configuration with which it received requests before the hub decided again which ones are in use. It does so again if
    /// new labels have errors.
    fallback: Option<Arc<ServiceConfig>>,
    /// First generation that contains it, while it is in the configuration.
    since: Option<u64>,
    /// When it became healthy.
    healthy_at: Option<Instant>,
    /// When its health or its routing last changed, in milliseconds since the Unix epoch.
    pub(crate) changed_at: u64,
    /// Reason why it is not routed although its labels ask for it.
    refusal: Option<String>,
}

/// A service that has instances, or had some within `keep_empty`.
#[derive(Debug, Default)]
struct Service {
    /// When a hub first saw it, in milliseconds since the Unix epoch. In a conflict the earlier service keeps the name.
    first_seen: u64,
    /// That as a ticket.
    ticket: String,
    /// Whether an invalid ticket has been reported.
    reported_ticket: bool,
    plan: Plan,
    /// Configurations of its instances, each of them once.
    generations: Vec<Arc<ServiceConfig>>,
    members: BTreeSet<InstanceId>,
    /// End of `keep_empty`, while it has no members.
    empty_until: Option<Instant>,
    /// Warnings that have been returned.
    reported: BTreeSet<String>,
}

/// An instance that has been withdrawn.
#[derive(Debug)]
struct WithdrawnInstance {
    /// Start time of the task, as it registered.
    started: u64,
    /// End of the time for which that task cannot register again.
    until: Instant,
    /// Time of the withdrawal, until all routers have acknowledged it.
    pending: Option<Instant>,
    /// The withdrawal.
    event: Event,
}

/// Error of a registration: the same task has been withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Withdrawn;

impl Registry {
    /// Creates a registry without instances. `unix_millis` is `now` in milliseconds since the Unix epoch.
    pub(crate) fn new(settings: Settings, now: Instant, unix_millis: u64) -> Self {
        Self {
            settings,
            instances: BTreeMap::new(),
            leases: Leases::default(),
            services: BTreeMap::new(),
            touched: BTreeSet::new(),
            undecided: true,
            document: Document::default(),
            former: Vec::new(),
            specs: Specs::default(),
            reported_policy: false,
            withdrawn: BTreeMap::new(),
            draining: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            journal: Journal::default(),
            withdrawn_until: VecDeque::new(),
            empty_until: VecDeque::new(),
            epoch: (now, unix_millis),
            warnings: Vec::new(),
            settled: None,
        }
    }

    /// Registers an instance or renews its lease, and binds the lease to `connection`. Returns whether anything but the
    /// expiry changed.
    ///
    /// `is_limited` tells that it comes with the token of its service only, so that the policy limits what it may claim.
    ///
    /// A service without a ticket gets one of the current time. During the `warm_up` of a hub, services return in any order;
    /// then it is the start of the service's oldest task, unless that has a limited token and so might lie.
    ///
    /// # Errors
    /// [`Withdrawn`] if the same task has been withdrawn. A task that starts again under the same ID is accepted.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        warm_up: bool,
        id: &InstanceId,
        connection: u64,
        mut registration: Registration,
        is_limited: bool,
    ) -> Result<bool, Withdrawn> {
        let at = self.unix_millis(now);
        let age = Duration::from_millis(std::mem::take(&mut registration.age_ms));
        let ticket = registration.ticket.take();
        if self.withdrawn.get(id).is_some_and(|former| former.started == registration.started) {
            return Err(Withdrawn);
        }
        if is_limited
            && !std::mem::replace(&mut self.reported_policy, true)
            && !self.settings.policy.is_given()
        {
            let warning = "registers with its own token. Without --policy FILE, such services may use any host, path and \
                           entry point that no other service has";
            self.warnings.push((registration.service.clone(), warning.to_owned()));
        }
        let oldest = (warm_up && !is_limited).then_some(age);
        let is_earlier = self.see(now, oldest, &registration.service, ticket.as_deref());
        self.undecided |= is_earlier;
        self.leases.renew(id, connection, now + self.ttl(registration.source));
        let is_same = |known: &Instance| known.registration == registration && known.is_limited == is_limited;
        if self.instances.get(id).is_some_and(is_same) {
            return Ok(is_earlier);
        }
        let known = self.remove(now, id);
        let service = self.services.entry(registration.service.clone()).or_default();
        // Instances share equal labels, which would be most of their memory.
        let others = service.members.iter().filter_map(|id| self.instances.get(id));
        let mut others = known.iter().chain(others).map(|instance| &instance.registration.labels);
        if let Some(labels) = others.find(|labels| **labels == registration.labels) {
            registration.labels = Arc::clone(labels);
        }
        self.undecided |= service.plan.is_limited != is_limited;
        let (config, stale) =
            read_config(&self.settings, &self.specs, service, &registration, is_limited, &mut self.warnings);
        let start = now.checked_sub(age).unwrap_or(now);
        let health = registration.health;
        let mut instance = Instance {
            redacted: traefik_v1::redact(&registration.labels).map(Arc::new),
            registration,
            is_limited,
            start,
            config,
            serving: None,
            stale,
            fallback: None,
            since: None,
            // That of a task which returns to a new hub is not known.
            healthy_at: (health == Health::Healthy && !warm_up).then_some(now),
            changed_at: at,
            refusal: None,
        };
        let mut health_before = None;
        if let Some(known) = known {
            instance.refusal = known.refusal;
            let (former, new) = (&known.registration, &instance.registration);
            if (former.started, &former.service) == (new.started, &new.service) {
                instance.start = known.start;
                if known.config != instance.config {
                    instance.start = service.plan.after(now);
                }
                (instance.serving, instance.since) = (known.serving, known.since);
                instance.fallback = known.fallback;
                health_before = Some(known.registration.health);
                if health_before == Some(health) {
                    (instance.healthy_at, instance.changed_at) = (known.healthy_at, known.changed_at);
                }
            }
        }
        if health_before != Some(health) && !warm_up {
            let change = match health {
                Health::Starting => Change::Started,
                Health::Healthy => Change::Healthy,
                Health::Unhealthy => Change::Unhealthy,
            };
            self.journal.record(at, id, &instance, change);
        }
        if let Some(since) = instance.since {
            self.unconfirmed.insert(id.clone(), since);
        }
        service.members.insert(id.clone());
        service.empty_until = None;
        self.touched.insert(instance.registration.service.clone());
        self.instances.insert(id.clone(), instance);
        Ok(true)
    }

    /// Removes an instance.
    fn remove(&mut self, now: Instant, id: &InstanceId) -> Option<Instance> {
        let instance = self.instances.remove(id)?;
        self.unconfirmed.remove(id);
        if let Some(service) = self.services.get_mut(&instance.registration.service) {
            service.members.remove(id);
            // It may be what another configuration waits for.
            self.undecided |= !instance.is_of(service.plan.in_use());
            self.touched.insert(instance.registration.service.clone());
            if service.members.is_empty() {
                let until = now + self.settings.keep_empty;
                service.empty_until = Some(until);
                self.empty_until.push_back((until, instance.registration.service.clone()));
            }
        }
        Some(instance)
    }

    /// Returns the lifetime of a lease. It grows with the number of instances. An agent has many leases and few heartbeats.
    pub(crate) fn ttl(&self, source: Source) -> Duration {
        let count = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        match source {
            Source::Agent => self.settings.ttl,
            Source::Sidecar => TTL_PER_INSTANCE.saturating_mul(count).min(MAX_TTL).max(self.settings.ttl),
        }
    }

    /// Returns whether instances of a service changed since the last call of [`Registry::update`].
    pub(crate) fn is_touched(&self, service: &str) -> bool {
        self.touched.contains(service)
    }

    /// Returns whether the connection that last renewed the lease of an instance is open.
    pub(crate) fn is_connected(&self, id: &InstanceId) -> bool {
        self.leases.is_connected(id)
    }

    /// Records that a service registers with a ticket, if it has one. `oldest` is the age of its task if that counts.
    /// Returns whether the service moves before others.
    fn see(&mut self, now: Instant, oldest: Option<Duration>, name: &str, ticket: Option<&str>) -> bool {
        let unix_millis = self.unix_millis(now);
        let service = self.services.get_mut(name);
        if ticket.is_some() && service.as_deref().is_some_and(|service| ticket == Some(&service.ticket)) {
            return false;
        }
        let valid = ticket.and_then(|ticket| ticket::read(&self.settings.key, name, ticket));
        let first_seen = match (valid, oldest, &service) {
            (Some(first_seen), ..) => first_seen,
            (None, Some(age), _) => unix_millis.saturating_sub(millis(age)),
            (None, None, None) => unix_millis,
            (None, None, Some(service)) => service.first_seen,
        };
        let service = self.services.entry(name.to_owned()).or_default();
        if ticket.is_some() && valid.is_none() && !service.reported_ticket {
            service.reported_ticket = true;
            let warning = "invalid ticket; is it from a hub with another token? It is ignored";
            self.warnings.push((name.to_owned(), warning.to_owned()));
        }
        if !service.ticket.is_empty() && service.first_seen <= first_seen {
            return false;
        }
        service.first_seen = first_seen;
        service.ticket = ticket::issue(&self.settings.key, name, first_seen);
        true
    }

    /// Returns `now` in milliseconds since the Unix epoch.
    pub(crate) fn unix_millis(&self, now: Instant) -> u64 {
        self.epoch.1 + millis(now.saturating_duration_since(self.epoch.0))
    }

    /// Returns the ticket of a service.
    pub(crate) fn ticket(&self, service: &str) -> Option<String> {
        Some(self.services.get(service)?.ticket.clone())
    }

    /// Renews all leases of `connection`. Returns their number and their lifetime.
    pub(crate) fn heartbeat(&mut self, now: Instant, connection: u64) -> (usize, Duration) {
        let held = self.leases.held_by(connection);
        let sources = held.iter().filter_map(|id| Some(self.instances.get(id)?.registration.source));
        let ttl = sources.map(|source| self.ttl(source)).min().unwrap_or(self.settings.ttl);
        for id in &held {
            self.leases.renew(id, connection, now + ttl);
        }
        (held.len(), ttl)
    }

    /// Replaces the services that the manager on `node` published. Returns whether the configuration from any instance's
    /// labels changed, and the instances that became stale.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        node: InstanceId,
        services: Services,
    ) -> (bool, Vec<InstanceId>) {
        let services = self.specs.publish(now, node, services);
        let (mut changed, mut newly_stale) = (false, Vec::new());
        let affected = |instance: &Instance| services.contains(&instance.registration.service);
        for (id, instance) in self.instances.iter_mut().filter(|(_, instance)| affected(instance)) {
            let service = self.services.entry(instance.registration.service.clone()).or_default();
            let Instance { registration, is_limited, .. } = &*instance;
            let (config, stale) = read_config(
                &self.settings,
                &self.specs,
                service,
                registration,
                *is_limited,
                &mut self.warnings,
            );
            if config != instance.config {
                instance.start = service.plan.after(now);
                changed = true;
            }
            changed |= stale != instance.stale;
            if stale && !instance.stale {
                newly_stale.push(id.clone());
            }
            (instance.config, instance.stale) = (config, stale);
        }
        self.undecided |= changed;
        (changed, newly_stale)
    }

    /// Ends a lease, at a request on `connection`. Returns whether it existed.
    pub(crate) fn withdraw(&mut self, now: Instant, id: &InstanceId, connection: u64) -> bool {
        let Some(instance) = self.remove(now, id) else { return false };
        self.leases.remove(id);
        let until = now + WITHDRAWN_FOR;
        let event = self.journal.record(self.unix_millis(now), id, &instance, Change::Withdrawn).clone();
        match instance.registration.source {
            Source::Sidecar => drop(self.draining.insert(connection, id.clone())),
            // The container has ended. The agent's connection has many instances, and does not end with one of them.
            Source::Agent => self.journal.follow(self.unix_millis(now), &event, Change::Stopped),
        }
        let started = instance.registration.started;
        self.withdrawn.insert(id.clone(), WithdrawnInstance { started, until, pending: Some(now), event });
        self.withdrawn_until.push_back((until, id.clone()));
        true
    }

    /// Records that all routers have stopped sending requests to a withdrawn instance. Returns whether that is new.
    pub(crate) fn unrouted(&mut self, now: Instant, id: &InstanceId) -> bool {
        let at = self.unix_millis(now);
        let Some(former) = self.withdrawn.get_mut(id) else { return false };
        let Some(since) = former.pending.take() else { return false };
        self.journal.unrouted.observe(now.saturating_duration_since(since));
        self.journal.follow(at, &former.event, Change::Unrouted);
        true
    }

    /// Forgets when instances became healthy: no router polled this hub, so that none could acknowledge them.
    pub(crate) fn forget_delays(&mut self) {
        for id in self.unconfirmed.keys() {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.healthy_at = None;
            }
        }
    }

    /// Records the instances that all routers have acknowledged.
    pub(crate) fn confirm(&mut self, now: Instant, reports: &impl Reports) {
        let at = self.unix_millis(now);
        for (id, _) in self.unconfirmed.extract_if(.., |_, since| reports.is_confirmed(*since)) {
            let Some(instance) = self.instances.get_mut(&id).filter(|found| found.refusal.is_none()) else {
                continue;
            };
            instance.changed_at = at;
            if let Some(healthy_at) = instance.healthy_at.take() {
                self.journal.routed.observe(now.saturating_duration_since(healthy_at));
                self.journal.record(at, &id, instance, Change::Routed);
            }
        }
    }

    /// Shortens the leases of a connection that closed. Another connection can still renew them. Those of
    /// sidecars end after `lost_after`.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64, lost_after: Duration) {
        let drained = self.draining.remove(&connection).and_then(|id| self.withdrawn.get(&id));
        if let Some(former) = drained {
            self.journal.follow(self.unix_millis(now), &former.event, Change::Stopped);
        }
        for (id, expires) in self.leases.disconnected(connection) {
            let source = self.instances.get(&id).map(|instance| instance.registration.source);
            let is_silent = expires.saturating_duration_since(now) < self.settings.ttl / 3;
            match source.unwrap_or_default() {
                Source::Sidecar => self.leases.set_end(&id, expires.min(now + lost_after)),
                // The kernel closed the connection of a lost host.
                Source::Agent if is_silent => {}
                // Longer than the TTL: a client that closes a connection shows that its node is alive, silence does not.
                Source::Agent => self.leases.set_end(&id, now + self.settings.agent_lost_after),
            }
        }
    }

    /// Moves all expiries by `gap`, in which the hub did not run.
    pub(crate) fn postpone(&mut self, gap: Duration) {
        self.leases.postpone(gap);
        self.withdrawn.values_mut().for_each(|former| former.until += gap);
        self.withdrawn_until.iter_mut().for_each(|(until, _)| *until += gap);
        self.empty_until.iter_mut().for_each(|(until, _)| *until += gap);
        self.services
            .values_mut()
            .filter_map(|service| service.empty_until.as_mut())
            .for_each(|at| *at += gap);
    }

    /// Removes what has expired by `now`. Returns the lost instances, and whether anything changed.
    pub(crate) fn advance(&mut self, now: Instant) -> (Vec<InstanceId>, bool) {
        let lost = self.leases.expired(now);
        for id in &lost {
            if let Some(instance) = self.remove(now, id) {
                self.journal.record(self.unix_millis(now), id, &instance, Change::Lost);
            }
        }
        while let Some((until, id)) = self.withdrawn_until.pop_front_if(|(until, _)| *until <= now) {
            // A later task with the same ID may have been withdrawn.
            if self.withdrawn.get(&id).is_some_and(|former| former.until == until) {
                self.withdrawn.remove(&id);
            }
        }
        let mut changed = !lost.is_empty();
        while let Some((until, name)) = self.empty_until.pop_front_if(|(until, _)| *until <= now) {
            if self.services.get(&name).is_some_and(|service| service.empty_until == Some(until)) {
                if self.specs.lists(&name) {
                    // It has no replicas now. A request may be what another program waits for to start one.
                    let until = now + self.settings.keep_empty.max(RECHECK);
                    self.services.entry(name.clone()).or_default().empty_until = Some(until);
                    self.empty_until.push_back((until, name));
                    continue;
                }
                let service = self.services.remove(&name);
                let rendered = service.and_then(|service| service.plan.rendered);
                self.former.extend(rendered.map(|config| (name, config)));
                self.undecided = true;
                changed = true;
            }
        }
        (lost, changed)
    }

    /// Returns a time at which [`Registry::advance`] may have something to do.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let empty = self.empty_until.front().map(|(until, _)| *until);
        self.leases.next_end().into_iter().chain(empty).min()
    }

    /// Returns warnings, with their services, that have not been returned before.
    pub(crate) fn new_warnings(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.warnings)
    }

    /// Returns the values of secret options in the configurations of all services.
    pub(crate) fn secrets(&self) -> Secrets<'_> {
        let mut secrets = Secrets::default();
        let former = self.former.iter().map(|(_, config)| &**config);
        let configs = self.services.values().flat_map(|Service { plan, generations, .. }| {
            let tried = plan.trial.iter().map(|trial| &trial.config);
            generations.iter().chain(&plan.rendered).map(|config| &**config).chain(tried)
        });
        configs.chain(former).for_each(|config| secrets.add(config));
        secrets
    }

    /// Decides again which generations are in use, since no router has a configuration of this hub. Tasks return in any order,
    /// and a generation that the hub's predecessor refused may be the first.
    pub(crate) fn start_over(&mut self) {
        self.undecided = true;
        for instance in self.instances.values_mut() {
            let serving = instance.serving.take();
            if instance.config.is_err() {
                instance.fallback = serving.or(instance.fallback.take());
            }
            if let Some(service) = self.services.get_mut(&instance.registration.service) {
                service.plan = Plan::default();
            }
        }
    }

    /// Renders the configuration: of each service, the one in use and the one that is tried. Returns whether it changed.
    pub(crate) fn update(&mut self, reports: &impl Reports) -> bool {
        if !self.undecided
            && let Some(changed) = self.update_touched()
        {
            return changed;
        }
        self.touched = self.services.keys().cloned().collect();
        let document = self.decide(reports);
        // A trial ends with the reports of routers, or when they can no longer report. Kept definitions end with the references.
        self.undecided =
            self.services.values().any(|service| service.plan.trial.is_some()) || !self.former.is_empty();
        self.settled = None;
        let changed = document != self.document;
        self.document = document;
        changed
    }

    /// Renders the services whose instances changed. `None` if the change may concern other services, or which configuration
    /// of a service is in use.
    fn update_touched(&mut self) -> Option<bool> {
        let mut changed = false;
        for name in &self.touched {
            let service = self.services.get_mut(name)?;
            let config = service.plan.only().map(Arc::clone)?;
            for id in &service.members {
                let instance = self.instances.get_mut(id)?;
                if !instance.is_of(Some(&config)) {
                    return None;
                }
                instance.admit(&service.plan);
                if instance.is_healthy() {
                    service.plan.renew(instance.start);
                }
            }
            let healthy = service.members.iter().filter_map(|id| self.instances.get(id));
            let backends: Vec<_> = healthy.filter(|i| i.is_healthy()).filter_map(Instance::backend).collect();
            changed |= self.document.update(service.plan.rendered.as_ref()?, &backends)?;
        }
        Some(changed)
    }

    fn decide(&mut self, reports: &impl Reports) -> Document {
        let mut members: BTreeMap<&str, Members> = BTreeMap::new();
        for instance in self.instances.values() {
            let members = members.entry(&instance.registration.service).or_default();
            members.is_limited |= instance.is_limited;
            if let Some(serving) = &instance.serving {
                members.add(serving, None);
            }
            if let Some(config) = instance.candidate() {
                members.add(config, instance.is_healthy().then_some(instance.start));
            }
        }
        // By first seen, then by name.
        let mut ordered: Vec<_> = self.services.iter_mut().collect();
        ordered.sort_by_key(|(_, service)| service.first_seen);
        let mut plans: Vec<_> =
            ordered.into_iter().map(|(name, service)| (name.as_str(), &mut service.plan)).collect();
        decide(&mut plans, &members, reports, &self.settings.policy);

        let mut healthy: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in self.instances.values_mut() {
            if !instance.is_healthy() {
                continue;
            }
            if let Some(service) = self.services.get(&instance.registration.service) {
                instance.admit(&service.plan);
            }
            healthy.entry(&instance.registration.service).or_default().push(instance);
        }
        let mut ordered: Vec<_> = self.services.iter_mut().collect();
        // Of two definitions with the same name, that of a service with a limited token gets another one.
        ordered.sort_by_key(|(_, service)| (service.plan.is_limited, service.first_seen));
        let mut draft = Draft::default();
        for (name, service) in &mut ordered {
            let Some(config) = service.plan.in_use() else { continue };
            let (config, warnings) = scope(name, config, |p, k, n| draft.get(p, k, n));
            let new = warnings.into_iter().filter(|warning| service.reported.insert(warning.clone()));
            self.warnings.extend(new.map(|warning| ((*name).clone(), warning)));
            let instances = healthy.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let backends: Vec<_> = instances.iter().filter_map(|instance| instance.backend()).collect();
            draft.add(&config, &backends);
            service.plan.rendered = Some(config);
            self.former.extend(service.plan.replaced.take().map(|config| ((*name).clone(), config)));
        }
        self.former = keep_referenced(&mut draft, &self.former, &mut ordered, &healthy, &mut self.warnings);
        for (name, service) in ordered {
            service.generations.retain(|config| Arc::strong_count(config) > 1);
            let Some(trial) = &service.plan.trial else { continue };
            let config = &trial.candidate.config;
            let instances = healthy.get(name.as_str()).into_iter().flatten();
            let tried = instances.filter(|i| i.config.as_ref().is_ok_and(|own| Arc::ptr_eq(own, config)));
            let backends: Vec<_> = tried.map(|instance| instance.backend_with(config)).collect();
            draft.add(&trial.config, &backends);
        }
        draft.finish()
    }

    /// Takes over the reports of routers. Returns whether [`Registry::update`] or a refusal changes.
    pub(crate) fn settle_trials(&mut self, reports: &impl Reports) -> bool {
        let revision = Some(reports.revision());
        if std::mem::replace(&mut self.settled, revision) == revision {
            return false;
        }
        let mut changed = false;
        for service in self.services.values_mut() {
            changed |= service.plan.settle(reports);
        }
        self.undecided |= changed;
        changed
    }

    /// Records that `generation` is the latest result of [`Registry::update`]. Returns the instances whose refusal
    /// began, changed or ended: service, ID, and the reason if it is refused.
    pub(crate) fn set_generation(
        &mut self,
        now: Instant,
        generation: u64,
    ) -> Vec<(String, InstanceId, Option<String>)> {
        let (mut changes, at) = (Vec::new(), self.unix_millis(now));
        for name in std::mem::take(&mut self.touched) {
            let Some(service) = self.services.get_mut(&name) else { continue };
            service.plan.set_generation(generation);
            for id in &service.members {
                let Some(instance) = self.instances.get_mut(id) else { continue };
                let reason = match &instance.config {
                    Ok(config) => service.plan.refusal(config).cloned(),
                    Err(errors) => Some(errors.to_string()),
                };
                let is_in = instance.is_healthy() && instance.backend().is_some();
                if !is_in {
                    instance.since = None;
                    self.unconfirmed.remove(id);
                } else if instance.since.is_none() {
                    instance.since = Some(generation);
                    self.unconfirmed.insert(id.clone(), generation);
                }
                if instance.refusal != reason {
                    instance.refusal.clone_from(&reason);
                    instance.changed_at = at;
                    instance.healthy_at = instance.healthy_at.map(|_| now);
                    let change = reason.clone().map_or(Change::Accepted, |reason| Change::Refused { reason });
                    self.journal.record(at, id, instance, change);
                    changes.push((name.clone(), id.clone(), reason));
                }
            }
        }
        changes
    }

    /// Returns whether every router sends requests to an instance. It may do so although its latest labels are refused.
    pub(crate) fn is_serving(&self, id: &InstanceId, reports: &impl Reports) -> bool {
        let Some(instance) = self.instances.get(id) else { return false };
        let service = self.services.get(&instance.registration.service);
        service.is_some_and(|service| service.plan.works())
            && instance.since.is_some_and(|generation| reports.is_confirmed(generation))
    }

    /// Returns the routing state of an instance; pending if it holds no lease.
    pub(crate) fn routing(&self, id: &InstanceId, reports: &impl Reports) -> Routing {
        let Some(instance) = self.instances.get(id) else { return Routing::Pending };
        match (&instance.refusal, &instance.config, instance.since) {
            (Some(reason), ..) => Routing::Refused { reason: reason.clone() },
            (None, Ok(config), _) if !config.is_routed() => Routing::Unrouted,
            (None, _, Some(generation)) if reports.is_confirmed(generation) => Routing::Confirmed,
            _ => Routing::Pending,
        }
    }
}

impl Registry {
    /// Returns whether a service has or had instances, or a manager lists it.
    pub(crate) fn knows(&self, service: &str) -> bool {
        self.services.contains_key(service) || self.specs.lists(service)
    }

    /// Returns the labels that apply to a task.
    pub(crate) fn labels_of<'a>(&self, registration: &'a Registration) -> Cow<'a, Labels> {
        self.specs.resolve_labels(registration).0
    }

    /// Returns the names of all services, with and without instances.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.services.keys().map(String::as_str).chain(self.specs.names()).collect()
    }

    /// Returns whether a manager has published services.
    pub(crate) fn has_manager(&self) -> bool {
        self.specs.has_manager()
    }

    /// Returns whether routers send requests to an instance of `service`, or one is healthy whose labels ask for no route.
    pub(crate) fn is_routed(&self, service: &str, reports: &impl Reports) -> bool {
        let members = self.services.get(service).into_iter().flat_map(|service| &service.members);
        members.into_iter().any(|id| match self.routing(id, reports) {
            Routing::Confirmed => true,
            Routing::Unrouted => self.instances.get(id).is_some_and(Instance::is_healthy),
            _ => false,
        })
    }

    /// Returns the IDs of the instances of `service`, and what the hub makes of their labels; `None` if there is no such
    /// service.
    pub(crate) fn explain(&self, name: &str) -> Option<(Vec<&InstanceId>, Explanation)> {
        let version = self.specs.version(name);
        let Some(service) = self.services.get(name) else {
            return version.map(|_| (Vec::new(), Explanation { version, ..Explanation::default() }));
        };
        let mut explanation = Explanation { version, ..Explanation::default() };
        let (mut ids, mut backends) = (Vec::new(), Vec::new());
        let mut sets: Vec<(Cow<'_, Labels>, Vec<InstanceId>)> = Vec::new();
        for (id, instance) in service.members.iter().filter_map(|id| self.instances.get_key_value(id)) {
            let labels = self.labels_of(&instance.registration);
            match sets.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, instances)) => instances.push(id.clone()),
                None => sets.push((labels, vec![id.clone()])),
            }
            ids.push(id);
            backends.extend(instance.backend().filter(|_| instance.is_healthy()));
        }
        let redacted = |(labels, instances): (Cow<'_, Labels>, _)| LabelSet {
            labels: traefik_v1::redact(&labels).unwrap_or_else(|| labels.into_owned()),
            instances,
        };
        explanation.labels = sets.into_iter().map(redacted).collect();
        let mut draft = Draft::default();
        if let Some(config) = &service.plan.rendered {
            draft.add(config, &backends);
        }
        let document = redact_document(&draft.finish().to_json());
        explanation.configuration = serde_json::from_str(&document).unwrap_or_default();
        explanation.warnings = service.reported.iter().cloned().collect();
        Some((ids, explanation))
    }
}

impl Instance {
    /// Returns the registration without the values that only routers may receive.
    pub(crate) fn public_registration(&self) -> Registration {
        match &self.redacted {
            None => self.registration.clone(),
            Some(labels) => Registration { labels: Arc::clone(labels), ..self.registration.clone() },
        }
    }

    /// Returns the kind of its refusal: its `labels` are wrong, they conflict with those of another `service` or need them, or
    /// `traefik` rejects them.
    pub(crate) fn refusal_kind(&self) -> Option<&'static str> {
        let reason = self.refusal.as_ref()?;
        Some(match &self.config {
            Err(_) => "labels",
            Ok(_) if reason.starts_with(REPORTED) => "traefik",
            Ok(_) => "service",
        })
    }

    /// Returns whether its labels give this configuration.
    fn is_of(&self, config: Option<&Arc<ServiceConfig>>) -> bool {
        let own = self.config.as_ref().ok();
        own.is_some_and(|own| config.is_some_and(|config| Arc::ptr_eq(own, config)))
    }

    fn is_healthy(&self) -> bool {
        self.registration.health == Health::Healthy
    }

    /// Returns the configuration with which it may receive requests, in addition to the one with which it does.
    fn candidate(&self) -> Option<&Arc<ServiceConfig>> {
        let fallback = || self.fallback.as_ref().filter(|_| self.serving.is_none());
        self.config.as_ref().ok().or_else(fallback)
    }

    /// Lets it receive requests with its own configuration, if it is healthy and the plan of its service allows that.
    fn admit(&mut self, plan: &Plan) {
        if let Some(config) = self.candidate()
            && self.is_healthy()
            && plan.admits(config)
            && self.serving.as_ref().is_none_or(|serving| !Arc::ptr_eq(serving, config))
        {
            self.serving = Some(Arc::clone(config));
            self.since = None;
        }
    }

    /// Returns the instance as a server, if it receives requests.
    fn backend(&self) -> Option<Backend<'_>> {
        let config = self.serving.as_deref().filter(|config| config.is_routed())?;
        Some(self.backend_with(config))
    }

    fn backend_with<'a>(&'a self, config: &'a ServiceConfig) -> Backend<'a> {
        let Registration { address, port, published, .. } = &self.registration;
        Backend { address: *address, port: *port, published, config }
    }
}

impl Service {
    /// Returns the configuration of another instance if it is equal.
    fn intern(&mut self, config: ServiceConfig) -> Arc<ServiceConfig> {
        if let Some(known) = self.generations.iter().find(|known| ***known == config) {
            return Arc::clone(known);
        }
        let config = Arc::new(config);
        self.generations.push(Arc::clone(&config));
        config
    }
}

/// Adds definitions of `former` configurations to which `services` refer and which no service has in use. Returns them with
/// their services.
fn keep_referenced(
    draft: &mut Draft,
    former: &[(String, Arc<ServiceConfig>)],
    services: &mut [(&String, &mut Service)],
    healthy: &BTreeMap<&str, Vec<&Instance>>,
    warnings: &mut Vec<(String, String)>,
) -> Vec<(String, Arc<ServiceConfig>)> {
    let mut kept = Vec::new();
    if former.is_empty() {
        return kept;
    }
    let mut referring: Vec<_> = services
        .iter()
        .enumerate()
        .filter_map(|(place, (_, service))| Some((place, service.plan.rendered.clone()?)))
        .collect();
    while let Some((place, config)) = referring.pop() {
        for reference in config.references() {
            let Reference { protocol, kind, name, .. } = reference;
            if draft.get(protocol, kind, name).is_some() {
                continue;
            }
            // The latest one counts.
            let mut definitions = former.iter().rev();
            let definition =
                definitions.find_map(|(owner, config)| Some((owner, config.only(protocol, kind, name)?)));
            let Some((owner, definition)) = definition else { continue };
            let instances = healthy.get(owner.as_str()).into_iter().flatten();
            let backends: Vec<_> = instances.filter_map(|instance| instance.backend()).collect();
            draft.add(&definition, &backends);
            let definition = Arc::new(definition);
            referring.push((place, Arc::clone(&definition)));
            kept.push((owner.clone(), definition));
            let warning =
                format!("{}; its last definition stays until the hub restarts", reference.missing());
            let (service, Service { reported, .. }) = &mut services[place];
            if reported.insert(warning.clone()) {
                warnings.push(((*service).clone(), warning));
            }
        }
    }
    kept
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the configuration from the labels that apply to a task of `service`, and whether they differ from those it was
/// started with.
fn read_config(
    settings: &Settings,
    specs: &Specs,
    service: &mut Service,
    registration: &Registration,
    is_limited: bool,
    warnings: &mut Vec<(String, String)>,
) -> (Result<Arc<ServiceConfig>, LabelErrors>, bool) {
    if specs.is_foreign(registration) {
        let message =
            "this container is none of its tasks, but has its name; give the container another name";
        let errors = vec![Diagnostic::new(format!("service {}", registration.service), message)];
        return (Err(LabelErrors(errors)), false);
    }
    let (labels, stale) = specs.resolve_labels(registration);
    let name = &registration.service;
    let mut config = traefik_v1::read_config(name, &labels, &settings.exposure);
    for diagnostic in config.iter().flat_map(ServiceConfig::warnings) {
        let warning = format!("label {diagnostic}");
        if service.reported.insert(warning.clone()) {
            warnings.push((name.clone(), warning));
        }
    }
    if let Ok(read) = &config {
        let errors = read.unpublished_ports(&registration.published);
        config = if errors.is_empty() { config } else { Err(LabelErrors(errors)) };
    }
    if is_limited && let Ok(claims) = &config {
        let errors = settings.policy.exceeding(name, claims);
        config = if errors.is_empty() { config } else { Err(LabelErrors(errors)) };
    }
    (config.map(|config| service.intern(config)), stale)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
pub(crate) mod tests;
