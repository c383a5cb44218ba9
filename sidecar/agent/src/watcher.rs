//! Watches the engine: lists all containers whenever the event stream begins, then follows the events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use client::{Backoff, random};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, info, warn};

use crate::engine::{Api, Engine, EngineError, Info, Inspection, ListedContainer, Service};
use crate::node::{Node, Query};
use crate::shared_node::{SharedNode, now};

/// Time before the start for which events are requested, since a container may have been told to stop.
const EVENTS_BEFORE: Duration = Duration::from_mins(1);
/// Interval of queries for the node's role, which no event reports reliably. They also detect a dead engine.
const INFO_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum number of concurrent inspections.
const MAX_INSPECTIONS: usize = 4;
/// Pause after a failed inspection. The engine is slow while it starts and stops containers.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A response of the engine.
enum Response {
    Container(String, Option<Box<Inspection>>),
    Services(Result<Vec<Service>, EngineError>),
    Info(Result<Info, EngineError>),
    List(Result<Vec<ListedContainer>, EngineError>),
}

/// Watches forever. While the engine is unreachable, its containers stay registered, since they may still run.
pub(crate) async fn watch(engine: &Engine, node: &SharedNode) -> Infallible {
    let before = u64::try_from(EVENTS_BEFORE.as_nanos()).unwrap_or(0);
    let since = now().saturating_sub(before);
    let mut watcher = Watcher { engine, node, since, last_error: None, last_services_error: None };
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        let Err(error) = watcher.follow().await;
        node.update(|node, _| node.disconnected());
        let message = error.to_string();
        if watcher.last_error.as_ref() != Some(&message) {
            warn!("engine {}: {message}", engine);
        }
        watcher.last_error = Some(message);
        if started.elapsed() > RETRY_PAUSE {
            backoff.reset();
        }
        sleep(backoff.next(random())).await;
    }
}

struct Watcher<'a> {
    engine: &'a Engine,
    node: &'a SharedNode,
    /// Start of the next event stream, in nanoseconds of Unix time.
    since: u64,
    /// The last error, to log a repeated one only once.
    last_error: Option<String>,
    /// The last error of a query for services.
    last_services_error: Option<String>,
}

impl Watcher<'_> {
    /// Follows one event stream to its end.
    async fn follow(&mut self) -> Result<Infallible, EngineError> {
        let (api, node) = (self.engine.negotiate_version().await?, self.node);
        // The stream begins before the list, so that no event is missed.
        let opened = now();
        let mut events = api.events(self.since).await?;
        let mut queries = Queries {
            api: api.clone(),
            responses: JoinSet::new(),
            permits: Arc::new(Semaphore::new(MAX_INSPECTIONS)),
        };
        let info = api.info().await?;
        queries.start(node.update(|node, now| node.apply_info(info, now)));
        let list = api.containers().await?;
        let ids = node.update(|node, now| node.apply_list(&list, now));
        info!(running = list.len(), relevant = ids.len(), "listed the engine's containers");
        drop(list);
        for id in ids {
            queries.start(Some(Query::Container(id)));
        }
        self.since = self.since.max(opened);
        self.last_error = None;

        let mut ticks = interval_at(Instant::now() + INFO_INTERVAL, INFO_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_change = node.read().next_change();
            let wait = next_change.map(|at| Duration::from_nanos(at.saturating_sub(now())));
            select! {
                event = events.next() => {
                    let event = event?;
                    self.since = self.since.max(event.time);
                    queries.start(node.update(|node, now| node.apply_event(&event, now)));
                }
                Some(response) = queries.responses.join_next() => match response {
                    Ok(response) => queries.start(self.apply(response)?),
                    // The query panicked, which is logged already.
                    Err(_) => return Err(EngineError::Timeout),
                },
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => node.update(Node::advance),
                () = node.list_wanted.notified() => queries.start(Some(Query::List)),
                _ = ticks.tick() => queries.start(Some(Query::Info)),
            }
        }
    }

    /// Applies a response. Returns the next query.
    fn apply(&mut self, response: Response) -> Result<Option<Query>, EngineError> {
        Ok(match response {
            Response::Container(id, inspection) => {
                let inspection = inspection.map(|inspection| *inspection);
                self.node.update(|node, now| node.apply_inspection(&id, inspection, now))
            }
            Response::Info(info) => {
                let info = info?;
                self.node.update(|node, now| node.apply_info(info, now))
            }
            Response::List(list) => {
                let list = list?;
                self.node.update(|node, now| node.apply_addresses(&list, now));
                None
            }
            Response::Services(services) => {
                let error = services.as_ref().err().map(ToString::to_string);
                if let Some(error) = error.as_ref().filter(|_| self.last_services_error != error) {
                    warn!("engine {}: listing the swarm's services: {error}", self.engine);
                }
                self.last_services_error = error;
                self.node.update(|node, _| node.apply_services(services.ok()))
            }
        })
    }
}

/// Queries in flight. They run concurrently, so that none delays another.
struct Queries {
    api: Api,
    responses: JoinSet<Response>,
    permits: Arc<Semaphore>,
}

impl Queries {
    fn start(&mut self, query: Option<Query>) {
        let Some(query) = query else { return };
        let (api, permits) = (self.api.clone(), Arc::clone(&self.permits));
        self.responses.spawn(async move {
            match query {
                Query::Container(id) => inspect(&api, id, &permits).await,
                Query::Services => Response::Services(api.services().await),
                Query::Info => Response::Info(api.info().await),
                Query::List => Response::List(api.containers().await),
            }
        });
    }
}

/// Inspects a container, again after an error.
async fn inspect(api: &Api, id: String, permits: &Semaphore) -> Response {
    loop {
        // The semaphore is never closed.
        let permit = permits.acquire().await;
        match api.container(&id).await {
            Ok(inspection) => return Response::Container(id, inspection.map(Box::new)),
            Err(error) => debug!(container = id, %error, "inspecting a container failed"),
        }
        drop(permit);
        sleep(RETRY_PAUSE).await;
    }
}
