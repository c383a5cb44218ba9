//! The registration at the hub: kept for as long as the service runs, and withdrawn before it stops.
//!
//! One connection carries all requests and holds the lease while it is open. When something has to be said while
//! the hub holds an answer back, a second connection is opened for it, and the first one is closed once the second
//! is answered: so the lease is held at every moment.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{
    Backoff, Hub, HubError, INITIAL_HEARTBEAT_INTERVAL, LogOnce, Session, heartbeat_interval, random,
};
use protocol::{self as protocol, Health, InstanceId, Routing, Withdrawal};
use timer::Timer;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info};

use crate::args::RunArgs;
use crate::status::Board;

/// How long the hub's answer to a withdrawal may be under way after the wait that it was given.
const ANSWER_SLACK: Duration = Duration::from_millis(250);
/// How long taking leave of the hub may hold up the exit after the service has ended by itself.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The registration, and the connections that hold it.
pub(crate) struct Lease<'a> {
    hub: Hub,
    instance: InstanceId,
    args: &'a RunArgs,
    board: &'a Board,
    /// When the task began, in milliseconds of Unix time.
    started: u64,
    session: Option<Session>,
    /// Still holds the lease while `session` waits for its first answer.
    previous: Option<Session>,
    heartbeat: Duration,
    /// Wakes for the next heartbeat.
    timer: Timer,
    backoff: Backoff,
    known: Known,
    /// Whether the hub has ever answered with a lease.
    granted: bool,
    /// Why the hub refuses to route the task, so that it is logged only once.
    refusal: Option<String>,
    log_once: LogOnce,
}

/// The most that the hub may ever have learnt of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// Nothing, or it has been withdrawn.
    Not,
    Registered,
    /// Requests may have been sent to it.
    AsHealthy,
}

impl<'a> Lease<'a> {
    pub(crate) fn new(
        hub: Hub,
        instance: InstanceId,
        args: &'a RunArgs,
        board: &'a Board,
        timer: Timer,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            hub,
            instance,
            args,
            board,
            started: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            session: None,
            previous: None,
            heartbeat: INITIAL_HEARTBEAT_INTERVAL,
            timer,
            backoff: Backoff::default(),
            known: Known::Not,
            granted: false,
            refusal: None,
            log_once: LogOnce::default(),
        }
    }

    /// Keeps the registration for ever: renews it in time and at each change of health, and makes it anew when the
    /// hub was gone.
    pub(crate) async fn keep(&mut self) -> Infallible {
        loop {
            if let Err(error) = self.renew().await {
                self.failed(&error);
                sleep(self.backoff.next(random())).await;
            }
        }
    }

    /// Whether requests may have been sent to the task, so that it has to be withdrawn before it stops.
    pub(crate) fn was_healthy(&self) -> bool {
        self.known == Known::AsHealthy
    }

    /// Asks the hub to take the task out of the routing, and returns when no router sends requests to it any more,
    /// or after `within`. A hub that cannot be reached is tried again for so long, since it may be restarting.
    pub(crate) async fn withdraw(&mut self, within: Duration) -> Result<Withdrawal, HubError> {
        self.known = Known::Not;
        self.backoff.reset();
        let deadline = Instant::now() + within;
        loop {
            let wait = deadline.duration_since(Instant::now());
            let answer = timeout(wait + ANSWER_SLACK, self.delete(Some(wait))).await;
            let error = match answer.unwrap_or(Err(HubError::Timeout)) {
                Ok(withdrawal) => return Ok(withdrawal),
                Err(error) => error,
            };
            let delay = self.backoff.next(random());
            // What has never granted a lease, and does not take back one either, is not the hub that routes the task.
            let hopeless = error.is_permanent() && !self.granted;
            if hopeless || Instant::now() + delay >= deadline {
                return Err(error);
            }
            debug!(%error, "the withdrawal is tried again");
            sleep(delay).await;
        }
    }

    /// Tells the hub, without waiting for the routers, that the service has ended by itself. The connections are
    /// closed in any case, which tells the hub the same a little later.
    pub(crate) async fn leave(mut self) {
        if self.known == Known::Not {
            return;
        }
        match timeout(LEAVE_TIMEOUT, self.delete(None)).await.unwrap_or(Err(HubError::Timeout)) {
            Ok(_) => debug!("the hub knows that the service has ended"),
            Err(error) => debug!(%error, "the hub was not told that the service has ended"),
        }
    }

    /// One turn: a registration, and then whatever comes first of the next heartbeat, a change of health, and the
    /// hub's death.
    async fn renew(&mut self) -> Result<(), HubError> {
        let board = self.board;
        let session = free(&self.hub, &mut self.session, &mut self.previous).await?;
        let health = board.read().health;
        let changed = async || drop(board.until(|status| status.health != health).await);
        let mut registration = self.args.registration(self.started, session.local_ip());
        registration.health = health;
        // Only a healthy task can be on its way into the routing; any other is answered at once.
        let wait = (health == Health::Healthy).then_some(self.heartbeat);
        let known = self.known;
        self.known = known.max(if wait.is_some() { Known::AsHealthy } else { Known::Registered });

        let sent = Instant::now();
        let answer = select! {
            answer = session.register(&self.instance, &registration, wait) => answer,
            // The next turn finds the session busy, and opens another.
            () = changed(), if wait.is_some() => return Ok(()),
        };
        self.previous = None;
        match answer {
            Ok(lease) => self.granted(&lease),
            Err(error) => {
                self.session = None;
                if error.is_permanent() {
                    // It was not taken into account. An answer that is lost leaves that open.
                    self.known = known;
                }
                return Err(error);
            }
        }

        let Some(session) = &mut self.session else { return Err(HubError::Closed) };
        select! {
            () = self.timer.sleep((sent + self.heartbeat).saturating_duration_since(Instant::now())) => {
                // Not earlier: something that closes each connection must not be tried again without a pause.
                self.backoff.reset();
                Ok(())
            }
            () = changed() => Ok(()),
            () = session.closed() => {
                self.session = None;
                Err(HubError::Closed)
            }
        }
    }

    async fn delete(&mut self, wait: Option<Duration>) -> Result<Withdrawal, HubError> {
        let session = free(&self.hub, &mut self.session, &mut self.previous).await?;
        let answer = session.withdraw(&self.instance, wait).await;
        self.previous = None;
        if answer.is_err() {
            self.session = None;
        }
        answer
    }

    fn granted(&mut self, lease: &protocol::Lease) {
        self.heartbeat = heartbeat_interval(lease.ttl_ms);
        if self.log_once.clear() || !self.granted {
            info!(hub = %self.hub.url, instance = %self.instance, "registered");
        }
        self.granted = true;

        let refusal = match &lease.routing {
            Routing::Refused { reason } => Some(reason),
            _ => None,
        };
        if let Some(reason) = refusal
            && self.refusal.as_ref() != Some(reason)
        {
            error!(reason, "the hub refuses to route the service");
        }
        self.refusal = refusal.cloned();

        if self.board.routing(&lease.routing) {
            let waited = self.board.read().healthy_since.map(|since| since.elapsed());
            if lease.routing == Routing::Unrouted {
                info!("no label asks for a route");
            } else {
                info!(after = ?waited.unwrap_or_default(), "routed");
            }
        }
    }

    fn failed(&mut self, error: &HubError) {
        if error.is_permanent() {
            self.backoff.slow_down();
        }
        self.board.hub_failed(self.log_once.log(&self.hub, error).to_owned());
    }
}

/// The session, if it can take a request; otherwise a fresh one in its place, while it stays open as `previous`.
async fn free<'s>(
    hub: &Hub,
    session: &'s mut Option<Session>,
    previous: &mut Option<Session>,
) -> Result<&'s mut Session, HubError> {
    if session.as_ref().is_none_or(Session::is_busy) {
        let fresh = hub.connect().await?;
        *previous = session.replace(fresh);
    }
    session.as_mut().ok_or(HubError::Closed)
}
