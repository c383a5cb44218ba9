//! The task's lease with one hub: kept while the service runs, and withdrawn before it stops.
//!
//! One connection carries all requests and holds the lease while it is open. If there is news while a response is
//! outstanding, a second connection sends it. The first one is closed once the second has its response, so the lease
//! is never without a connection.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use client::{
    Backoff, HubError, INITIAL_HEARTBEAT_INTERVAL, LogOnce, Member, Session, heartbeat_interval, random,
};
use protocol::{Health, Routing, Withdrawal, earlier_ticket};
use timer::Timer;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info};

use crate::answers::Registered;
use crate::leases::{Leases, Phase};
use crate::reach;

/// Time for the response to a withdrawal to arrive, in addition to the `wait` of the request.
pub(crate) const RESPONSE_SLACK: Duration = Duration::from_millis(250);
/// Time between two withdrawals after the hub's routers have acknowledged, since routers of another hub may have come.
const REPEAT_WITHDRAWAL: Duration = Duration::from_millis(200);
/// Time between checks of a hub that has not responded to a withdrawal yet: it may be paused.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time between renewals until the health check can succeed, since other hubs may be lost meanwhile.
const MAX_UNTIL_GREEN: Duration = Duration::from_secs(1);
/// Maximum delay of the exit by the last message to a hub, after the service exited.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The lease and the connections that hold it.
pub(crate) struct Lease<'a> {
    leases: &'a Leases<'a>,
    member: Member<'a>,
    session: Option<Session>,
    /// Connection that holds the lease until `session` has its first response.
    previous: Option<Session>,
    heartbeat_interval: Duration,
    timer: io::Result<Timer>,
    backoff: Backoff,
    errors: LogOnce,
    refusals: LogOnce,
}

impl<'a> Lease<'a> {
    pub(crate) fn new(leases: &'a Leases<'a>, member: Member<'a>) -> Self {
        leases.answers.borrow_mut().found(member.address);
        Self {
            leases,
            member,
            session: None,
            previous: None,
            heartbeat_interval: INITIAL_HEARTBEAT_INTERVAL,
            timer: Timer::new(),
            backoff: Backoff::default(),
            errors: LogOnce::default(),
            refusals: LogOnce::default(),
        }
    }

    /// Follows the phases of the task, until the hub is no longer listed or the service has exited.
    pub(crate) async fn run(mut self) {
        let mut phases = self.leases.phase.subscribe();
        select! {
            biased;
            phase = phases.wait_for(|phase| *phase != Phase::Running) => drop(phase),
            () = self.maintain() => return self.leases.gone(self.member.address),
        }
        let phase = *phases.borrow();
        if let Phase::Withdrawing(deadline) = phase {
            select! {
                biased;
                phase = phases.wait_for(|phase| *phase == Phase::Withdrawn) => drop(phase),
                never = self.withdraw(deadline) => match never {},
            }
        }
        self.release().await;
        self.leases.gone(self.member.address);
    }

    /// Keeps the lease: renews it in time and on each change of health, and registers again after an error. Returns when the
    /// connection is lost and DNS no longer lists the hub.
    async fn maintain(&mut self) {
        loop {
            let Err(error) = self.renew().await else { continue };
            if self.close(&error) {
                self.member.turn().await;
                continue;
            }
            if error.is_permanent() {
                self.backoff.slow_down();
            }
            let message = self.errors.log(self.member, &error);
            self.leases.failed(self.member.address, &error, message);
            if !self.member.is_listed() {
                return;
            }
            sleep(self.backoff.next(random())).await;
        }
    }

    /// Withdraws the task again and again: routers of another hub may have come since. Until all of them have acknowledged,
    /// the service has to keep serving, whatever the error: routers may use the task as long as no hub tells them otherwise.
    async fn withdraw(&mut self, deadline: Instant) -> Infallible {
        self.leases.answers.borrow_mut().set_registered(self.member.address, Registered::Unknown);
        self.backoff.reset();
        loop {
            let wait = deadline.duration_since(Instant::now());
            let member = self.member;
            let result = select! {
                result = timeout(wait + RESPONSE_SLACK, self.send_withdrawal(Some(wait))) => {
                    result.unwrap_or(Err(HubError::Timeout))
                }
                error = check(member) => Err(error),
            };
            let left = deadline.duration_since(Instant::now());
            let (problem, pause) = match result {
                Ok(withdrawal) => {
                    let is_complete = withdrawal.pending.is_empty() && !withdrawal.expects_router;
                    self.leases.withdrawn(member.address, withdrawal);
                    let retry = self.backoff.next(random());
                    (None, if is_complete { REPEAT_WITHDRAWAL } else { retry.min(left) })
                }
                Err(error) => {
                    let message = format!("{member}: {error}");
                    if self.close(&error) {
                        member.turn().await;
                        continue;
                    }
                    self.leases.failed(member.address, &error, message.clone());
                    (Some(message), self.backoff.next(random()).min(left))
                }
            };
            if left.is_zero() {
                return std::future::pending().await;
            }
            debug!(hub = %member.address, problem, "retrying the withdrawal");
            sleep(pause).await;
        }
    }

    /// Tells the hub that the service exited, without waiting for routers. If that fails, the hub notices the closed
    /// connection a little later.
    async fn release(&mut self) {
        if self.leases.answers.borrow().registered(self.member.address) == Registered::Unknown {
            return;
        }
        match timeout(RELEASE_TIMEOUT, self.send_withdrawal(None)).await.unwrap_or(Err(HubError::Timeout)) {
            Ok(_) => debug!("withdrawn after the exit of the service"),
            Err(error) => debug!(%error, "not withdrawn after the exit of the service"),
        }
    }

    /// Registers the task, and waits until the next heartbeat is due, the health changes or the connection is closed.
    async fn renew(&mut self) -> Result<(), HubError> {
        let (leases, address) = (self.leases, self.member.address);
        let session = idle_session(self.member, &mut self.session, &mut self.previous).await?;
        let health = leases.status.get().health;
        let health_changed = async || leases.status.health_changes(health).await;
        let local_ip = session.connection.local_ip;
        if health == Health::Healthy
            && leases.args.has_no_address()
            && leases.reachable.get() != Some(local_ip)
        {
            if let Err(reason) = reach::check(local_ip, &leases.args.tcp_ports()).await {
                return Err(HubError::Unreachable(reason));
            }
            leases.reachable.set(Some(local_ip));
        }
        let mut registration = leases.registration(local_ip);
        registration.health = health;
        let until_due = if health == Health::Healthy && !leases.status.get().green {
            self.heartbeat_interval.min(MAX_UNTIL_GREEN)
        } else {
            self.heartbeat_interval
        };
        // Routers only learn of healthy tasks, so for any other there is nothing to wait for.
        let waits = health == Health::Healthy && !leases.answers.borrow().is_idle(address);
        let wait = waits.then_some(until_due);
        let before = leases.answers.borrow().registered(address);
        let sent_state = if health == Health::Healthy { Registered::Healthy } else { Registered::Starting };
        leases.answers.borrow_mut().set_registered(address, before.max(sent_state));

        let sent_at = Instant::now();
        let response = select! {
            response = session.register(&leases.instance, &registration, wait) => response,
            // The next call finds the session busy and opens another one.
            () = health_changed(), if wait.is_some() => return Ok(()),
        };
        self.previous = None;
        match response {
            Ok(lease) => self.on_granted(lease),
            Err(error) => {
                if error.is_permanent() {
                    // The hub did not accept the registration. After other errors it may have.
                    leases.answers.borrow_mut().set_registered(address, before);
                }
                return Err(error);
            }
        }

        let Some(session) = &mut self.session else { return Err(HubError::Closed) };
        let until_due = (sent_at + until_due).saturating_duration_since(Instant::now());
        select! {
            () = wait_for(&mut self.timer, until_due) => {
                // Not earlier: if a server closes each connection at once, retries have to slow down.
                self.backoff.reset();
                Ok(())
            }
            () = health_changed() => Ok(()),
            () = session.connection.closed() => Err(HubError::Closed),
        }
    }

    async fn send_withdrawal(&mut self, wait: Option<Duration>) -> Result<Withdrawal, HubError> {
        let session = idle_session(self.member, &mut self.session, &mut self.previous).await?;
        let response = session.withdraw(&self.leases.instance, wait).await;
        self.previous = None;
        response
    }

    /// Closes the connections after an error. Returns whether a connection to another address leads to the same hub.
    fn close(&mut self, error: &HubError) -> bool {
        (self.session, self.previous) = (None, None);
        self.member.disconnected();
        let is_same_hub = matches!(error, HubError::SameHub(_));
        if is_same_hub {
            self.leases.is_same_hub(self.member.address);
        }
        is_same_hub
    }

    fn on_granted(&mut self, lease: protocol::Lease) {
        self.heartbeat_interval = heartbeat_interval(lease.ttl_ms);
        self.leases.ticket.replace_with(|ticket| earlier_ticket(ticket.take(), lease.ticket.clone()));
        match &lease.routing {
            Routing::Refused { reason } if self.refusals.is_new(reason) => {
                error!(hub = %self.member.address, reason, "the hub refuses to route the service");
            }
            Routing::Refused { .. } => {}
            _ => drop(self.refusals.clear()),
        }
        let is_first = self.leases.answers.borrow_mut().leased(self.member.address, lease);
        if self.errors.clear() || is_first {
            info!(hub = %self.member.address, instance = %self.leases.instance, "registered");
        }
        self.leases.update_route();
    }
}

/// Waits for `duration`.
async fn wait_for(timer: &mut io::Result<Timer>, duration: Duration) {
    match timer {
        Ok(timer) => timer.sleep(duration).await,
        // No file descriptor was left. tokio's timer is less exact.
        Err(_) => sleep(duration).await,
    }
}

/// Checks on other connections that the hub answers. Returns an error once it does not.
async fn check(member: Member<'_>) -> HubError {
    loop {
        sleep(CHECK_INTERVAL).await;
        if let Err(error) = member.greet().await {
            return error;
        }
    }
}

/// Returns the session if it can send a request. Otherwise opens another one and keeps the old one open as `previous`.
async fn idle_session<'s>(
    member: Member<'_>,
    session: &'s mut Option<Session>,
    previous: &mut Option<Session>,
) -> Result<&'s mut Session, HubError> {
    if session.as_ref().is_none_or(|session| session.connection.is_busy) {
        let opened = member.connect().await?;
        *previous = session.replace(opened);
    }
    session.as_mut().ok_or(HubError::Closed)
}
