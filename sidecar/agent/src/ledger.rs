//! What the hub was told, and what it is to be told next. Pure: time is passed in.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::{Health, InstanceId, Registration, Services};

use crate::node::Node;

/// When the hub is told once more what it has refused.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// What the hub was told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Of each container that the hub may know of: what it has confirmed on this connection.
    told: BTreeMap<InstanceId, Option<Rc<Registration>>>,
    refused: BTreeMap<InstanceId, Refusal>,
    services: Option<Rc<Services>>,
    services_refused: Option<Instant>,
}

#[derive(Debug)]
struct Refusal {
    registration: Rc<Registration>,
    until: Instant,
}

/// What the hub is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A container is there, or has changed.
    Register(InstanceId, Rc<Registration>),
    /// A container has ended.
    Withdraw(InstanceId),
    /// The swarm's services, as this manager knows them.
    Publish(InstanceId, Rc<Services>),
}

impl Ledger {
    /// The next request, the most urgent first: whom no request is to reach any more. From here on the hub may know of
    /// it, whatever comes of the answer.
    pub(crate) fn next(&mut self, node: &Node, now: Instant) -> Option<Request> {
        let wanted = node.wanted();
        let urgent = self.unhealthy(wanted).or_else(|| self.ended(wanted));
        // Services before containers, which are then registered with the labels that count.
        let next = urgent.or_else(|| self.publication(node, now)).or_else(|| self.changed(wanted, now));
        if let Some(Request::Register(id, _)) = &next {
            self.told.insert(id.clone(), None);
        }
        next
    }

    fn unhealthy(&self, wanted: &BTreeMap<InstanceId, Rc<Registration>>) -> Option<Request> {
        self.told.iter().find_map(|(id, told)| {
            let registration = wanted.get(id)?;
            let turns = told.as_ref()?.health == Health::Healthy && registration.health != Health::Healthy;
            turns.then(|| Request::Register(id.clone(), Rc::clone(registration)))
        })
    }

    fn ended(&self, wanted: &BTreeMap<InstanceId, Rc<Registration>>) -> Option<Request> {
        self.told.keys().find(|id| !wanted.contains_key(*id)).map(|id| Request::Withdraw(id.clone()))
    }

    fn changed(&mut self, wanted: &BTreeMap<InstanceId, Rc<Registration>>, now: Instant) -> Option<Request> {
        self.refused
            .retain(|id, refusal| now < refusal.until && wanted.get(id) == Some(&refusal.registration));
        wanted.iter().find_map(|(id, registration)| {
            let told = self.told.get(id).and_then(Option::as_ref);
            // Mostly it is the very same one, which saves a look at what is in it.
            let is_told = told.is_some_and(|told| Rc::ptr_eq(told, registration) || told == registration);
            let is_due = !is_told && !self.refused.contains_key(id);
            is_due.then(|| Request::Register(id.clone(), Rc::clone(registration)))
        })
    }

    fn publication(&mut self, node: &Node, now: Instant) -> Option<Request> {
        let (name, services) = node.services()?;
        if self.services.as_ref() == Some(services) || self.services_refused.is_some_and(|until| now < until)
        {
            return None;
        }
        Some(Request::Publish(name, Rc::clone(services)))
    }

    /// The hub has taken a request into account.
    pub(crate) fn done(&mut self, request: Request) {
        match request {
            Request::Register(id, registration) => {
                self.refused.remove(&id);
                self.told.insert(id, Some(registration));
            }
            Request::Withdraw(id) => {
                self.told.remove(&id);
                self.refused.remove(&id);
            }
            Request::Publish(_, services) => {
                self.services = Some(services);
                self.services_refused = None;
            }
        }
    }

    /// The hub has refused a request, and only that.
    pub(crate) fn refused(&mut self, request: Request, now: Instant) {
        let until = now + REFUSED_FOR;
        match request {
            Request::Register(id, registration) => {
                self.told.remove(&id);
                self.refused.insert(id, Refusal { registration, until });
            }
            Request::Withdraw(id) => drop(self.told.remove(&id)),
            Request::Publish(..) => self.services_refused = Some(until),
        }
    }

    /// When something is to be tried again that was refused.
    pub(crate) fn next_try(&self, now: Instant) -> Option<Instant> {
        let tries = self.refused.values().map(|refusal| refusal.until).chain(self.services_refused);
        tries.filter(|at| now < *at).min()
    }

    /// The hub is gone, or has forgotten something: it is to be told everything anew. It may still know what it was told,
    /// so that whoever has ended since then has to be withdrawn.
    pub(crate) fn forgotten(&mut self) {
        self.told.values_mut().for_each(|told| *told = None);
        self.refused.clear();
        (self.services, self.services_refused) = (None, None);
    }

    /// How many leases this connection should hold.
    pub(crate) fn leases(&self) -> usize {
        self.told.values().filter(|told| told.is_some()).count()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
