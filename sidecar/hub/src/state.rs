//! What the hub knows: who is there, what Traefik is told, and how far Traefik has got. Time is passed in.

use std::time::{Duration, Instant};

use protocol::{Instance, InstanceId, Routing};
use runtime::Latch;
use tracing::{info, warn};

use crate::certificate::Certificate;
use crate::events::Events;
use crate::refusals::Refusals;
use crate::registry::{self, Registry, Settings, Standing};
use crate::routers::Routers;
use traefik::Document;

/// Where routers ask for beacons.
pub(crate) const BEACON_PATH: &str = "/traefik/beacon";

/// All of it.
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) routers: Routers,
    pub(crate) document: Document,
    /// The same as text.
    pub(crate) text: String,
    pub(crate) generation: u64,
    /// Tells this hub's beacons from those of the one that was here before.
    pub(crate) life: u128,
    pub(crate) phase: Phase,
    pub(crate) learn: Duration,
    /// For Traefik's default store.
    pub(crate) certificate: Option<Certificate>,
    /// The hub is about to stop: nobody is kept waiting.
    pub(crate) draining: bool,
    /// Kept until the hub has learnt who is there.
    pub(crate) unready: Option<Latch>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    refusals: Refusals,
}

/// How much a hub that has started knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has registered yet.
    Blank,
    /// The first one has; those who were there before will be back until then.
    Learning(Instant),
    /// What it knows is all there is.
    Learnt,
}

/// What an update may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Nothing that anybody waits for.
    Nothing,
    /// How far a router has got, or what the hub is about to do.
    Progress,
    /// Who is there.
    Registry,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) withdrawn: u64,
    pub(crate) lost: u64,
    pub(crate) unauthorized: u64,
}

impl State {
    /// Nobody is known. `unready` is dropped when that has changed: `learn` after the first registration.
    pub(crate) fn new(
        now: Instant,
        life: u128,
        settings: Settings,
        learn: Duration,
        certificate: Option<Certificate>,
        unready: Latch,
    ) -> Self {
        Self {
            registry: Registry::new(settings),
            routers: Routers::new(now),
            document: Document::default(),
            text: String::new(),
            generation: 0,
            life,
            phase: Phase::Blank,
            learn,
            certificate,
            draining: false,
            unready: Some(unready),
            events: Events::default(),
            counters: Counters::default(),
            refusals: Refusals::default(),
        }
    }

    /// Lets time pass, and makes a new generation if the configuration has changed. Tells whether anything has.
    pub(crate) fn settle(&mut self, now: Instant, mut change: Change) -> bool {
        let (lost, expired) = self.registry.advance(now);
        for id in lost {
            warn!(instance = %id, "lost: its connection closed or its lease ran out");
            self.counters.lost += 1;
        }
        if self.routers.advance(now) {
            change = change.max(Change::Progress);
        }
        if matches!(self.phase, Phase::Learning(until) if until <= now) {
            self.phase = Phase::Learnt;
            self.unready = None;
            info!(instances = self.registry.instances().count(), "learnt who is there");
            change = change.max(Change::Progress);
        }
        if expired || change == Change::Registry {
            change = Change::Registry;
            for (service, remark) in self.registry.remarks() {
                warn!(%service, "label {remark}");
            }
            self.document = self.registry.document();
            let text = self.document.to_json();
            if self.generation == 0 || text != self.text {
                self.generation += 1;
                self.text = text;
            }
            self.registry.published(self.generation);
            self.log_refusals();
        }
        if change > Change::Nothing && self.events.has_followers() {
            let instances = self.instances();
            self.events.publish(&instances);
        }
        change > Change::Nothing
    }

    fn log_refusals(&mut self) {
        let Self { registry, refusals, .. } = self;
        let (begun, ended) = refusals.note(registry.refused());
        for id in begun {
            if let (Some(service), Some(Standing::Refused(reason))) =
                (registry.service_of(&id), registry.standing(&id))
            {
                warn!(service, instance = %id, "refused: {reason}");
            }
        }
        // Of one that is gone there is a line already.
        for id in ended {
            if let Some(service) = registry.service_of(&id) {
                info!(service, instance = %id, "no longer refused");
            }
        }
    }

    /// When [`State::settle`] will next have something to do without being asked.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let learnt = if let Phase::Learning(until) = self.phase { Some(until) } else { None };
        [self.registry.next_change(), self.routers.next_change(), learnt].into_iter().flatten().min()
    }

    /// The configuration for the router that polls on `connection`: with a beacon, if it is known to reach the hub as
    /// `host`, and with a default certificate.
    pub(crate) fn document_for(&self, connection: u64, host: Option<&str>) -> String {
        let mut document = self.document.clone();
        if let Some(host) = host {
            let Self { life, generation, .. } = self;
            let path = format!("{BEACON_PATH}?life={life}&connection={connection}&generation={generation}");
            document.add_beacon(host, &path);
        }
        if let Some(Certificate { chain, key }) = &self.certificate {
            document.add_default_certificate(chain, key);
        }
        document.to_json()
    }

    /// Whether requests reach an instance.
    pub(crate) fn routing(&self, id: &InstanceId) -> Routing {
        match self.registry.standing(id) {
            Some(Standing::Unrouted) => Routing::Unrouted,
            Some(Standing::Refused(reason)) => Routing::Refused { reason },
            Some(Standing::Routed(since)) if self.routers.confirmation(since).is_complete() => {
                Routing::Confirmed
            }
            Some(Standing::Routed(_) | Standing::Waiting) | None => Routing::Pending,
        }
    }

    /// Everybody.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        let line = |(id, instance): (&InstanceId, &registry::Instance)| Instance {
            id: id.clone(),
            registration: instance.registration.clone(),
            routing: self.routing(id),
            connected: instance.is_connected(),
            stale: instance.is_stale(),
        };
        self.registry.instances().map(line).collect()
    }
}
