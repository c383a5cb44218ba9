//! Plans: the configuration of each service that is in use, and the one that may take its place. Pure.
//!
//! Instances of a service with the same configuration form a generation. The configuration in use stays until a newer one
//! works: it conflicts with no other service, everything that it refers to exists, and the routers accept it. The last is
//! tried with definitions under other names, if a router can report on them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use traefik::{API, BEACON, PAGE, Reference, ServiceConfig};

use crate::policy::Policy;
use crate::reports::Reports;

/// Difference between the starts of two generations from which one counts as newer. Hubs see them at different times.
const CLEARLY_NEWER: Duration = Duration::from_secs(1);

/// Suffix of the names of definitions that are tried.
const TRIAL_SUFFIX: &str = "-swarmlings-trial";

/// Beginning of the reason for a refusal that a router reports.
pub(crate) const REPORTED: &str = "Traefik reports for ";

/// Kinds of definitions that only services with equal definitions share. Of other kinds, each service may have its own
/// under the same name.
const EXCLUSIVE: [&str; 3] = ["routers", "services", "stores"];

/// Healthy instances of a service with the same configuration.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) config: Arc<ServiceConfig>,
    /// Start of the newest instance, or the last change of its labels.
    pub(crate) start: Instant,
}

/// Generations of a service.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Those with healthy instances.
    healthy: Vec<Generation>,
    /// Configurations of all instances, healthy or not.
    all: Vec<Arc<ServiceConfig>>,
    /// Whether an instance registered with the token of its service only.
    pub(crate) is_limited: bool,
}

/// Configurations of a service.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Generation in use. It is kept when there are no instances left.
    in_use: Option<Generation>,
    /// Its configuration in the document, where some names may differ.
    pub(crate) rendered: Option<Arc<ServiceConfig>>,
    /// The one that it replaced in the document, until that is rendered again.
    pub(crate) replaced: Option<Arc<ServiceConfig>>,
    /// Generation of the document with which it came into use; `None` until that has a number.
    since: Option<u64>,
    /// Error that a router reports for it.
    error: Option<String>,
    /// Whether an instance registered with the token of its service only. It is kept when there are no instances left.
    pub(crate) is_limited: bool,
    /// Generation that is tried. A rejected one stays, so that routers report when the error ends.
    pub(crate) trial: Option<Trial>,
    /// Configurations that routers rejected when they were tried, with the error.
    rejected: Vec<(Arc<ServiceConfig>, String)>,
    /// Newer configurations, whose instances receive no requests, with the reason if they are refused.
    waiting: Vec<(Arc<ServiceConfig>, Option<String>)>,
}

/// A generation that is tried.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) candidate: Generation,
    /// Its configuration in the document.
    pub(crate) config: ServiceConfig,
    /// Generation of the document with which the trial began; `None` until that has a number.
    since: Option<u64>,
    /// Whether every router has reported that it works.
    works: bool,
}

/// A service, with the generations that may come into use: the preferred one first, each with the reason if it cannot.
struct Candidates<'a> {
    service: &'a str,
    plan: &'a mut Plan,
    choices: Vec<(Generation, Option<String>)>,
}

impl Members {
    /// Adds the configuration of an instance. `start` is that of a healthy one.
    pub(crate) fn add(&mut self, config: &Arc<ServiceConfig>, start: Option<Instant>) {
        if !self.all.iter().any(|known| Arc::ptr_eq(known, config)) {
            self.all.push(Arc::clone(config));
        }
        let Some(start) = start else { return };
        match self.healthy.iter_mut().find(|known| Arc::ptr_eq(&known.config, config)) {
            Some(known) => known.start = known.start.max(start),
            None => self.healthy.push(Generation { config: Arc::clone(config), start }),
        }
    }

    /// Returns whether an instance, healthy or not, has this configuration.
    fn has(&self, config: &Arc<ServiceConfig>) -> bool {
        self.all.iter().any(|known| Arc::ptr_eq(known, config))
    }
}

impl Plan {
    /// Returns the configuration in use.
    pub(crate) fn in_use(&self) -> Option<&Arc<ServiceConfig>> {
        self.in_use.as_ref().map(|in_use| &in_use.config)
    }

    /// Returns whether no router reports an error for the configuration in use.
    pub(crate) fn works(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the configuration in use, if no other one is tried or waits.
    pub(crate) fn only(&self) -> Option<&Arc<ServiceConfig>> {
        self.in_use().filter(|_| self.trial.is_none() && self.waiting.is_empty())
    }

    /// Records the start of a healthy instance with the configuration in use.
    pub(crate) fn renew(&mut self, start: Instant) {
        if let Some(in_use) = &mut self.in_use {
            in_use.start = in_use.start.max(start);
        }
    }

    /// Returns the start of a generation from changed labels: `now`, or later if it would not count as newer.
    pub(crate) fn after(&self, now: Instant) -> Instant {
        let newer = |in_use: &Generation| in_use.start + CLEARLY_NEWER + Duration::from_millis(1);
        self.in_use.as_ref().map_or(now, |in_use| now.max(newer(in_use)))
    }

    /// Returns whether instances with this configuration receive requests: it is in use, or older.
    pub(crate) fn admits(&self, config: &Arc<ServiceConfig>) -> bool {
        self.in_use.is_some() && self.waiting.iter().all(|(waiting, _)| !Arc::ptr_eq(waiting, config))
    }

    /// Returns why instances with this configuration are refused.
    pub(crate) fn refusal(&self, config: &Arc<ServiceConfig>) -> Option<&String> {
        if self.in_use().is_some_and(|in_use| Arc::ptr_eq(in_use, config)) {
            return self.error.as_ref();
        }
        self.waiting.iter().find(|(waiting, _)| Arc::ptr_eq(waiting, config))?.1.as_ref()
    }

    /// Records that `generation` is the latest one of the document.
    pub(crate) fn set_generation(&mut self, generation: u64) {
        if self.in_use.is_some() {
            self.since.get_or_insert(generation);
        }
        if let Some(trial) = &mut self.trial {
            trial.since.get_or_insert(generation);
        }
    }

    /// Takes over the reports of routers. Returns whether anything changed.
    pub(crate) fn settle(&mut self, reports: &impl Reports) -> bool {
        let is_reported = |since: Option<u64>| since.is_some_and(|since| reports.is_confirmed(since));
        let mut changed = false;
        if is_reported(self.since) {
            let error = self.rendered.as_ref().and_then(|config| error_of(config, self.since, reports));
            changed = error != self.error;
            self.error = error;
        }
        if let Some(trial) = &mut self.trial
            && is_reported(trial.since)
        {
            let config = &trial.candidate.config;
            let known = self.rejected.iter().position(|(rejected, _)| Arc::ptr_eq(rejected, config));
            let error = error_of(&trial.config, trial.since, reports);
            // Without reports an error stays: a beacon does not show that it has ended.
            if error.is_some() || known.is_none() || reports.can_try() {
                let former = known.map(|place| self.rejected.swap_remove(place).1);
                changed |= error != former || trial.works != error.is_none();
                trial.works = error.is_none();
                self.rejected.extend(error.map(|error| (Arc::clone(config), error)));
            }
        }
        changed
    }

    /// Returns the error that routers reported for a configuration when it was tried.
    fn rejection(&self, config: &Arc<ServiceConfig>) -> Option<&String> {
        Some(&self.rejected.iter().find(|(rejected, _)| Arc::ptr_eq(rejected, config))?.1)
    }

    /// Returns the generations that may come into use, the preferred one first.
    fn choices(&mut self, members: &Members) -> Vec<(Generation, Option<String>)> {
        let in_use = self.in_use.as_ref();
        self.rejected.retain(|(config, _)| {
            members.has(config) && in_use.is_none_or(|in_use| Trial::config(&in_use.config, config).is_some())
        });
        let mut choices = members.healthy.clone();
        choices.sort_by_key(|choice| Reverse(choice.start));
        if let Some(in_use) = &mut self.in_use {
            let is_in_use = |config: &Arc<ServiceConfig>| Arc::ptr_eq(config, &in_use.config);
            let is_held = members.has(&in_use.config);
            let newest = choices.iter().find(|choice| is_in_use(&choice.config)).map(|own| own.start);
            choices.retain(|choice| !is_in_use(&choice.config));
            in_use.start = newest.map_or(in_use.start, |newest| in_use.start.max(newest));
            choices.retain(|choice| !is_held || is_newer(choice, in_use));
        } else {
            // After a restart of the hub, the oldest one is most likely in use.
            choices.reverse();
        }
        let with_error = |choice: Generation| {
            let error = self.rejection(&choice.config).cloned();
            (choice, error)
        };
        choices.into_iter().map(with_error).collect()
    }

    /// Applies the checks of `choices`. Returns whether another generation came into use.
    fn apply(
        &mut self,
        choices: Vec<(Generation, Option<String>)>,
        members: &Members,
        can_try: bool,
    ) -> bool {
        let chosen = choices.iter().find(|(_, refusal)| refusal.is_none());
        let tried =
            chosen.or_else(|| choices.iter().find(|(choice, _)| self.rejection(&choice.config).is_some()));
        let trial = self.trial.take();
        self.trial = match tried {
            Some((tried, _)) => {
                let trial = trial.filter(|trial| Arc::ptr_eq(&trial.candidate.config, &tried.config));
                trial.or_else(|| Trial::new(self.in_use()?, tried))
            }
            // A rejected generation that is not healthy for a while is not tried again when it is.
            None => trial.filter(|trial| self.rejection(&trial.candidate.config).is_some()),
        };
        if let Some((chosen, _)) = chosen {
            let is_held = self.in_use().is_some_and(|in_use| members.has(in_use));
            let is_waiting = self.trial.as_ref().is_some_and(|trial| !trial.works);
            if !(is_waiting && can_try && is_held) {
                self.replaced = self.rendered.take().or(self.replaced.take());
                self.in_use = Some(chosen.clone());
                (self.since, self.error, self.trial) = (None, None, None);
                return true;
            }
        }
        let in_use = self.in_use.as_ref();
        let is_ahead = |choice: &Generation| in_use.is_none_or(|in_use| is_newer(choice, in_use));
        // The reason outlasts a time without healthy instances.
        self.waiting.retain(|(config, refusal)| {
            let is_healthy = members.healthy.iter().any(|known| Arc::ptr_eq(&known.config, config));
            refusal.is_some() && members.has(config) && !is_healthy
        });
        let ahead = choices.into_iter().filter(|(choice, _)| is_ahead(choice));
        self.waiting.extend(ahead.map(|(choice, refusal)| (choice.config, refusal)));
        false
    }
}

impl Trial {
    /// Prepares a trial of `candidate`; `None` if it differs from the configuration in use in nothing that can be tried.
    fn new(in_use: &ServiceConfig, candidate: &Generation) -> Option<Self> {
        let config = Self::config(in_use, &candidate.config)?;
        Some(Self { candidate: candidate.clone(), config, since: None, works: false })
    }

    fn config(in_use: &ServiceConfig, candidate: &ServiceConfig) -> Option<ServiceConfig> {
        let config = candidate.trial(TRIAL_SUFFIX)?;
        let is_known = in_use.trial(TRIAL_SUFFIX).is_some_and(|known| known.defines_the_same(&config));
        (!is_known).then_some(config)
    }
}

fn is_newer(generation: &Generation, in_use: &Generation) -> bool {
    generation.start > in_use.start + CLEARLY_NEWER
}

/// Returns the first error that a router reports for a definition, in use since this generation of the document.
fn error_of(config: &ServiceConfig, since: Option<u64>, reports: &impl Reports) -> Option<String> {
    config.claims().find_map(|(protocol, kind, name, _)| {
        let error = reports.error(since?, protocol, kind, name)?;
        let message = format!("{REPORTED}traefik.{protocol}.{kind}.{name}: {error}");
        // Labels cannot be the cause: there the hub replaces these providers.
        let is_static = ["@docker", "@swarm"].iter().any(|provider| error.contains(provider));
        let remedy = if is_static { "; in Traefik's own configuration write @http" } else { "" };
        Some(message.replace(TRIAL_SUFFIX, "") + remedy)
    })
}

/// Decides for each service which generation is in use, and which one is tried. Services are in the order in which they
/// keep names.
pub(crate) fn decide(
    services: &mut [(&str, &mut Plan)],
    members: &BTreeMap<&str, Members>,
    reports: &impl Reports,
    policy: &Policy,
) {
    let none = Members::default();
    let mut promoted = true;
    // A generation that comes into use may be what another one waits for.
    while std::mem::take(&mut promoted) {
        let mut all: Vec<_> = services
            .iter_mut()
            .map(|(service, plan)| {
                if let Some(members) = members.get(*service) {
                    plan.is_limited = members.is_limited;
                }
                let choices = plan.choices(members.get(*service).unwrap_or(&none));
                Candidates { service, plan, choices }
            })
            .collect();
        check(&mut all, policy);
        for Candidates { service, plan, choices } in all {
            promoted |= plan.apply(choices, members.get(service).unwrap_or(&none), reports.can_try());
        }
    }
}

/// Finds the reason of each choice that cannot come into use.
fn check(services: &mut [Candidates<'_>], policy: &Policy) {
    loop {
        let refusals = refusals(services, policy);
        if refusals.is_empty() {
            return;
        }
        let refused: BTreeSet<usize> = refusals.iter().map(|(place, _)| *place).collect();
        // A refused generation refuses no other one.
        let final_ones =
            refusals.into_iter().filter(|(_, (_, before))| before.is_none_or(|at| !refused.contains(&at)));
        for (index, (reason, _)) in final_ones {
            let choice = services[index].choices.iter_mut().find(|(_, refusal)| refusal.is_none());
            if let Some((_, refusal)) = choice {
                *refusal = Some(reason);
            }
        }
    }
}

/// Definition of a service: in use, and in the chosen generation.
#[derive(Default)]
struct Definitions<'a> {
    in_use: Option<&'a Value>,
    chosen: Option<&'a Value>,
}

/// Definitions by protocol, kind and name, and by the place of the service.
type Table<'a> = BTreeMap<(&'a str, &'a str, &'a str), BTreeMap<usize, Definitions<'a>>>;

impl Candidates<'_> {
    fn chosen(&self) -> Option<&ServiceConfig> {
        Some(&self.choices.iter().find(|(_, refusal)| refusal.is_none())?.0.config)
    }

    /// Returns whether a router of the service protects hosts, in use or chosen.
    fn has_tls_options(&self) -> bool {
        let configs = [self.plan.in_use().map(|config| &**config), self.chosen()];
        configs.into_iter().flatten().any(ServiceConfig::has_tls_options)
    }
}

/// Why a chosen generation cannot come into use, and the place of the service whose chosen generation comes before it, if
/// that is the reason.
type Reason = (String, Option<usize>);

/// Returns the reasons against chosen generations, by the place of the service.
fn refusals(services: &[Candidates<'_>], policy: &Policy) -> Vec<(usize, Reason)> {
    if services.iter().all(|service| service.chosen().is_none()) {
        return Vec::new();
    }
    let mut table = Table::new();
    let mut referring: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (place, service) in services.iter().enumerate() {
        for Reference { protocol, kind, name, .. } in
            service.plan.in_use().into_iter().flat_map(|c| c.references())
        {
            referring.entry((protocol.as_str(), *kind, name.as_str())).or_default().push(place);
        }
        for (protocol, kind, name, value) in service.plan.in_use().into_iter().flat_map(|c| c.claims()) {
            table.entry((protocol, kind, name)).or_default().entry(place).or_default().in_use = Some(value);
        }
        for (protocol, kind, name, value) in service.chosen().into_iter().flat_map(ServiceConfig::claims) {
            table.entry((protocol, kind, name)).or_default().entry(place).or_default().chosen = Some(value);
        }
    }
    let protected: BTreeSet<usize> =
        (0..services.len()).filter(|place| services[*place].has_tls_options()).collect();
    let reason = |(place, service): (usize, &Candidates<'_>)| {
        let config = service.chosen()?;
        let present = |protocol: &str, kind: &str, name: &str| {
            let definitions = table.get(&(protocol, kind, name))?;
            definitions.values().find_map(|definitions| definitions.chosen.or(definitions.in_use))
        };
        // Definitions above these, in other services, become deeper and more expensive.
        let above = || {
            let (mut seen, mut next) = (BTreeSet::from([place]), vec![config]);
            while let Some(config) = next.pop() {
                let claims = config.claims().map(|(protocol, kind, name, _)| (protocol, kind, name));
                for other in claims.filter_map(|claim| referring.get(&claim)).flatten() {
                    let Some(config) = services[*other].plan.in_use().filter(|_| seen.insert(*other)) else {
                        continue;
                    };
                    if let Some(error) = config.find_cycle(present) {
                        return Some(format!(
                            "service {} needs these definitions: {error}",
                            services[*other].service
                        ));
                    }
                    next.push(config);
                }
            }
            None
        };
        let reason = conflict(services, place, config, &table, policy)
            .or_else(|| tls_conflict(services, place, config, &table, &protected))
            .or_else(|| {
                let reason =
                    unresolved(config, &table).or_else(|| config.find_cycle(present)).or_else(above)?;
                Some((reason, None))
            })?;
        Some((place, reason))
    };
    services.iter().enumerate().filter_map(reason).collect()
}

fn unresolved(config: &ServiceConfig, table: &Table<'_>) -> Option<String> {
    let is_missing = |reference: &&Reference| {
        !table.contains_key(&(reference.protocol.as_str(), reference.kind, reference.name.as_str()))
    };
    config.references().iter().find(is_missing).map(Reference::unresolved)
}

/// Returns why `config`, chosen for the service at `place`, conflicts with another service.
fn conflict(
    services: &[Candidates<'_>],
    place: usize,
    config: &ServiceConfig,
    table: &Table<'_>,
    policy: &Policy,
) -> Option<Reason> {
    config.claims().find_map(|(protocol, kind, name, value)| {
        let label = format!("traefik.{protocol}.{kind}.{name}");
        if [API, BEACON, PAGE].contains(&name) || name.ends_with(TRIAL_SUFFIX) {
            return Some((format!("{label} is reserved for the hub"), None));
        }
        if !EXCLUSIVE.contains(&kind) {
            return None;
        }
        let holders = table.get(&(protocol, kind, name))?;
        let is_held = holders.get(&place).is_some_and(|own| own.in_use.is_some());
        let mut others = holders.iter().filter(|(other, _)| **other != place);
        let (holder, definitions) = others.find(|(other, Definitions { in_use, chosen })| {
            let may_share = may_share(&services[**other], &services[place], policy);
            let is_equal = |other: &&Value| *other == value && may_share;
            let moves_along = chosen.as_ref().is_some_and(is_equal);
            match (in_use, chosen) {
                (Some(in_use), _) => !is_equal(in_use) && !moves_along,
                (None, Some(_)) => !is_held && !moves_along && **other < place,
                (None, None) => false,
            }
        })?;
        let before = definitions.in_use.is_none().then_some(*holder);
        let holder = services[*holder].service;
        let is_different = definitions.chosen.or(definitions.in_use) != Some(value);
        let reason = if is_different {
            "which defines it differently; use another name"
        } else {
            "and a service with a token of its own shares no name; use another one, or list both services under `merge` in \
             the file of the hub's --policy"
        };
        Some((format!("{label} already belongs to service {holder}, {reason}"), before))
    })
}

/// Returns why `config`, chosen for the service at `place`, would weaken the TLS of a host of another service, or would
/// not get its own. `protected` are the places of services with TLS options.
fn tls_conflict(
    services: &[Candidates<'_>],
    place: usize,
    config: &ServiceConfig,
    table: &Table<'_>,
    protected: &BTreeSet<usize>,
) -> Option<Reason> {
    let definition = |place: usize, name: &str| {
        let definitions = table.get(&("tls", "options", name))?;
        let own = definitions.get(&place).or_else(|| definitions.values().next())?;
        own.chosen.or(own.in_use)
    };
    let others = (0..services.len()).filter(|other| *other != place);
    others.filter(|other| protected.contains(other) || protected.contains(&place)).find_map(|other| {
        let holder = &services[other];
        let clash = |config: &ServiceConfig, holders: &ServiceConfig| {
            let is_same = |name: &str| definition(place, name) == definition(other, name);
            config.find_tls_conflict(holder.service, holders, is_same)
        };
        match (holder.plan.in_use(), holder.chosen()) {
            (Some(in_use), chosen) => {
                let moves_along = chosen.is_some_and(|chosen| clash(config, chosen).is_none());
                clash(config, in_use).filter(|_| !moves_along).map(|reason| (reason, None))
            }
            (None, Some(chosen)) if other < place => {
                let own = services[place].plan.in_use();
                let is_held = own.is_some_and(|own| clash(own, chosen).is_some());
                clash(config, chosen).filter(|_| !is_held).map(|reason| (reason, Some(other)))
            }
            _ => None,
        }
    })
}

/// Whether two services may share a router or service with equal definitions: the tokens with which they registered allow
/// everything, or the policy lists them together.
fn may_share(one: &Candidates<'_>, other: &Candidates<'_>, policy: &Policy) -> bool {
    !(one.plan.is_limited || other.plan.is_limited) || policy.may_share(one.service, other.service)
}

/// Returns the configuration of a service in the document, and the definitions that have another name there. `defined`
/// returns the definition of another service. If two services define a middleware, a servers transport or TLS options
/// differently, the second one gets a name of its own.
pub(crate) fn scope<'a>(
    service: &str,
    config: &Arc<ServiceConfig>,
    defined: impl Fn(&str, &str, &str) -> Option<&'a Value>,
) -> (Arc<ServiceConfig>, Vec<String>) {
    let mut renamed = BTreeMap::new();
    for (protocol, kind, name, value) in config.claims().filter(|(_, kind, ..)| !EXCLUSIVE.contains(kind)) {
        if defined(protocol, kind, name).is_some_and(|other| other != value) {
            let mut new = format!("{name}-{service}");
            while defined(protocol, kind, &new).is_some_and(|other| other != value) {
                new.push_str("-2");
            }
            renamed.insert((protocol, kind, name), new);
        }
    }
    if renamed.is_empty() {
        return (Arc::clone(config), Vec::new());
    }
    let labels = renamed.iter().map(|((protocol, kind, name), new)| {
        format!(
            "label traefik.{protocol}.{kind}.{name}: another service defines it differently; for this service it is {new}"
        )
    });
    let labels = labels.collect();
    (Arc::new(config.rename(|protocol, kind, name| renamed.get(&(protocol, kind, name)).cloned())), labels)
}

#[cfg(test)]
#[path = "plans_tests.rs"]
mod tests;
