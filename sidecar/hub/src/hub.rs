//! The hub's shared state, and requests that wait for it to change.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::{Heartbeat, InstanceId, Lease, Registration, Routing, Services, Update, Withdrawal};
use runtime::{Bytes, Latch};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use crate::auth::Identity;
use crate::certificates::Certificates;
use crate::events::Events;
use crate::explanation::Explanation;
use crate::key::Key;
use crate::questions::Questions;
use crate::rawdata::Report;
use crate::registry::{Registry, Settings, Withdrawn};
use crate::routers::{Poll, Question, Routers};
use crate::state::{Counters, Effect, Options, State, TICK};
use crate::traefik_api::{self, ApiError, TraefikApi};

/// Time for which the response to a beacon request is delayed. Less than the timeout of that health check.
const BEACON_DELAY: Duration = Duration::from_secs(30);
/// Time for the API of a router to tell the servers that it uses.
const LEARN_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of servers that are probed at the same time for each router.
const MAX_PROBES: usize = 64;
/// Pause between two looks at servers that have not registered yet.
const LEARN_PAUSE: Duration = Duration::from_millis(200);
/// Multiple of the time that rendering took for which the hub then does other things.
const REST: u32 = 2;
/// First pause between two questions to the same API. Each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Reason why a client cannot change an instance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The same task has been withdrawn.
    Withdrawn,
    /// It belongs to this service, or to a sidecar of it.
    Owned(String),
}

/// The hub.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// Wakes requests that wait for acknowledgements by routers.
    progress: watch::Sender<()>,
    /// Wakes polls: after progress, and when there is a new generation.
    generations: watch::Sender<()>,
    /// Wakes [`Hub::tick`], when there is something to do earlier than it knows.
    ticker: Notify,
}

impl Hub {
    /// Creates a hub without instances. `unready` is dropped at the end of the warm-up, which begins with the first
    /// registration.
    pub(crate) fn new(
        options: Options,
        settings: Settings,
        beacon_key: Key,
        api: TraefikApi,
        unready: Latch,
    ) -> Arc<Self> {
        let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = State {
            options,
            started: now(),
            registry: Registry::new(settings, now(), millis(unix_time)),
            routers: Routers::new(now()),
            generation: 0,
            beacon_key,
            api,
            ready_at: None,
            unready: Some(unready),
            is_outdated: false,
            is_unpublished: false,
            new_certificates: None,
            renderings: 0,
            rests_until: now(),
            ticks_at: now(),
            ran_at: now(),
            resumed_at: None,
            draining: false,
            seen: HashSet::new(),
            events: Events::default(),
            counters: Counters::default(),
            questions: Questions::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            progress: watch::Sender::new(()),
            generations: watch::Sender::new(()),
            ticker: Notify::new(),
        })
    }

    /// Applies changes that are due without a request, such as leases that expire. Never returns.
    pub(crate) async fn tick(self: Arc<Self>) {
        loop {
            self.update(|_, _| (None, ()));
            let at = self.state().ticks_at;
            drop(timeout_at(at.into(), self.ticker.notified()).await);
        }
    }

    /// Registers an instance or renews its lease. Responds once the routing is decided, or after `wait`.
    pub(crate) async fn register(
        &self,
        identity: &Identity,
        id: &InstanceId,
        connection: u64,
        registration: Registration,
        wait: Duration,
    ) -> Result<Lease, Denied> {
        let service = registration.service.clone();
        let is_limited = matches!(identity, Identity::Service(_));
        let ttl = self.update(|state, now| {
            if let Err(denied) = state.check_owner(identity, id) {
                return (None, Err(denied));
            }
            if state.ready_at.is_none() {
                info!(duration = ?state.options.warm_up, "warming up");
                state.ready_at = Some(now + state.options.warm_up);
            }
            state.see(now, SocketAddr::new(registration.address, registration.port.get()));
            let is_warm_up = !state.is_ready();
            let source = registration.source;
            let registry = &mut state.registry;
            let changed = registry.register(now, is_warm_up, id, connection, registration, is_limited);
            let result = changed.map(|_| registry.ttl(source)).map_err(|Withdrawn| Denied::Withdrawn);
            ((changed == Ok(true)).then_some(Effect::Registry), result)
        })?;
        // The client renews the lease after that time, which a lease with a longer one allowed to be later.
        let deadline = now() + wait.min(ttl / 3);
        let lease = self.wait_until(&self.progress, deadline, |state, over| {
            let routing = state.routing(id);
            let is_decided = routing != Routing::Pending && !state.registry.is_touched(&service);
            (over || is_decided).then(|| Lease {
                generation: state.generation,
                ttl_ms: millis(ttl),
                routing,
                ticket: state.registry.ticket(&service),
                routers: state.routers.names(),
                expects_router: state.routers.expects_more(now()),
            })
        });
        Ok(lease.await)
    }

    /// Renews all leases of `connection`, which reached the hub at `address`. If it `is_manager`, the response has questions.
    pub(crate) fn heartbeat(&self, connection: u64, address: Option<IpAddr>, is_manager: bool) -> Heartbeat {
        self.update(|state, now| {
            let asked = if is_manager { state.questions.unanswered(now) } else { BTreeMap::new() };
            let (leases, ttl) = state.registry.heartbeat(now, connection);
            let heartbeat = Heartbeat {
                generation: state.generation,
                ttl_ms: millis(ttl),
                leases,
                hub: state.id(),
                address,
                asked,
            };
            (None, heartbeat)
        })
    }

    /// Replaces the certificates for routers.
    pub(crate) fn set_certificates(&self, certificates: Certificates) {
        self.update(|state, _| {
            state.new_certificates = Some(certificates);
            (Some(Effect::Registry), ())
        });
    }

    /// Replaces the services that the manager on `node` published.
    pub(crate) fn publish(&self, node: InstanceId, services: Services) {
        self.update(|state, now| {
            let (changed, stale) = state.registry.publish(now, node, services);
            for id in stale {
                info!(instance = %id, "labels of its service changed since it started; the new ones apply");
            }
            (changed.then_some(Effect::Registry), ())
        });
    }

    /// Records the update of a service, as a manager knows it.
    pub(crate) fn take_answer(&self, service: &str, update: Update) {
        self.update(|state, _| {
            state.questions.answered(service, update);
            (Some(Effect::Progress), ())
        });
    }

    /// Returns what the hub knows of a service; `None` if there is no such service. With `wait`, it asks the agents of managers for
    /// the service's update, and waits for an answer for up to that time.
    pub(crate) async fn explain(&self, service: &str, wait: Option<Duration>) -> Option<Explanation> {
        let number = self.update(|state, now| {
            let asks = wait.is_some() && state.registry.knows(service);
            (None, asks.then(|| state.questions.ask(now, service)))
        });
        let explanation = self.wait_until(&self.progress, now() + wait.unwrap_or_default(), |state, over| {
            let update = number.and_then(|number| state.questions.answer(service, number)).cloned();
            let is_asking = update.is_none() && state.registry.has_manager();
            // What is not rendered yet is not routed either.
            let is_waiting = number.is_some() && (is_asking || state.is_outdated);
            let explain = || state.explain(service).map(|known| Explanation { update, ..known });
            (over || !is_waiting).then(explain)
        });
        explanation.await
    }

    /// Withdraws an instance. Responds once every router uses a configuration without it, or after `wait`.
    ///
    /// An unknown instance is treated alike: a router may still have it from the hub's predecessor.
    pub(crate) async fn withdraw(
        &self,
        identity: &Identity,
        id: &InstanceId,
        connection: u64,
        wait: Duration,
    ) -> Result<Withdrawal, Denied> {
        let deadline = now() + wait;
        self.update(|state, now| {
            if let Err(denied) = state.check_owner(identity, id) {
                return (None, Err(denied));
            }
            let known = state.registry.withdraw(now, id, connection);
            if known {
                info!(instance = %id, "withdrawn");
                state.counters.withdrawn += 1;
            }
            (known.then_some(Effect::Registry), Ok(()))
        })?;
        let mut without = u64::MAX;
        let withdrawal = self.wait_until(&self.progress, deadline, |state, over| {
            // The first generation that is rendered after the update above.
            without = without.min(state.upcoming_generation().max(1));
            let mut withdrawal = state.routers.confirmation(without);
            withdrawal.expects_router = state.routers.expects_more(now());
            (over || withdrawal.pending.is_empty()).then_some(withdrawal)
        });
        let withdrawal = withdrawal.await;
        if withdrawal.pending.is_empty() && !withdrawal.confirmed.is_empty() {
            self.update(|state, now| (state.registry.unrouted(now, id).then_some(Effect::Events), ()));
        }
        Ok(withdrawal)
    }

    /// Responds to a router with the configuration, once it differs from the last response on this connection, or
    /// after `wait`. `None` during the warm-up: the router keeps what it has.
    pub(crate) async fn poll(
        self: &Arc<Self>,
        connection: u64,
        poll: &Poll,
        wait: Duration,
    ) -> Option<Bytes> {
        let deadline = now() + wait;
        let last_sent = self.update(|state, now| {
            let before = state.routers.len();
            let last_sent = state.routers.poll(now, connection, poll);
            if state.routers.len() != before {
                info!(router = poll.name, "router polls");
                if before == 0 {
                    state.registry.forget_delays();
                }
                // A router that reconnects is not warned of again.
                if poll.api.is_none() && !std::mem::replace(&mut state.routers.is_missing_api_logged, true) {
                    warn!(
                        router = poll.name,
                        "no parameter `api` in the router's poll, so the hub relies on its own checks; add &api=8080, the \
                         port of Traefik's entry point `traefik`, and set --api=true"
                    );
                }
                if let Some(api) = state.routers.predecessor(connection) {
                    tokio::spawn(self.clone().learn(connection, api));
                }
            }
            // The number of routers, which leases tell.
            ((state.routers.len() != before).then_some(Effect::Progress), last_sent)
        });
        let document = self.wait_until(&self.generations, deadline, |state, over| {
            if !state.is_ready() || !state.routers.is_known(connection) {
                return over.then_some(None);
            }
            (over || last_sent != Some(state.generation)).then(|| {
                state.routers.sent(now(), connection, state.generation);
                Some(state.document_for(connection, poll))
            })
        });
        document.await
    }

    /// Records a request for a beacon: the router on `connection` uses the configuration `generation`. The response is
    /// delayed, so that the health check is not repeated.
    ///
    /// Returns false, at once, if this hub did not send the nonce.
    pub(crate) async fn beacon(self: &Arc<Self>, connection: u64, generation: u64, nonce: &str) -> bool {
        if !self.state().is_beacon(connection, generation, nonce) {
            return false;
        }
        let ask = self.update(|state, now| (None, state.routers.acknowledge(now, connection, generation)));
        if ask {
            tokio::spawn(self.clone().ask(connection));
        }
        self.wait_until(&self.progress, now() + BEACON_DELAY, |_, over| over.then_some(())).await;
        true
    }

    /// Waits until this new hub knows the servers that the router on `connection` uses: each of them has registered or refuses
    /// connections.
    async fn learn(self: Arc<Self>, connection: u64, api: SocketAddr) {
        let servers = self.servers(api).await;
        self.update(|state, now| {
            state.routers.learned(now, connection, servers);
            (None, ())
        });
        let (mut refused, mut is_logged) = (BTreeSet::new(), false);
        let (mut unasked, mut probes) = (BTreeSet::new(), JoinSet::new());
        loop {
            let missing = self.update(|state, now| {
                let missing = state.missing(now, connection, &refused);
                (missing.is_empty().then_some(Effect::Progress), missing)
            });
            if missing.is_empty() {
                return;
            }
            if !std::mem::replace(&mut is_logged, true) {
                info!(?missing, "waiting until the servers that a router uses register");
            }
            unasked.retain(|server| missing.contains(server));
            if unasked.is_empty() && probes.is_empty() {
                unasked = missing;
            }
            let probe = |server: String| async { (traefik_api::refuses(&server).await, server) };
            let answers = run_bounded(&mut unasked, &mut probes, LEARN_PAUSE, probe).await;
            refused.extend(answers.into_iter().filter_map(|(refuses, server)| refuses.then_some(server)));
        }
    }

    /// Returns the servers that the router with this API uses.
    async fn servers(&self, api: SocketAddr) -> BTreeSet<String> {
        let mut passwords = self.state().api.passwords(api).into_iter().peekable();
        let deadline = now() + LEARN_TIMEOUT;
        while let Some(password) = passwords.peek() {
            match traefik_api::report(api, password).await {
                Ok(report) => return report.servers,
                Err(ApiError::Status(_)) => drop(passwords.next()),
                Err(_) if now() + LEARN_PAUSE < deadline => sleep(LEARN_PAUSE).await,
                Err(_) => break,
            }
        }
        // If it accepts no password, the router has no configuration of a hub.
        BTreeSet::new()
    }

    /// Asks the API of the router on `connection` until it reports the configuration that it requested the beacon of. It
    /// requests the beacon shortly before it uses the configuration.
    async fn ask(self: Arc<Self>, connection: u64) {
        loop {
            let Some(question) = self.state().routers.question(connection) else { return };
            let answer = self.answer(connection, &question).await;
            let reported = |state: &mut State, now| {
                (Some(Effect::Progress), state.reported(now, connection, &question, answer))
            };
            if !self.update(reported) {
                return;
            }
        }
    }

    async fn answer(&self, connection: u64, question: &Question) -> Result<(u64, Report), String> {
        let deadline = now() + question.patience;
        let password = self.state().api.password(question.address);
        let mut pause = FIRST_PAUSE;
        loop {
            let cause = match traefik_api::brief_report(question.address, &password).await {
                Ok(report) => match self.state().generation_in(&report, connection) {
                    Some(generation) if generation >= question.generation => return Ok((generation, report)),
                    Some(_) => {
                        "it still reports an earlier configuration; Traefik or its host is slow".to_owned()
                    }
                    None => {
                        "it does not report the configuration of this hub; is it the API of another Traefik?"
                            .to_owned()
                    }
                },
                Err(error) => error.to_string(),
            };
            if now() + pause >= deadline {
                return Err(cause);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Records that a connection closed.
    pub(crate) fn disconnected(&self, connection: u64) {
        self.update(|state, now| {
            state.disconnected(now, connection);
            (Some(Effect::Events), ())
        });
    }

    /// Ends all waits and streams, since the hub is stopping.
    pub(crate) fn drain(&self) {
        self.update(|state, _| {
            state.draining = true;
            // This ends the streams of subscribers.
            state.events = Events::default();
            (Some(Effect::Progress), ())
        });
    }

    /// Updates the state, and wakes the requests that the changes concern.
    fn update<T>(&self, update: impl FnOnce(&mut State, Instant) -> (Option<Effect>, T)) -> T {
        let now = now();
        let mut state = self.state();
        let (generation, renderings) = (state.generation, state.renderings);
        state.run(now);
        let (effect, result) = update(&mut state, now);
        let progress = state.advance(now, effect);
        let is_new = state.generation != generation;
        if state.renderings != renderings {
            let end = self::now();
            state.rests_until = end + (end - now) * REST;
        }
        let next = state.next_change().map_or(now + TICK, |at| at.min(now + TICK));
        let ticks_at = std::mem::replace(&mut state.ticks_at, next);
        drop(state);
        if next < ticks_at {
            self.ticker.notify_one();
        }
        if progress {
            self.progress.send_replace(());
        }
        if progress || is_new {
            self.generations.send_replace(());
        }
        result
    }

    /// Calls `check` now and after each of `changes` until it returns a value. At the deadline it is called with `true`,
    /// and has to return one.
    async fn wait_until<T>(
        &self,
        changes: &watch::Sender<()>,
        deadline: Instant,
        mut check: impl FnMut(&mut State, bool) -> Option<T>,
    ) -> T {
        let mut changes = changes.subscribe();
        loop {
            changes.borrow_and_update();
            {
                let mut state = self.state();
                let over = state.draining || now() >= deadline;
                if let Some(value) = check(&mut state, over) {
                    return value;
                }
                debug_assert!(!over, "a check must return a value at the deadline");
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(deadline.into()) => {}
            }
        }
    }

    /// Locks the state, to read it or to change what no request waits for.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock. If it did, the state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `job` for each of `items`, at most [`MAX_PROBES`] at the same time, and returns the results after `time`. Those that have
/// not ended go on in `jobs`.
async fn run_bounded<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    items: &mut BTreeSet<String>,
    jobs: &mut JoinSet<T>,
    time: Duration,
    job: impl Fn(String) -> F,
) -> Vec<T> {
    let (mut results, mut end) = (Vec::new(), pin!(sleep(time)));
    loop {
        while jobs.len() < MAX_PROBES
            && let Some(item) = items.pop_first()
        {
            jobs.spawn(job(item));
        }
        tokio::select! {
            Some(result) = jobs.join_next() => results.extend(result),
            () = &mut end => return results,
        }
    }
}

/// Returns the time of the runtime's clock, which tests can control.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
