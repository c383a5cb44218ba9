//! The task's lease at the hub: kept while the service runs, and withdrawn before it stops.
//!
//! One connection carries all requests and holds the lease while it is open. If there is news while a response is
//! outstanding, a second connection sends it. The first one is closed once the second has its response, so the lease
//! is never without a connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{
    Backoff, Hub, HubError, INITIAL_HEARTBEAT_INTERVAL, LogOnce, Session, heartbeat_interval, random,
};
use protocol::{Health, InstanceId, Routing, Withdrawal};
use rustix::time::{ClockId, clock_gettime};
use timer::Timer;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::args::RunArgs;
use crate::reach;
use crate::status::{Route, SharedStatus};

/// Time for the response to a withdrawal to arrive, in addition to the `wait` of the request.
const RESPONSE_SLACK: Duration = Duration::from_millis(250);
/// Maximum delay of the exit by the last message to the hub, after the service exited.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The lease and the connections that hold it.
pub(crate) struct Lease<'a> {
    hub: Hub,
    instance: InstanceId,
    args: &'a RunArgs,
    status: &'a SharedStatus,
    /// Start of the task, in milliseconds since the Unix epoch.
    started: u64,
    /// Start of the task on the clock since the node's boot.
    started_at: Duration,
    /// Ticket of the service from the last lease.
    ticket: Option<String>,
    session: Option<Session>,
    /// Connection that holds the lease until `session` has its first response.
    previous: Option<Session>,
    heartbeat_interval: Duration,
    timer: Timer,
    backoff: Backoff,
    state: RegistrationState,
    /// Whether the hub has ever granted a lease.
    granted: bool,
    /// Local address at which routers reach the service, once that was [checked](reach).
    reachable: Option<IpAddr>,
    /// Local address at which they do not.
    unreachable: Option<IpAddr>,
    errors: LogOnce,
    refusals: LogOnce,
}

/// State of the registration, as far as the hub may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RegistrationState {
    /// Never registered, or withdrawn.
    Unknown,
    Registered,
    /// Registered as healthy, so that requests may have been sent to the task.
    Healthy,
}

impl<'a> Lease<'a> {
    pub(crate) fn new(
        hub: Hub,
        instance: InstanceId,
        args: &'a RunArgs,
        status: &'a SharedStatus,
        timer: Timer,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        status.hub_failed(format!("resolving hub {} and connecting to it", hub.url));
        Self {
            hub,
            instance,
            args,
            status,
            started: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            started_at: since_boot(),
            ticket: None,
            session: None,
            previous: None,
            heartbeat_interval: INITIAL_HEARTBEAT_INTERVAL,
            timer,
            backoff: Backoff::default(),
            state: RegistrationState::Unknown,
            granted: false,
            reachable: None,
            unreachable: None,
            errors: LogOnce::default(),
            refusals: LogOnce::default(),
        }
    }

    /// Keeps the lease forever: renews it in time and on each change of health, and registers again after an error.
    pub(crate) async fn maintain(&mut self) -> Infallible {
        loop {
            if let Err(error) = self.renew().await {
                if error.is_permanent() {
                    self.backoff.slow_down();
                }
                let message = self.errors.log(&self.hub, &error);
                self.status.hub_failed(message);
                sleep(self.backoff.next(random())).await;
            }
        }
    }

    /// Returns whether routers may send requests to the task, so that it has to be withdrawn before it stops.
    pub(crate) fn may_get_requests(&self) -> bool {
        self.state == RegistrationState::Healthy
    }

    /// Withdraws the task. Returns when no router sends requests to it any more, or after `limit`. Until then the
    /// service has to keep serving, whatever the error: routers may use the task as long as no hub tells them otherwise.
    pub(crate) async fn withdraw(&mut self, limit: Duration) -> Result<Withdrawal, HubError> {
        self.state = RegistrationState::Unknown;
        self.backoff.reset();
        let deadline = Instant::now() + limit;
        let mut is_first = true;
        loop {
            let wait = deadline.duration_since(Instant::now());
            let result = timeout(wait + RESPONSE_SLACK, self.send_withdrawal(Some(wait))).await;
            let result = result.unwrap_or(Err(HubError::Timeout));
            let left = deadline.duration_since(Instant::now());
            let (is_final, problem) = match &result {
                // A hub that stops responds early. Its successor knows when the routers have acknowledged.
                Ok(Withdrawal { pending, .. }) => (
                    pending.is_empty() || left < RESPONSE_SLACK,
                    format!("not acknowledged by {}", pending.join(",")),
                ),
                // A server that never granted a lease and rejects the withdrawal is not the hub that routes the task.
                Err(error) => (error.is_permanent() && !self.granted, error.to_string()),
            };
            if is_final || left.is_zero() {
                return result;
            }
            if is_first {
                warn!(hub = %self.hub.url, problem, "not withdrawn; the service keeps serving for up to {left:.1?}");
                is_first = false;
            }
            debug!(problem, "retrying the withdrawal");
            sleep(self.backoff.next(random()).min(left)).await;
        }
    }

    /// Tells the hub that the service exited, without waiting for routers. If that fails, the hub notices the closed
    /// connection a little later.
    pub(crate) async fn release(mut self) {
        if self.state == RegistrationState::Unknown {
            return;
        }
        match timeout(RELEASE_TIMEOUT, self.send_withdrawal(None)).await.unwrap_or(Err(HubError::Timeout)) {
            Ok(_) => debug!("withdrawn after the exit of the service"),
            Err(error) => debug!(%error, "not withdrawn after the exit of the service"),
        }
    }

    /// Registers the task, and waits until the next heartbeat is due, the health changes or the connection is closed.
    async fn renew(&mut self) -> Result<(), HubError> {
        let status = self.status;
        let session =
            idle_session(&self.hub, &mut self.session, &mut self.previous, self.unreachable).await?;
        let health = status.get().health;
        let health_changed = async || status.health_changes(health).await;
        let local_ip = session.connection.local_ip;
        if health == Health::Healthy && self.args.has_no_address() && self.reachable != Some(local_ip) {
            if let Err(reason) = reach::check(local_ip, &self.args.tcp_ports()).await {
                self.session = None;
                self.unreachable = Some(local_ip);
                return Err(HubError::Unreachable(reason));
            }
            self.reachable = Some(local_ip);
        }
        let mut registration = self.args.registration(self.started, local_ip);
        registration.health = health;
        let age = since_boot().saturating_sub(self.started_at);
        registration.age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        registration.ticket.clone_from(&self.ticket);
        // Routers only learn of healthy tasks, so for any other there is nothing to wait for.
        let wait = (health == Health::Healthy).then_some(self.heartbeat_interval);
        let before = self.state;
        let sent_state =
            if wait.is_some() { RegistrationState::Healthy } else { RegistrationState::Registered };
        self.state = before.max(sent_state);

        let sent_at = Instant::now();
        let response = select! {
            response = session.register(&self.instance, &registration, wait) => response,
            // The next call finds the session busy and opens another one.
            () = health_changed(), if wait.is_some() => return Ok(()),
        };
        self.previous = None;
        match response {
            Ok(lease) => {
                self.on_granted(&lease);
                self.ticket = lease.ticket;
            }
            Err(error) => {
                self.session = None;
                if error.is_permanent() {
                    // The hub did not accept the registration. After other errors it may have.
                    self.state = before;
                }
                return Err(error);
            }
        }

        let Some(session) = &mut self.session else { return Err(HubError::Closed) };
        let until_due = (sent_at + self.heartbeat_interval).saturating_duration_since(Instant::now());
        select! {
            () = self.timer.sleep(until_due) => {
                // Not earlier: if a server closes each connection at once, retries have to slow down.
                self.backoff.reset();
                Ok(())
            }
            () = health_changed() => Ok(()),
            () = session.connection.closed() => {
                self.session = None;
                Err(HubError::Closed)
            }
        }
    }

    async fn send_withdrawal(&mut self, wait: Option<Duration>) -> Result<Withdrawal, HubError> {
        let session =
            idle_session(&self.hub, &mut self.session, &mut self.previous, self.unreachable).await?;
        let response = session.withdraw(&self.instance, wait).await;
        self.previous = None;
        if response.is_err() {
            self.session = None;
        }
        response
    }

    fn on_granted(&mut self, lease: &protocol::Lease) {
        self.heartbeat_interval = heartbeat_interval(lease.ttl_ms);
        if self.errors.clear() || !self.granted {
            info!(hub = %self.hub.url, instance = %self.instance, "registered");
        }
        self.granted = true;

        match &lease.routing {
            Routing::Refused { reason } if self.refusals.is_new(reason) => {
                error!(reason, "the hub refuses to route the service");
            }
            Routing::Refused { .. } => {}
            _ => drop(self.refusals.clear()),
        }
        let limit = self.args.routed_timeout;
        match self.status.set_lease(lease, limit) {
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

/// Returns the session if it can send a request. Otherwise opens another one and keeps the old one open as `previous`.
/// Tries addresses of the hub last that are of the same family as `unreachable`.
async fn idle_session<'s>(
    hub: &Hub,
    session: &'s mut Option<Session>,
    previous: &mut Option<Session>,
    unreachable: Option<IpAddr>,
) -> Result<&'s mut Session, HubError> {
    if session.as_ref().is_none_or(|session| session.connection.is_busy) {
        let mut addresses = hub.resolve().await?;
        if let Some(unreachable) = unreachable {
            addresses.sort_by_key(|address| address.ip().to_canonical().is_ipv6() == unreachable.is_ipv6());
        }
        let opened = hub.connect_to(&addresses).await?;
        *previous = session.replace(opened);
    }
    session.as_mut().ok_or(HubError::Closed)
}
