//! The task's leases with all hubs.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Hub, HubError, Hubs, LogOnce};
use protocol::{InstanceId, Registration, Withdrawal};
use rustix::time::{ClockId, clock_gettime};
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::answers::{Answers, Progress};
use crate::args::RunArgs;
use crate::lease::{Lease, RESPONSE_SLACK};
use crate::status::{Route, SharedStatus};

/// Maximum time between two looks at the progress of a withdrawal, since the time of lost hubs ends without an answer.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum delay of the exit by the last messages to the hubs, after the service exited.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The leases.
pub(crate) struct Leases<'a> {
    hubs: Hubs,
    pub(crate) instance: InstanceId,
    pub(crate) args: &'a RunArgs,
    pub(crate) status: &'a SharedStatus,
    /// Start of the task, in milliseconds since the Unix epoch.
    started: u64,
    /// Start of the task on the clock since the node's boot.
    started_at: Duration,
    /// The earliest ticket of the service.
    pub(crate) ticket: RefCell<Option<String>>,
    /// Local address at which routers reach the service, once that was [checked](crate::reach).
    pub(crate) reachable: Cell<Option<IpAddr>>,
    pub(crate) answers: RefCell<Answers>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Notified after each answer to a withdrawal.
    answered: Notify,
}

/// Phase of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The leases are kept.
    Running,
    /// Hubs are told that the service stops, until this time.
    Withdrawing(Instant),
    /// The withdrawal has ended, or the service has exited.
    Withdrawn,
}

impl<'a> Leases<'a> {
    pub(crate) fn new(hub: Hub, instance: InstanceId, args: &'a RunArgs, status: &'a SharedStatus) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        status.set_route(Route::Waiting(format!("resolving hub {} and connecting to it", hub.url)));
        Self {
            hubs: Hubs::new(hub),
            instance,
            args,
            status,
            started: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            started_at: since_boot(),
            ticket: RefCell::default(),
            reachable: Cell::new(None),
            answers: RefCell::default(),
            phase: watch::Sender::new(Phase::Running),
            answered: Notify::new(),
        }
    }

    /// Keeps a lease with each hub, or withdraws it, depending on the phase.
    pub(crate) async fn run(&'a self) -> Infallible {
        let errors = RefCell::new(LogOnce::default());
        let failed = |error: HubError| {
            let message = errors.borrow_mut().log(format_args!("hub {}", self.hubs.url()), &error);
            self.answers.borrow_mut().not_found(message);
            self.update_route();
            self.answered.notify_one();
        };
        self.hubs.run(|member| Box::pin(Lease::new(self, member).run()), failed).await
    }

    /// Withdraws the task from all hubs. Returns when no router sends requests to it any more, or after `limit`. The error
    /// names the reason why routers may still do so.
    pub(crate) async fn withdraw(&self, limit: Duration) -> Result<Withdrawal, String> {
        let result = self.withdraw_until(Instant::now() + limit).await;
        self.phase.send_replace(Phase::Withdrawn);
        result
    }

    async fn withdraw_until(&self, deadline: Instant) -> Result<Withdrawal, String> {
        self.phase.send_replace(Phase::Withdrawing(deadline));
        let mut is_logged = false;
        loop {
            let now = Instant::now();
            let (problem, withdrawal) = match self.answers.borrow().progress(now) {
                Progress::Complete(withdrawal) => return Ok(withdrawal),
                Progress::Rejected(problem) => return Err(problem),
                Progress::Incomplete(problem, withdrawal) => (problem, withdrawal),
            };
            if now >= deadline + RESPONSE_SLACK || (now >= deadline && problem.is_some()) {
                return match problem {
                    _ if !withdrawal.pending.is_empty() => Ok(withdrawal),
                    problem => Err(problem.unwrap_or_else(|| HubError::Timeout.to_string())),
                };
            }
            if let Some(problem) = problem
                && !is_logged
            {
                let left = deadline.saturating_duration_since(now);
                warn!(problem, "not withdrawn; the service keeps serving for up to {left:.1?}");
                is_logged = true;
            }
            let next =
                if now < deadline { deadline.min(now + LOOK_INTERVAL) } else { deadline + RESPONSE_SLACK };
            select! {
                () = self.answered.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Tells all hubs that the service exited, without waiting for routers.
    pub(crate) async fn release(&self) {
        self.phase.send_replace(Phase::Withdrawn);
        let released = async {
            while !self.answers.borrow().all_gone() {
                self.answered.notified().await;
            }
        };
        // A hub notices the closed connection a little later.
        let _ = timeout(RELEASE_TIMEOUT, released).await;
    }

    /// Returns whether routers may send requests to the task, so that it has to be withdrawn before it stops.
    pub(crate) fn may_get_requests(&self) -> bool {
        self.answers.borrow().may_get_requests()
    }

    /// Returns the registration, with `address` unless a flag overrides it.
    pub(crate) fn registration(&self, address: IpAddr) -> Registration {
        let mut registration = self.args.registration(self.started, address);
        let age = since_boot().saturating_sub(self.started_at);
        registration.age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        registration.ticket.clone_from(&self.ticket.borrow());
        registration
    }

    /// Records the answer of a hub to a withdrawal.
    pub(crate) fn withdrawn(&self, address: SocketAddr, withdrawal: Withdrawal) {
        self.answers.borrow_mut().withdrawn(address, withdrawal);
        self.answered.notify_one();
    }

    /// Records an error of a request to a hub.
    pub(crate) fn failed(&self, address: SocketAddr, error: &HubError, message: String) {
        self.answers.borrow_mut().failed(Instant::now(), address, error, message);
        self.update_route();
        self.answered.notify_one();
    }

    /// Records that a connection to another address leads to the same hub.
    pub(crate) fn is_same_hub(&self, address: SocketAddr) {
        self.answers.borrow_mut().is_same_hub(address);
        self.update_route();
        self.answered.notify_one();
    }

    /// Records that nothing is sent to a hub any more.
    pub(crate) fn gone(&self, address: SocketAddr) {
        self.answers.borrow_mut().gone(address);
        self.update_route();
        self.answered.notify_one();
    }

    /// Updates the status after an answer.
    pub(crate) fn update_route(&self) {
        let limit = self.args.routed_timeout;
        let health = self.status.get().health;
        let route = self.answers.borrow_mut().route(Instant::now(), health, limit);
        match self.status.set_route(route) {
            Some(Route::Confirmed) => info!("routed"),
            Some(Route::Unrouted) => info!("no label asks for a route"),
            Some(Route::NoRouter) => {
                warn!(
                    "no router has polled the hub for {limit:?}; the health check succeeds without a route"
                );
            }
            _ => {}
        }
    }
}

/// Returns the time since the node's boot. Unlike the time of day it is never set, and unlike [`Instant`] it includes time
/// in which the node was suspended.
fn since_boot() -> Duration {
    // The kernel's time is not negative.
    clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
}
