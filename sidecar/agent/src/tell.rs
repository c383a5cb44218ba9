//! Tells the hub what it is to know of this node, on one connection, which holds all leases while it is open.

use std::convert::Infallible;
use std::time::Duration;

use client::{
    Backoff, Hub, HubError, INITIAL_HEARTBEAT_INTERVAL, LogOnce, Session, heartbeat_interval, random,
};
use hyper::StatusCode;
use protocol::{Heartbeat, Lease, Routing};
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, info, warn};

use crate::board::Board;
use crate::ledger::{Ledger, Request};

/// Tells the hub for ever, and all of it anew when it was gone.
pub(crate) async fn tell(hub: &Hub, board: &Board) -> Infallible {
    let mut teller = Teller {
        hub,
        board,
        ledger: Ledger::default(),
        heartbeat: INITIAL_HEARTBEAT_INTERVAL,
        backoff: Backoff::default(),
        log_once: LogOnce::default(),
    };
    loop {
        let error = match hub.connect().await {
            Ok(session) => teller.converse(session).await,
            Err(error) => error,
        };
        teller.ledger.forgotten();
        teller.complain(&error);
        sleep(teller.backoff.next(random())).await;
    }
}

struct Teller<'a> {
    hub: &'a Hub,
    board: &'a Board,
    ledger: Ledger,
    heartbeat: Duration,
    backoff: Backoff,
    log_once: LogOnce,
}

impl Teller<'_> {
    /// Uses a connection until it is lost.
    async fn converse(&mut self, mut session: Session) -> HubError {
        if self.board.update(|node, now| node.connected(session.local_ip(), now)) {
            self.board.want_list();
        }
        // The first one tells whether this is a hub, which takes the token.
        let mut due = Instant::now();
        loop {
            let now = Instant::now();
            if due <= now {
                match session.heartbeat().await {
                    Ok(heartbeat) => self.beaten(&heartbeat),
                    Err(error) => return error,
                }
                due = now + self.heartbeat;
            }
            let request = self.ledger.next(&self.board.read(), now.into_std());
            let Some(request) = request else {
                let again = self.ledger.next_try(now.into_std()).map_or(due, |at| due.min(at.into()));
                select! {
                    () = sleep_until(again) => {}
                    () = self.board.changed() => {}
                    () = session.closed() => return HubError::Closed,
                }
                continue;
            };
            match self.send(&mut session, &request).await {
                Ok(()) => self.ledger.done(request),
                // Nobody else's registration is any the worse for it.
                Err(HubError::Refused(status, reason)) if status.is_client_error() => {
                    Self::refused(&request, status, &reason);
                    self.ledger.refused(request, now.into_std());
                }
                Err(error) => return error,
            }
        }
    }

    async fn send(&mut self, session: &mut Session, request: &Request) -> Result<(), HubError> {
        match request {
            Request::Register(id, registration) => {
                let Lease { routing, ttl_ms, .. } = session.register(id, registration, None).await?;
                self.granted(ttl_ms);
                debug!(instance = %id, address = %registration.address, health = ?registration.health, "registered");
                if let Routing::Refused { reason } = routing {
                    error!(instance = %id, reason, "the hub refuses to route a container");
                }
            }
            Request::Withdraw(id) => {
                session.withdraw(id, None).await?;
                debug!(instance = %id, "withdrawn");
            }
            Request::Publish(manager, services) => {
                session.publish(manager, services).await?;
                debug!(services = services.services.len(), "the swarm's services are published");
            }
        }
        Ok(())
    }

    fn refused(request: &Request, status: StatusCode, reason: &str) {
        let status = status.as_u16();
        match request {
            Request::Register(id, _) => {
                warn!(instance = %id, status, reason, "the hub takes no registration");
            }
            Request::Withdraw(id) => {
                debug!(instance = %id, status, reason, "the hub takes no withdrawal");
            }
            Request::Publish(..) => {
                warn!(status, reason, "the hub does not take the swarm's services");
            }
        }
    }

    fn beaten(&mut self, heartbeat: &Heartbeat) {
        self.granted(heartbeat.ttl_ms);
        self.backoff.reset();
        if self.log_once.clear() {
            info!(hub = %self.hub.url, "the hub is back");
        }
        let leases = self.ledger.leases();
        if heartbeat.leases != leases {
            info!(
                expected = leases,
                held = heartbeat.leases,
                "the hub holds other leases: it is told all anew"
            );
            self.ledger.forgotten();
        }
    }

    fn granted(&mut self, ttl_ms: u64) {
        self.heartbeat = heartbeat_interval(ttl_ms);
    }

    fn complain(&mut self, error: &HubError) {
        if error.is_permanent() {
            self.backoff.slow_down();
        }
        self.log_once.log(self.hub, error);
    }
}
