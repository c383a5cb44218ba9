//! Publishes this node to all hubs. With each, one connection holds all leases while it is open.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use client::{
    Backoff, Hub, HubError, Hubs, INITIAL_HEARTBEAT_INTERVAL, LogOnce, Member, Session, heartbeat_interval,
    random,
};
use hyper::StatusCode;
use protocol::{Heartbeat, Lease, Registration, Routing, Update, earlier_ticket};
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, info, warn};

use crate::engine::{Engine, EngineError};
use crate::services::to_update;
use crate::shared_node::{SharedNode, now};
use crate::sync_state::{Request, SyncState};

/// Maximum number of questions about updates that the engine is asked at the same time. The next heartbeat repeats others.
const MAX_ANSWERS: usize = 4;

/// Maximum time between two heartbeats of a manager.
const MANAGER_INTERVAL: Duration = Duration::from_secs(1);

/// Tickets by service, the earliest that any hub has issued.
type Tickets = RefCell<BTreeMap<String, String>>;

/// Publishes to all hubs forever.
pub(crate) async fn publish(hub: Hub, engine: &Engine, node: &SharedNode) -> Infallible {
    let hubs = Hubs::new(hub);
    let (tickets, errors) = (Tickets::default(), RefCell::new(LogOnce::default()));
    let failed = |error| drop(errors.borrow_mut().log(format_args!("hub {}", hubs.url()), &error));
    hubs.run(|member| Box::pin(publish_to(member, engine, node, &tickets)), failed).await
}

/// Publishes to one hub, until the connection is lost and DNS no longer lists it. After each reconnect it publishes everything
/// again.
async fn publish_to(member: Member<'_>, engine: &Engine, node: &SharedNode, tickets: &Tickets) {
    let mut publisher = Publisher {
        member,
        engine,
        node,
        answers: JoinSet::new(),
        answering: BTreeSet::new(),
        state: SyncState::default(),
        tickets,
        heartbeat_interval: INITIAL_HEARTBEAT_INTERVAL,
        backoff: Backoff::default(),
        log_once: LogOnce::default(),
    };
    loop {
        let error = match member.connect().await {
            Ok(session) => publisher.run(session).await,
            Err(error) => error,
        };
        member.disconnected();
        publisher.state.reset();
        // Another run of the hub counts its questions from the beginning.
        (publisher.answers, publisher.answering) = (JoinSet::new(), BTreeSet::new());
        publisher.forget_old_tickets();
        if matches!(error, HubError::SameHub(_)) {
            member.turn().await;
            continue;
        }
        if error.is_permanent() {
            publisher.backoff.slow_down();
        }
        publisher.log_once.log(member, &error);
        if !member.is_listed() {
            return;
        }
        sleep(publisher.backoff.next(random())).await;
    }
}

struct Publisher<'a> {
    member: Member<'a>,
    engine: &'a Engine,
    node: &'a SharedNode,
    /// Answers to questions about updates of services, from the engine.
    answers: JoinSet<Answer>,
    /// Services about which the engine is being asked.
    answering: BTreeSet<String>,
    state: SyncState,
    tickets: &'a Tickets,
    heartbeat_interval: Duration,
    backoff: Backoff,
    log_once: LogOnce,
}

/// A service, and its update.
type Answer = (String, Result<Update, EngineError>);

impl Publisher<'_> {
    /// Publishes on a connection until it is lost.
    async fn run(&mut self, mut session: Session) -> HubError {
        if self.node.update(|node, now| node.connected(session.connection.local_ip, now)) {
            self.node.list_wanted.notify_one();
        }
        let mut changes = self.node.changed.subscribe();
        let mut next_heartbeat = Instant::now();
        loop {
            changes.mark_unchanged();
            let now = Instant::now();
            if next_heartbeat <= now {
                match session.heartbeat().await {
                    Ok(heartbeat) => {
                        self.check_heartbeat(&heartbeat);
                        self.ask_engine(heartbeat.asked);
                    }
                    Err(error) => return error,
                }
                next_heartbeat = now + self.heartbeat_interval;
            }
            let Some(request) = self.state.next(&self.node.read(), now.into_std()) else {
                let retry = self.state.next_retry(now.into_std()).map(Instant::from);
                let wake = retry.map_or(next_heartbeat, |retry| next_heartbeat.min(retry));
                select! {
                    () = sleep_until(wake) => {}
                    _ = changes.changed() => {}
                    Some(Ok((service, update))) = self.answers.join_next() => {
                        self.answering.remove(&service);
                        match update {
                            Ok(update) => match session.tell_update(&service, &update).await {
                                Err(HubError::Refused(status, reason)) if status.is_client_error() => {
                                    debug!(service, status = status.as_u16(), reason, "the hub rejected an update");
                                }
                                Err(error) => return error,
                                Ok(()) => {}
                            },
                            Err(EngineError::Refused(StatusCode::NOT_FOUND, _)) => {
                                debug!(service, "the swarm does not have this service");
                            }
                            Err(error) => warn!(service, %error, "asking the engine for the update of a service"),
                        }
                    }
                    () = session.connection.closed() => return HubError::Closed,
                }
                continue;
            };
            match self.send(&mut session, &request).await {
                Ok(()) => self.state.acknowledge(request),
                // The hub rejects this request only. Others continue.
                Err(HubError::Refused(status, reason)) if status.is_client_error() => {
                    log_rejection(&request, status, &reason);
                    self.state.reject(request, now.into_std());
                }
                Err(error) => return error,
            }
        }
    }

    /// Asks the engine for the updates of services, on a manager. Each answer has the number of its question.
    fn ask_engine(&mut self, asked: BTreeMap<String, u64>) {
        if !self.node.read().is_manager() {
            return;
        }
        for (service, number) in asked {
            if self.answers.len() < MAX_ANSWERS && self.answering.insert(service.clone()) {
                let engine = self.engine.clone();
                self.answers.spawn(async move {
                    let update = async {
                        let api = engine.negotiate_version().await?;
                        let (found, tasks) = api.service_with_tasks(&service).await?;
                        Ok(to_update(number, found, tasks))
                    };
                    let update = update.await;
                    (service, update)
                });
            }
        }
    }

    /// Forgets the tickets of services without containers on this node.
    fn forget_old_tickets(&mut self) {
        let node = self.node.read();
        self.tickets
            .borrow_mut()
            .retain(|service, _| node.wanted().values().any(|wanted| wanted.service == *service));
    }

    async fn send(&mut self, session: &mut Session, request: &Request) -> Result<(), HubError> {
        match request {
            Request::Register(id, registration) => {
                let mut registration = Registration::clone(registration);
                registration.age_ms = (now() / 1_000_000).saturating_sub(registration.started);
                registration.ticket = self.tickets.borrow().get(&registration.service).cloned();
                let Lease { routing, ttl_ms, ticket, .. } = session.register(id, &registration, None).await?;
                let known = self.tickets.borrow_mut().remove(&registration.service);
                if let Some(ticket) = earlier_ticket(known, ticket) {
                    self.tickets.borrow_mut().insert(registration.service, ticket);
                }
                self.heartbeat_interval = heartbeat_interval(ttl_ms);
                debug!(instance = %id, address = %registration.address, health = ?registration.health, "registered");
                if let Routing::Refused { reason } = routing {
                    error!(instance = %id, reason, "the hub refuses to route this container");
                }
            }
            Request::Withdraw(id) => {
                session.withdraw(id, None).await?;
                debug!(instance = %id, "withdrawn");
            }
            Request::Publish(manager, services) => {
                session.publish(manager, services).await?;
                debug!(services = services.services.len(), "published the swarm's services");
            }
        }
        Ok(())
    }

    fn check_heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.heartbeat_interval = heartbeat_interval(heartbeat.ttl_ms);
        if self.node.read().is_manager() {
            // Heartbeats carry the hub's questions.
            self.heartbeat_interval = self.heartbeat_interval.min(MANAGER_INTERVAL);
        }
        self.backoff.reset();
        if self.log_once.clear() {
            info!(hub = %self.member.address, "reconnected to the hub");
        }
        let leases = self.state.leases();
        if heartbeat.leases != leases {
            info!(expected = leases, held = heartbeat.leases, "the hub has lost leases; registering again");
            self.state.reset();
        }
    }
}

fn log_rejection(request: &Request, status: StatusCode, reason: &str) {
    let status = status.as_u16();
    match request {
        Request::Register(id, _) => warn!(instance = %id, status, reason, "the hub rejected a registration"),
        Request::Withdraw(id) => debug!(instance = %id, status, reason, "the hub rejected a withdrawal"),
        Request::Publish(..) => warn!(status, reason, "the hub rejected the swarm's services"),
    }
}
