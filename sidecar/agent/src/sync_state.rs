//! The difference between the hub's knowledge of this node and the agent's. Pure: takes the time as a parameter.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::{Health, InstanceId, Registration, Services};

use crate::node::Node;

/// Time until a rejected request is sent again.
const RETRY_REJECTED: Duration = Duration::from_secs(10);

/// State that the hub has acknowledged.
#[derive(Debug, Default)]
pub(crate) struct SyncState {
    /// Containers that the hub may know, with the registration that it has acknowledged on this connection.
    acknowledged: BTreeMap<InstanceId, Option<Rc<Registration>>>,
    rejected: BTreeMap<InstanceId, Rejected>,
    services: Option<Rc<Services>>,
    services_rejected_until: Option<Instant>,
}

/// A registration that the hub has rejected.
#[derive(Debug)]
struct Rejected {
    registration: Rc<Registration>,
    until: Instant,
}

/// A request to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A container has started or changed.
    Register(InstanceId, Rc<Registration>),
    /// A container has ended.
    Withdraw(InstanceId),
    /// The swarm's services, as this manager knows them.
    Publish(InstanceId, Rc<Services>),
}

impl SyncState {
    /// Returns the next request. Containers that must not receive requests any more come first. The hub may know of a
    /// container from here on, even if the response to its registration is lost.
    pub(crate) fn next(&mut self, node: &Node, now: Instant) -> Option<Request> {
        let wanted = node.wanted();
        let urgent = self.unhealthy(wanted).or_else(|| self.ended(wanted));
        // Services come before containers, so that the hub registers containers with the labels of their services.
        let next = urgent.or_else(|| self.services(node, now)).or_else(|| self.changed(wanted, now));
        if let Some(Request::Register(id, _)) = &next {
            self.acknowledged.insert(id.clone(), None);
        }
        next
    }

    fn unhealthy(&self, wanted: &BTreeMap<InstanceId, Rc<Registration>>) -> Option<Request> {
        self.acknowledged.iter().find_map(|(id, acknowledged)| {
            let registration = wanted.get(id)?;
            let was_healthy = acknowledged.as_ref()?.health == Health::Healthy;
            (was_healthy && registration.health != Health::Healthy)
                .then(|| Request::Register(id.clone(), Rc::clone(registration)))
        })
    }

    fn ended(&self, wanted: &BTreeMap<InstanceId, Rc<Registration>>) -> Option<Request> {
        let id = self.acknowledged.keys().find(|id| !wanted.contains_key(*id))?;
        Some(Request::Withdraw(id.clone()))
    }

    fn changed(&mut self, wanted: &BTreeMap<InstanceId, Rc<Registration>>, now: Instant) -> Option<Request> {
        self.rejected
            .retain(|id, rejected| now < rejected.until && wanted.get(id) == Some(&rejected.registration));
        wanted.iter().find_map(|(id, registration)| {
            let acknowledged = self.acknowledged.get(id).and_then(Option::as_ref);
            // Comparing pointers first avoids most comparisons of the content.
            let is_current = acknowledged.is_some_and(|acknowledged| {
                Rc::ptr_eq(acknowledged, registration) || acknowledged == registration
            });
            (!is_current && !self.rejected.contains_key(id))
                .then(|| Request::Register(id.clone(), Rc::clone(registration)))
        })
    }

    fn services(&self, node: &Node, now: Instant) -> Option<Request> {
        let (name, services) = node.services()?;
        let is_rejected = self.services_rejected_until.is_some_and(|until| now < until);
        (self.services.as_ref() != Some(services) && !is_rejected)
            .then(|| Request::Publish(name, Rc::clone(services)))
    }

    /// Records that the hub has acknowledged a request.
    pub(crate) fn acknowledge(&mut self, request: Request) {
        match request {
            Request::Register(id, registration) => {
                self.rejected.remove(&id);
                self.acknowledged.insert(id, Some(registration));
            }
            Request::Withdraw(id) => {
                self.acknowledged.remove(&id);
                self.rejected.remove(&id);
            }
            Request::Publish(_, services) => {
                self.services = Some(services);
                self.services_rejected_until = None;
            }
        }
    }

    /// Records that the hub has rejected a request.
    pub(crate) fn reject(&mut self, request: Request, now: Instant) {
        let until = now + RETRY_REJECTED;
        match request {
            Request::Register(id, registration) => {
                self.acknowledged.remove(&id);
                self.rejected.insert(id, Rejected { registration, until });
            }
            Request::Withdraw(id) => drop(self.acknowledged.remove(&id)),
            Request::Publish(..) => self.services_rejected_until = Some(until),
        }
    }

    /// Returns the time of the next retry of a rejected request.
    pub(crate) fn next_retry(&self, now: Instant) -> Option<Instant> {
        let retries =
            self.rejected.values().map(|rejected| rejected.until).chain(self.services_rejected_until);
        retries.filter(|at| now < *at).min()
    }

    /// Discards all acknowledgements after the connection is lost or the hub has lost leases. The hub may still know the
    /// containers, so those that end in the meantime are withdrawn.
    pub(crate) fn reset(&mut self) {
        self.acknowledged.values_mut().for_each(|acknowledged| *acknowledged = None);
        self.rejected.clear();
        (self.services, self.services_rejected_until) = (None, None);
    }

    /// Returns the number of leases that this connection should hold.
    pub(crate) fn leases(&self) -> usize {
        self.acknowledged.values().filter(|acknowledged| acknowledged.is_some()).count()
    }
}

#[cfg(test)]
#[path = "sync_state_tests.rs"]
mod tests;
