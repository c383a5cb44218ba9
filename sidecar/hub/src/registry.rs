//! Leases, and the configuration that follows from their labels. Pure: callers pass the time in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Health, InstanceId, Registration, Routing, Services, Source};
use serde_json::Value;
use traefik::{API, BEACON, Backend, Diagnostic, Document, Exposure, LabelErrors, ServiceConfig, render};

use crate::key::Key;
use crate::reports::Reports;
use crate::specs::Specs;
use crate::ticket;

/// Lifetimes, and the rules for exposing services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Lifetime of a lease without a renewal.
    pub(crate) ttl: Duration,
    /// Lifetime of a sidecar's lease after its connection closed.
    pub(crate) lost_after: Duration,
    /// Lifetime of an agent's lease after its connection closed. The containers may outlive the agent.
    pub(crate) agent_lost_after: Duration,
    /// Lifetime of the routers of a service without instances.
    pub(crate) keep_empty: Duration,
    /// Services that are exposed, and their default rule.
    pub(crate) exposure: Exposure,
    /// Key of tickets.
    pub(crate) key: Key,
}

/// Time for which a withdrawn instance cannot register again. A renewal sent before the withdrawal may arrive after
/// it, on another connection.
const WITHDRAWN_FOR: Duration = Duration::from_mins(1);

/// All leases.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) settings: Settings,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    services: BTreeMap<String, Service>,
    specs: Specs,
    /// Withdrawn instances: start time of the task, and end of the time for which it cannot register again.
    withdrawn: BTreeMap<InstanceId, (u64, Instant)>,
    /// A time, and the same time in milliseconds since the Unix epoch.
    epoch: (Instant, u64),
    /// Warnings that have not been returned yet, with their services.
    warnings: Vec<(String, String)>,
}

/// A task that holds a lease.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Latest registration, without age and ticket.
    pub(crate) registration: Registration,
    /// Start of the task, from the age in its first registration. May be before the start of this host.
    start: Instant,
    /// Configuration from its labels, or the errors in them.
    config: Result<Arc<ServiceConfig>, LabelErrors>,
    /// Whether its labels differ from those that the task was started with.
    pub(crate) stale: bool,
    /// Connection that last renewed the lease, while it is open.
    pub(crate) connection: Option<u64>,
    expires: Instant,
    /// First generation that contains it, while it is in the configuration.
    since: Option<u64>,
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
    /// Configuration of the newest healthy instance. It is kept when there are no instances left.
    config: Option<Arc<ServiceConfig>>,
    /// Reason why that is not in the document.
    refusal: Option<String>,
    empty_since: Option<Instant>,
    /// Diagnostics that have been reported.
    reported: BTreeSet<Diagnostic>,
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
            services: BTreeMap::new(),
            specs: Specs::default(),
            withdrawn: BTreeMap::new(),
            epoch: (now, unix_millis),
            warnings: Vec::new(),
        }
    }

    /// Registers an instance or renews its lease, and binds the lease to `connection`. Returns whether anything but the
    /// expiry changed.
    ///
    /// A service without a ticket gets one of the current time. During the `warm_up` of a hub, services return in any order;
    /// then it is the start of the service's oldest task.
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
    ) -> Result<bool, Withdrawn> {
        let age = Duration::from_millis(std::mem::take(&mut registration.age_ms));
        let ticket = registration.ticket.take();
        if self.withdrawn.get(id).is_some_and(|(started, _)| *started == registration.started) {
            return Err(Withdrawn);
        }
        let expires = now + self.settings.ttl;
        let mut start = now.checked_sub(age).unwrap_or(now);
        let (mut since, mut refusal) = (None, None);
        let is_earlier = self.see(now, warm_up.then_some(age), &registration.service, ticket.as_deref());
        if let Some(instance) = self.instances.get_mut(id) {
            instance.connection = Some(connection);
            instance.expires = expires;
            if instance.registration == registration {
                return Ok(is_earlier);
            }
            if instance.registration.started == registration.started {
                start = instance.start;
            }
            (since, refusal) = (instance.since, instance.refusal.take());
        }
        let (config, stale) = read_config(&self.settings, &self.specs, &registration);
        let connection = Some(connection);
        let instance = Instance { registration, start, config, stale, connection, expires, since, refusal };
        self.instances.insert(id.clone(), instance);
        Ok(true)
    }

    /// Records that a service registers with a ticket, if it has one. `oldest` is the age of its task if that counts.
    /// Returns whether the service moves before others.
    fn see(&mut self, now: Instant, oldest: Option<Duration>, name: &str, ticket: Option<&str>) -> bool {
        let service = self.services.get_mut(name);
        if ticket.is_some() && service.as_deref().is_some_and(|service| ticket == Some(&service.ticket)) {
            return false;
        }
        let valid = ticket.and_then(|ticket| ticket::read(&self.settings.key, name, ticket));
        let unix_millis = self.epoch.1 + millis(now.saturating_duration_since(self.epoch.0));
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

    /// Returns the ticket of a service.
    pub(crate) fn ticket(&self, service: &str) -> Option<String> {
        Some(self.services.get(service)?.ticket.clone())
    }

    /// Renews all leases of `connection` and returns their number.
    pub(crate) fn heartbeat(&mut self, now: Instant, connection: u64) -> usize {
        let held = self.instances.values_mut().filter(|instance| instance.connection == Some(connection));
        held.map(|instance| instance.expires = now + self.settings.ttl).count()
    }

    /// Replaces the services that the manager on `node` published. Returns whether the configuration from any instance's
    /// labels changed, and the instances that became stale.
    pub(crate) fn publish(&mut self, node: InstanceId, services: Services) -> (bool, Vec<InstanceId>) {
        let services = self.specs.publish(node, services);
        let (mut changed, mut newly_stale) = (false, Vec::new());
        let affected = |instance: &Instance| services.contains(&instance.registration.service);
        for (id, instance) in self.instances.iter_mut().filter(|(_, instance)| affected(instance)) {
            let (config, stale) = read_config(&self.settings, &self.specs, &instance.registration);
            changed |= config != instance.config || stale != instance.stale;
            if stale && !instance.stale {
                newly_stale.push(id.clone());
            }
            (instance.config, instance.stale) = (config, stale);
        }
        (changed, newly_stale)
    }

    /// Ends a lease. Returns whether it existed.
    pub(crate) fn withdraw(&mut self, now: Instant, id: &InstanceId) -> bool {
        let Some(instance) = self.instances.remove(id) else { return false };
        self.withdrawn.insert(id.clone(), (instance.registration.started, now + WITHDRAWN_FOR));
        true
    }

    /// Shortens the leases of a connection that closed. Another connection can still renew them. Those of
    /// sidecars end after `lost_after`.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64, lost_after: Duration) {
        for instance in self.instances.values_mut().filter(|i| i.connection == Some(connection)) {
            instance.connection = None;
            instance.expires = match instance.registration.source {
                Source::Sidecar => instance.expires.min(now + lost_after),
                // Longer than the TTL: a closed connection shows that the node is alive, silence does not.
                Source::Agent => now + self.settings.agent_lost_after,
            };
        }
    }

    /// Moves all expiries by `gap`, in which the hub did not run.
    pub(crate) fn postpone(&mut self, gap: Duration) {
        self.instances.values_mut().for_each(|instance| instance.expires += gap);
        self.withdrawn.values_mut().for_each(|(_, until)| *until += gap);
        for since in self.services.values_mut().filter_map(|service| service.empty_since.as_mut()) {
            *since += gap;
        }
    }

    /// Removes what has expired by `now`. Returns the lost instances, and whether anything changed.
    pub(crate) fn advance(&mut self, now: Instant) -> (Vec<InstanceId>, bool) {
        let lost: Vec<_> = self.instances.extract_if(.., |_, i| i.expires <= now).map(|(id, _)| id).collect();
        self.withdrawn.retain(|_, (_, until)| now < *until);
        let alive: BTreeSet<&str> =
            self.instances.values().map(|i| i.registration.service.as_str()).collect();
        let before = self.services.len();
        self.services.retain(|name, service| {
            service.empty_since =
                if alive.contains(name.as_str()) { None } else { service.empty_since.or(Some(now)) };
            service.empty_since.is_none_or(|since| now < since + self.settings.keep_empty)
        });
        let changed = !lost.is_empty() || self.services.len() != before;
        (lost, changed)
    }

    /// Returns the time of the next expiry.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let leases = self.instances.values().map(|instance| instance.expires);
        let empty = self.services.values().filter_map(|s| Some(s.empty_since? + self.settings.keep_empty));
        leases.chain(empty).min()
    }

    /// Returns warnings, with their services, that have not been returned before.
    pub(crate) fn new_warnings(&mut self) -> Vec<(String, String)> {
        let mut new = std::mem::take(&mut self.warnings);
        for instance in self.instances.values() {
            let name = &instance.registration.service;
            let Some(service) = self.services.get_mut(name) else { continue };
            for diagnostic in instance.config.iter().flat_map(|config| config.warnings()) {
                if !service.reported.contains(diagnostic) {
                    service.reported.insert(diagnostic.clone());
                    new.push((name.clone(), format!("label {diagnostic}")));
                }
            }
        }
        new
    }

    /// Builds the configuration. Of each service, the labels of the newest healthy instance apply. A service that
    /// conflicts with one that was first seen earlier is refused.
    pub(crate) fn document(&mut self, _reports: &impl Reports) -> Document {
        let mut healthy: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in self.instances.values().filter(|i| i.registration.health == Health::Healthy) {
            healthy.entry(&instance.registration.service).or_default().push(instance);
        }
        let mut document = Document::default();
        let mut claims = Claims::new();
        // By first seen, then by name.
        let mut ordered: Vec<_> = self.services.iter_mut().collect();
        ordered.sort_by_key(|(_, service)| service.first_seen);
        for (name, service) in ordered {
            let healthy = healthy.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let valid = healthy.iter().filter_map(|i| Some((i.start, i.config.as_ref().ok()?)));
            if let Some((_, newest)) = valid.max_by_key(|(start, _)| *start) {
                service.config = Some(Arc::clone(newest));
            }
            let Some(config) = &service.config else { continue };
            service.refusal = conflict(&claims, config).or_else(|| document.find_cycle(config));
            if service.refusal.is_some() {
                continue;
            }
            for (protocol, kind, wanted, value) in config.claims() {
                let claim = format!("traefik.{protocol}.{kind}.{wanted}");
                claims.entry(claim).or_insert_with(|| (name.clone(), value.clone()));
            }
            let backends: Vec<_> = healthy.iter().filter_map(|instance| instance.backend()).collect();
            render(&mut document, config, &backends);
        }
        document
    }

    /// Decides the trials on which every router has reported, and takes over the errors that routers report. Returns
    /// whether [`Registry::document`] or a refusal changes.
    #[expect(clippy::unused_self, reason = "there are no trials yet")]
    pub(crate) fn settle_trials(&mut self, _reports: &impl Reports) -> bool {
        false
    }

    /// Records that `generation` is the latest result of [`Registry::document`]. Returns the instances whose refusal
    /// began, changed or ended: service, ID, and the reason if it is refused.
    pub(crate) fn set_generation(&mut self, generation: u64) -> Vec<(String, InstanceId, Option<String>)> {
        let mut changes = Vec::new();
        for (id, instance) in &mut self.instances {
            let service = &instance.registration.service;
            let reason = match &instance.config {
                Ok(_) => self.services.get(service).and_then(|service| service.refusal.clone()),
                Err(errors) => Some(errors.to_string()),
            };
            let is_healthy = instance.registration.health == Health::Healthy;
            let is_in = reason.is_none() && is_healthy && instance.backend().is_some();
            instance.since = is_in.then(|| instance.since.unwrap_or(generation));
            if instance.refusal != reason {
                instance.refusal.clone_from(&reason);
                changes.push((service.clone(), id.clone(), reason));
            }
        }
        changes
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

impl Instance {
    fn backend(&self) -> Option<Backend<'_>> {
        let config = self.config.as_deref().ok().filter(|config| config.is_routed())?;
        Some(Backend { address: self.registration.address, port: self.registration.port, config })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the configuration from the labels that apply to a task, and whether they differ from those it was started
/// with.
fn read_config(
    settings: &Settings,
    specs: &Specs,
    registration: &Registration,
) -> (Result<Arc<ServiceConfig>, LabelErrors>, bool) {
    let (labels, stale) = specs.resolve_labels(registration);
    let config = traefik_v1::read_config(&registration.service, &labels, &settings.exposure);
    (config.map(Arc::new), stale)
}

/// Names in the configuration, such as `traefik.http.routers.ping`, with the service that has them and their content.
type Claims = BTreeMap<String, (String, Value)>;

/// Returns why `config` conflicts with services that were first seen earlier.
fn conflict(claims: &Claims, config: &ServiceConfig) -> Option<String> {
    config.claims().find_map(|(protocol, kind, wanted, value)| {
        let name = format!("traefik.{protocol}.{kind}.{wanted}");
        if [API, BEACON].contains(&wanted) {
            return Some(format!("{name} is reserved for the hub"));
        }
        let (holder, held) = claims.get(&name)?;
        // Two services may define the same middleware, if the definitions are equal.
        let shared = !matches!(kind, "routers" | "services") && held == value;
        (!shared).then(|| format!("{name} already belongs to service {holder}"))
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
