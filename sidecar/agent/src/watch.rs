//! Keeps the picture of the node up to date: by the engine's events, and by a look at everything whenever their stream
//! has begun.

use std::convert::Infallible;
use std::time::Duration;

use client::{Backoff, random};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, info, warn};

use crate::board::{Board, now};
use crate::engine::{Api, Engine, EngineError, Info, Inspection, Listed, Service};
use crate::node::Look;

/// How much of what happened before is asked for at the start: it may have been that a container was told to stop.
const BEFORE: Duration = Duration::from_mins(1);
/// How often is looked whether this node has become a manager, which no event tells for sure; and whether there is still
/// an engine at the other end of the stream.
const INFO_INTERVAL: Duration = Duration::from_secs(30);
/// How many containers are looked at at a time.
const LOOKS: usize = 4;
/// How long a look that has failed is left alone. Containers that are being started or ended keep the engine busy.
const PAUSE: Duration = Duration::from_secs(1);

/// An answer of the engine's.
enum Found {
    Container(String, Option<Box<Inspection>>),
    Services(Result<Vec<Service>, EngineError>),
    Info(Result<Info, EngineError>),
    List(Result<Vec<Listed>, EngineError>),
}

/// Watches for ever. While the engine is gone, what was known of containers stays: they may live on.
pub(crate) async fn watch(engine: &Engine, board: &Board) -> Infallible {
    let before = u64::try_from(BEFORE.as_nanos()).unwrap_or(0);
    let mut watch = Watch { engine, board, since: now().saturating_sub(before), complaint: None, told: None };
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let Err(error) = watch.stream().await;
        board.update(|node, _| node.disconnected());
        watch.complain(&error);
        if began.elapsed() > PAUSE {
            backoff.reset();
        }
        sleep(backoff.next(random())).await;
    }
}

struct Watch<'a> {
    engine: &'a Engine,
    board: &'a Board,
    /// From when on events are asked for, in nanoseconds of Unix time.
    since: u64,
    /// What was complained of last, so that it is logged only once.
    complaint: Option<String>,
    /// Why services could not be looked at, so that it is logged only once.
    told: Option<String>,
}

impl Watch<'_> {
    /// Follows one stream of events to its end.
    async fn stream(&mut self) -> Result<Infallible, EngineError> {
        let (api, board) = (self.engine.greet().await?, self.board);
        // Before everything is looked at, so that nothing that happens meanwhile is missed.
        let opened = now();
        let mut events = api.events(self.since).await?;
        let mut looks =
            Looks { api: api.clone(), set: JoinSet::new(), places: Semaphore::const_new(LOOKS).into() };
        self.informed(api.info().await?, &mut looks);
        let list = api.containers().await?;
        let ids = board.update(|node, now| node.listed(&list, now));
        info!(running = list.len(), of_interest = ids.len(), "the engine's containers are listed");
        drop(list);
        for id in ids {
            looks.container(id);
        }
        self.since = self.since.max(opened);
        self.complaint = None;

        let mut ticks = interval_at(Instant::now() + INFO_INTERVAL, INFO_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_change = board.read().next_change();
            let wait = next_change.map(|at| Duration::from_nanos(at.saturating_sub(now())));
            select! {
                event = events.next() => {
                    let event = event?;
                    self.since = self.since.max(event.time);
                    match board.update(|node, now| node.happened(&event, now)) {
                        Look::None => {}
                        Look::Container(id) => looks.container(id),
                        Look::Services => self.ask_services(&mut looks),
                        Look::Info => looks.info(),
                    }
                }
                Some(found) = looks.set.join_next() => match found {
                    Ok(found) => self.found(found, &mut looks)?,
                    // It panicked, which has been said.
                    Err(_) => return Err(EngineError::Late),
                },
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    board.update(crate::node::Node::advance);
                }
                () = board.list_wanted() => looks.list(),
                _ = ticks.tick() => looks.info(),
            }
        }
    }

    fn found(&mut self, found: Found, looks: &mut Looks) -> Result<(), EngineError> {
        match found {
            Found::Container(id, inspection) => {
                if self
                    .board
                    .update(|node, now| node.inspected(&id, inspection.map(|inspection| *inspection), now))
                {
                    looks.container(id);
                }
            }
            Found::Info(info) => self.informed(info?, looks),
            Found::List(list) => {
                let list = list?;
                self.board.update(|node, now| node.located(&list, now));
            }
            Found::Services(services) => {
                let fault = services.as_ref().err().map(ToString::to_string);
                if let Some(fault) = fault.as_ref().filter(|fault| self.told.as_ref() != Some(*fault)) {
                    warn!("engine {}: looking at the swarm's services: {fault}", self.engine.address());
                }
                self.told = fault;
                if self.board.update(|node, _| node.served(services.ok())) {
                    looks.services();
                }
            }
        }
        Ok(())
    }

    fn informed(&mut self, info: Info, looks: &mut Looks) {
        if self.board.update(|node, now| node.informed(info, now)) {
            self.ask_services(looks);
        }
    }

    fn ask_services(&mut self, looks: &mut Looks) {
        if self.board.update(|node, _| node.ask_services()) {
            looks.services();
        }
    }

    fn complain(&mut self, error: &EngineError) {
        let complaint = format!("engine {}: {error}", self.engine.address());
        if self.complaint.as_ref() != Some(&complaint) {
            warn!("{complaint}");
        }
        self.complaint = Some(complaint);
    }
}

/// Questions to the engine that are under way, so that none has to wait for the answer to another.
struct Looks {
    api: Api,
    set: JoinSet<Found>,
    places: std::sync::Arc<Semaphore>,
}

impl Looks {
    fn container(&mut self, id: String) {
        let (api, places) = (self.api.clone(), self.places.clone());
        self.set.spawn(async move {
            loop {
                // It is never closed.
                let place = places.acquire().await;
                match api.container(&id).await {
                    Ok(inspection) => return Found::Container(id, inspection.map(Box::new)),
                    Err(error) => debug!(container = id, %error, "looking at a container"),
                }
                drop(place);
                sleep(PAUSE).await;
            }
        });
    }

    fn services(&mut self) {
        let api = self.api.clone();
        self.set.spawn(async move { Found::Services(api.services().await) });
    }

    fn info(&mut self) {
        let api = self.api.clone();
        self.set.spawn(async move { Found::Info(api.info().await) });
    }

    fn list(&mut self) {
        let api = self.api.clone();
        self.set.spawn(async move { Found::List(api.containers().await) });
    }
}
