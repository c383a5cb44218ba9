//! The answers of all hubs, and the task's route and withdrawal that follow from them. Pure: callers pass the time in.
//!
//! Hubs share nothing, and each router polls one hub. So a task is routed once every hub has granted its lease and each
//! hub's routers have acknowledged it. A hub that does not answer does not count, but its routers may still use what it sent
//! last. They are pending until they poll another hub, or until they have had the time to move.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use client::HubError;
use protocol::{Health, Lease, Routing, Withdrawal};
use tokio::time::Instant;

use crate::status::Route;

/// Time for the routers of a lost hub to poll another one.
pub(crate) const MOVE_TIMEOUT: Duration = Duration::from_secs(15);

/// The answers by address of the hub.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    hubs: BTreeMap<SocketAddr, Answer>,
    /// Why no hub has been found.
    not_found: Option<String>,
    /// Time since which every answer has said that no router polls.
    no_router_since: Option<Instant>,
}

#[derive(Debug)]
struct Answer {
    latest: Latest,
    registered: Registered,
    /// Whether the hub has granted a lease.
    granted: bool,
    /// Routers that polled the hub when it last answered.
    routers: BTreeSet<String>,
    /// Time of the first failure since the last answer.
    lost_at: Option<Instant>,
    /// Whether DNS no longer lists the hub.
    is_gone: bool,
}

#[derive(Debug)]
enum Latest {
    /// None yet.
    Nothing,
    Lease {
        routing: Routing,
        expects_router: bool,
    },
    Withdrawal(Withdrawal),
    /// A message, and whether an operator has to fix the cause.
    Error(String, bool),
    /// The address is a virtual IP.
    VirtualIp(String),
}

/// State of the registration, as far as a hub may know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Registered {
    /// Never registered, or withdrawn.
    #[default]
    Unknown,
    Starting,
    /// Registered as healthy, so that requests may have been sent to the task.
    Healthy,
}

/// Progress of a withdrawal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No router sends requests to the task.
    Complete(Withdrawal),
    /// Routers may send requests to the task, for this reason; without one, hubs have not answered yet.
    Incomplete(Option<String>, Withdrawal),
    /// No hub has granted a lease, and none will.
    Rejected(String),
}

impl Answers {
    fn hub(&mut self, address: SocketAddr) -> &mut Answer {
        self.hubs.entry(address).or_insert_with(|| Answer {
            latest: Latest::Nothing,
            registered: Registered::Unknown,
            granted: false,
            routers: BTreeSet::new(),
            lost_at: None,
            is_gone: false,
        })
    }

    /// Records that no hub has been found yet.
    pub(crate) fn not_found(&mut self, message: String) {
        self.not_found = Some(message);
    }

    /// Records that the client connects to a hub.
    pub(crate) fn found(&mut self, address: SocketAddr) {
        self.hub(address).is_gone = false;
    }

    /// Records a lease. Returns whether it is the first one of this hub.
    pub(crate) fn leased(&mut self, address: SocketAddr, lease: Lease) -> bool {
        let hub = self.hub(address);
        hub.latest = Latest::Lease { routing: lease.routing, expects_router: lease.expects_router };
        hub.routers = lease.routers.into_iter().collect();
        hub.lost_at = None;
        !std::mem::replace(&mut hub.granted, true)
    }

    /// Records the answer to a withdrawal.
    pub(crate) fn withdrawn(&mut self, address: SocketAddr, withdrawal: Withdrawal) {
        let hub = self.hub(address);
        hub.routers = withdrawal.confirmed.iter().chain(&withdrawal.pending).cloned().collect();
        hub.latest = Latest::Withdrawal(withdrawal);
        hub.lost_at = None;
    }

    /// Records an error of a request.
    pub(crate) fn failed(&mut self, now: Instant, address: SocketAddr, error: &HubError, message: String) {
        let hub = self.hub(address);
        hub.latest = match error {
            HubError::VirtualIp(_) => Latest::VirtualIp(message),
            _ => Latest::Error(message, error.is_permanent()),
        };
        hub.lost_at = hub.lost_at.or(Some(now));
    }

    /// Records that a connection to another address leads to the same hub.
    pub(crate) fn is_same_hub(&mut self, address: SocketAddr) {
        self.hubs.remove(&address);
    }

    /// Records that DNS no longer lists a hub whose connection ended.
    pub(crate) fn gone(&mut self, address: SocketAddr) {
        self.hub(address).is_gone = true;
    }

    pub(crate) fn registered(&self, address: SocketAddr) -> Registered {
        self.hubs.get(&address).map(|hub| hub.registered).unwrap_or_default()
    }

    pub(crate) fn set_registered(&mut self, address: SocketAddr, registered: Registered) {
        self.hub(address).registered = registered;
    }

    /// Returns whether routers may send requests to the task, so that it has to be withdrawn before it stops.
    pub(crate) fn may_get_requests(&self) -> bool {
        self.hubs.values().any(|hub| hub.registered == Registered::Healthy)
    }

    /// Returns whether all hubs that are listed have been left.
    pub(crate) fn all_gone(&self) -> bool {
        self.hubs.values().all(|hub| hub.is_gone)
    }

    /// Returns whether only other hubs have routers, so that there is nothing to wait for at this one.
    pub(crate) fn is_idle(&self, address: SocketAddr) -> bool {
        self.hubs.get(&address).is_some_and(|hub| hub.granted && hub.routers.is_empty())
            && self.reachable().any(|hub| !hub.routers.is_empty())
    }

    fn reachable(&self) -> impl Iterator<Item = &Answer> {
        self.hubs.values().filter(|hub| hub.lost_at.is_none() && hub.granted)
    }

    /// Returns the routers that polled hubs that were lost a short time ago and that poll no other hub.
    fn moving(&self, now: Instant) -> BTreeSet<&str> {
        let is_recent = |hub: &&Answer| hub.lost_at.is_some_and(|at| now < at + MOVE_TIMEOUT);
        let lost = self.hubs.values().filter(is_recent).flat_map(|hub| &hub.routers);
        let seen: BTreeSet<_> =
            self.hubs.values().filter(|hub| hub.lost_at.is_none()).flat_map(|hub| &hub.routers).collect();
        lost.filter(|router| !seen.contains(router)).map(String::as_str).collect()
    }

    /// Returns the route of a task of this health. `timeout` limits the time for which it waits since no router polls.
    pub(crate) fn route(&mut self, now: Instant, health: Health, timeout: Duration) -> Route {
        let before = self.no_router_since.take();
        let has_routers = self.reachable().any(|hub| !hub.routers.is_empty());
        let is_answered = self.reachable().next().is_some();
        let (mut waiting, mut confirmed, mut unrouted) = (None, false, true);
        for hub in self.hubs.values() {
            let reason = match &hub.latest {
                Latest::Lease { routing: Routing::Refused { reason }, .. } => {
                    return Route::Refused(reason.clone());
                }
                Latest::Lease { routing: Routing::Confirmed, .. } => {
                    (confirmed, unrouted) = (true, false);
                    continue;
                }
                Latest::Lease { routing: Routing::Unrouted, .. } => continue,
                Latest::Lease { routing: Routing::Pending, expects_router } => {
                    unrouted = false;
                    if hub.routers.is_empty() && (has_routers || !expects_router) {
                        continue;
                    }
                    format!("waiting for {} router(s) to acknowledge", hub.routers.len().max(1))
                }
                Latest::Error(message, is_permanent) => {
                    // A hub that has never answered may have routers that no other hub knows.
                    let is_recent = hub.lost_at.is_some_and(|at| now < at + MOVE_TIMEOUT);
                    let counts = !hub.is_gone && (*is_permanent || (!hub.granted && is_recent));
                    if is_answered && !counts {
                        continue;
                    }
                    message.clone()
                }
                Latest::VirtualIp(_) if is_answered => continue,
                Latest::VirtualIp(message) => message.clone(),
                Latest::Nothing | Latest::Withdrawal(_) if hub.is_gone => continue,
                Latest::Nothing | Latest::Withdrawal(_) => "connecting to a hub".to_owned(),
            };
            waiting = waiting.or(Some(reason));
        }
        let moving = self.moving(now);
        if waiting.is_none() && !moving.is_empty() {
            let names = moving.into_iter().collect::<Vec<_>>().join(", ");
            waiting =
                Some(format!("waiting for routers of a hub that was lost to poll another one: {names}"));
        }
        if !is_answered && waiting.is_none() {
            waiting = self.not_found.clone().or_else(|| Some("no answer from the hub".to_owned()));
        }
        if let Some(reason) = waiting {
            return Route::Waiting(reason);
        }
        if confirmed {
            return Route::Confirmed;
        }
        if unrouted {
            return Route::Unrouted;
        }
        if health == Health::Healthy {
            let since = before.unwrap_or(now);
            self.no_router_since = Some(since);
            if now - since >= timeout {
                return Route::NoRouter;
            }
        }
        Route::Waiting("no router polls the hub".to_owned())
    }

    /// Returns the progress of a withdrawal.
    pub(crate) fn progress(&self, now: Instant) -> Progress {
        let mut total = Withdrawal::default();
        let (mut answered, mut waits, mut problem) = (false, false, None);
        let mut is_rejected = !self.hubs.is_empty();
        for hub in self.hubs.values() {
            let reason = match &hub.latest {
                Latest::Withdrawal(Withdrawal { confirmed, pending, expects_router }) => {
                    (answered, is_rejected) = (true, false);
                    total.confirmed.extend_from_slice(confirmed);
                    total.pending.extend_from_slice(pending);
                    total.expects_router |= expects_router;
                    continue;
                }
                // A server that never granted a lease and rejects the withdrawal is not the hub that routes the task.
                Latest::Error(_, true) | Latest::VirtualIp(_) if !hub.granted => continue,
                Latest::Error(message, true) => message.clone(),
                Latest::Error(..) | Latest::VirtualIp(_) | Latest::Lease { .. } | Latest::Nothing => {
                    is_rejected = false;
                    waits |= matches!(hub.latest, Latest::Lease { .. });
                    continue;
                }
            };
            is_rejected = false;
            problem = problem.or(Some(reason));
        }
        let error = self.hubs.values().find_map(|hub| match &hub.latest {
            Latest::Error(message, _) | Latest::VirtualIp(message) => Some(message.clone()),
            _ => None,
        });
        if !answered {
            let error = error.or_else(|| self.not_found.clone());
            return match error {
                Some(error) if is_rejected => Progress::Rejected(error),
                error => Progress::Incomplete(error, total),
            };
        }
        let moving = self.moving(now);
        if !total.pending.is_empty() {
            problem = Some(format!("not acknowledged by {}", total.pending.join(",")));
        } else if !moving.is_empty() {
            total.pending = moving.into_iter().map(ToOwned::to_owned).collect();
            problem = problem.or(error);
        } else if total.expects_router && total.confirmed.is_empty() {
            problem = problem.or(Some("no router has polled the hub yet".to_owned()));
        }
        match problem {
            None if waits => Progress::Incomplete(None, total),
            Some(problem) => Progress::Incomplete(Some(problem), total),
            None => Progress::Complete(total),
        }
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
