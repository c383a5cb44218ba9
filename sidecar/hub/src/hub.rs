//! The hub's one piece of state, and those who wait for it to change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::{Heartbeat, Instance, InstanceId, Lease, Registration, Services, Withdrawal};
use runtime::Latch;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep_until, timeout};
use tracing::info;

use crate::certificate::Certificate;
use crate::events::{Event, Events};
use crate::registry::{Published, Settings, Withdrawn};
use crate::routers::Confirmation;
use crate::state::{Change, Counters, Phase, State};

/// Less than the beacon's time-out.
const BEACON_HELD: Duration = Duration::from_secs(30);

/// The hub.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Counts changes of any kind; whoever waits looks again.
    changes: watch::Sender<u64>,
}

/// For the metrics.
pub(crate) struct Snapshot {
    pub(crate) instances: Vec<Instance>,
    pub(crate) generation: u64,
    pub(crate) routers: usize,
    pub(crate) counters: Counters,
}

/// A router that polls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll<'a> {
    /// The connection that it polls on.
    pub(crate) connection: u64,
    /// What people call it.
    pub(crate) name: &'a str,
    /// The least time between two configurations that it takes into use.
    pub(crate) throttle: Duration,
    /// How it reaches the hub, if that is known.
    pub(crate) host: Option<&'a str>,
}

/// Which configuration a router has in use, as its request for the beacon tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beacon {
    pub(crate) life: u128,
    pub(crate) connection: u64,
    pub(crate) generation: u64,
}

/// What a router that polls is told.
pub(crate) enum Answer {
    /// This configuration.
    Document(String),
    /// To keep what it has.
    NotYet,
}

impl Hub {
    /// A hub that knows nobody. `unready` is dropped when it has learnt who is there: `learn` after the first
    /// registration.
    pub(crate) fn new(
        settings: Settings,
        learn: Duration,
        certificate: Option<Certificate>,
        unready: Latch,
    ) -> Arc<Self> {
        let life = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let state = State::new(now(), life, settings, learn, certificate, unready);
        Arc::new(Self { state: Mutex::new(state), changes: watch::Sender::new(0) })
    }

    /// Lets time pass for the state: leases run out and confirmations come of age without a request. Never ends.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            match self.update(|state, _| (Change::Nothing, state.next_change())) {
                // The sender lives in `self`, so waiting for a change cannot fail.
                Some(at) => {
                    drop(timeout(at.saturating_duration_since(now()), changes.changed()).await);
                }
                None => drop(changes.changed().await),
            }
        }
    }

    /// Takes or renews a lease; with a `wait`, answers when the routing is decided or the wait is over.
    pub(crate) async fn register(
        &self,
        id: &InstanceId,
        connection: u64,
        registration: Registration,
        wait: Duration,
    ) -> Result<Lease, Withdrawn> {
        let deadline = now() + wait;
        self.update(|state, now| {
            if state.phase == Phase::Blank {
                info!(learn = ?state.learn, "learning who is there");
                state.phase = Phase::Learning(now + state.learn);
            }
            let learning = matches!(state.phase, Phase::Learning(_));
            let news = state.registry.register(now, learning, id, connection, registration);
            (if news == Ok(true) { Change::Registry } else { Change::Nothing }, news)
        })?;
        let lease = self
            .until(deadline, |state, over| {
                let routing = state.routing(id);
                (over || !routing.is_pending()).then(|| Lease {
                    generation: state.generation,
                    ttl_ms: millis(state.registry.ttl()),
                    routing,
                })
            })
            .await;
        Ok(lease)
    }

    /// Renews all leases that `connection` holds.
    pub(crate) fn heartbeat(&self, connection: u64) -> Heartbeat {
        self.update(|state, now| {
            let leases = state.registry.heartbeat(now, connection);
            let ttl_ms = millis(state.registry.ttl());
            (Change::Nothing, Heartbeat { generation: state.generation, ttl_ms, leases })
        })
    }

    /// Takes what the manager on `node` knows of services.
    pub(crate) fn publish(&self, node: InstanceId, services: Services) {
        self.update(|state, _| {
            let Published { changed, stale } = state.registry.publish(node, services);
            for id in stale {
                info!(instance = %id, "its service's labels have changed since it started; the new ones count");
            }
            (if changed { Change::Registry } else { Change::Nothing }, ())
        });
    }

    /// Ends a lease; answers when every router has a configuration without it in use, or the wait is over.
    ///
    /// An instance that is not known is treated alike: a router may still have it from the hub that was here before.
    pub(crate) async fn withdraw(&self, id: &InstanceId, wait: Duration) -> Withdrawal {
        let deadline = now() + wait;
        self.update(|state, now| {
            let known = state.registry.withdraw(now, id);
            if known {
                info!(instance = %id, "withdrawn");
                state.counters.withdrawn += 1;
            }
            (if known { Change::Registry } else { Change::Nothing }, ())
        });
        // The configuration without it: made by the update above, or the first one yet to be made.
        let mut without = None;
        self.until(deadline, |state, over| {
            let generation = *without.get_or_insert(state.generation.max(1));
            let Confirmation { confirmed, mut pending } = state.routers.confirmation(generation);
            if confirmed.is_empty() && state.routers.expects_more(now()) {
                pending.push("a router that has not polled yet".to_owned());
            }
            (over || pending.is_empty()).then_some(Withdrawal { confirmed, pending })
        })
        .await
    }

    /// A router polls: answers as soon as there is something that it has not got, or the wait is over.
    pub(crate) async fn poll(&self, router: &Poll<'_>, wait: Duration) -> Answer {
        let deadline = now() + wait;
        let Poll { connection, name, throttle, .. } = *router;
        let given = self.update(|state, now| {
            let before = state.routers.len();
            let given = state.routers.poll(now, connection, name, throttle);
            if state.routers.len() != before {
                info!(router = name, "polls");
            }
            (Change::Progress, given)
        });
        self.until(deadline, |state, over| {
            if state.phase != Phase::Learnt {
                return over.then_some(Answer::NotYet);
            }
            (over || given != Some(state.generation)).then(|| {
                state.routers.answered(connection, state.generation, router.host.is_some());
                Answer::Document(state.document_for(connection, router.host))
            })
        })
        .await
    }

    /// A router asks for a beacon: it has the configuration in use. The answer is held, so that it does not ask again.
    pub(crate) async fn beacon(&self, beacon: Beacon) {
        self.update(|state, _| {
            let news =
                beacon.life == state.life && state.routers.proven(beacon.connection, beacon.generation);
            (if news { Change::Progress } else { Change::Nothing }, ())
        });
        self.until(now() + BEACON_HELD, |_, over| over.then_some(())).await;
    }

    /// What a router would be told now.
    pub(crate) fn peek(&self) -> Answer {
        let state = self.lock();
        if state.phase == Phase::Learnt { Answer::Document(state.text.clone()) } else { Answer::NotYet }
    }

    /// A connection has closed, whoever it was from.
    pub(crate) fn disconnected(&self, connection: u64) {
        self.update(|state, now| {
            state.registry.disconnected(now, connection);
            state.routers.disconnected(now, connection);
            (Change::Progress, ())
        });
    }

    /// Answers everybody who waits: the hub is about to stop.
    pub(crate) fn drain(&self) {
        self.update(|state, _| {
            state.draining = true;
            // Those who follow it see the end of their stream.
            state.events = Events::default();
            (Change::Progress, ())
        });
    }

    /// Counts a request with a wrong token or none.
    pub(crate) fn count_unauthorized(&self) {
        self.lock().counters.unauthorized += 1;
    }

    /// Everybody, and what the metrics tell.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            instances: state.instances(),
            generation: state.generation,
            routers: state.routers.len(),
            counters: state.counters,
        }
    }

    /// Everybody, and whatever changes from now on.
    pub(crate) fn subscribe(&self) -> (Vec<Instance>, broadcast::Receiver<Event>) {
        let mut state = self.lock();
        let instances = state.instances();
        (instances.clone(), state.events.subscribe(instances))
    }

    /// Whether the hub is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// Changes the state, lets time pass for it, and wakes whoever waits if anything has changed.
    fn update<T>(&self, change: impl FnOnce(&mut State, Instant) -> (Change, T)) -> T {
        let now = now();
        let mut state = self.lock();
        let (change, result) = change(&mut state, now);
        let changed = state.settle(now, change);
        drop(state);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        result
    }

    /// Looks at the state after each change, until `look` returns something; it has to once it is told that the wait
    /// is over.
    async fn until<T>(&self, deadline: Instant, mut look: impl FnMut(&mut State, bool) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            {
                let mut state = self.lock();
                let over = state.draining || now() >= deadline;
                if let Some(seen) = look(&mut state, over) {
                    return seen;
                }
                debug_assert!(!over, "whoever waits has to take what there is when the wait is over");
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(deadline.into()) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock panics; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime's clock, which tests can turn by hand.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
