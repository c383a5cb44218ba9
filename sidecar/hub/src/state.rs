//! State of the hub: leases, routers, and the configuration with its generation. Callers pass the time in.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use cli::constant_time_eq;
use protocol::{Instance, InstanceId, Routing, Status};
use runtime::{Bytes, Latch};
use tracing::{info, warn};
use traefik::{Document, redact_document};

use crate::auth::Identity;
use crate::certificate::Certificate;
use crate::certificates::Certificates;
use crate::events::Events;
use crate::explanation::Explanation;
use crate::hub::Denied;
use crate::key::Key;
use crate::questions::Questions;
use crate::rawdata::Report;
use crate::registry::{self, Registry};
use crate::routers::{Poll, Question, Routers};
use crate::traefik_api::TraefikApi;

/// Path of the beacon, which routers request for each configuration that they use.
pub(crate) const BEACON_PATH: &str = "/traefik/beacon";

/// Maximum time between two calls of [`State::run`] while the hub runs.
pub(crate) const TICK: Duration = Duration::from_millis(500);
/// Time between two calls from which on the hub was paused.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after a pause in which a closed connection does not show that its task is gone: clients gave up waiting.
const AFTER_PAUSE: Duration = Duration::from_secs(5);

/// Options of the hub itself.
pub(crate) struct Options {
    /// Host name of the hub.
    pub(crate) host: String,
    /// Duration of the warm-up, in which the instances of the hub's predecessor register again.
    pub(crate) warm_up: Duration,
    /// Default certificate for routers.
    pub(crate) certificate: Option<Certificate>,
    /// Other certificates for routers.
    pub(crate) certificates: Certificates,
    /// Prefix of paths under which routers serve the hub's page.
    pub(crate) page: Option<String>,
    /// File of the routers with the CA of the hub's certificate, if they reach the page over HTTPS.
    pub(crate) page_ca: Option<String>,
}

/// State of the hub.
pub(crate) struct State {
    pub(crate) options: Options,
    /// Start of the hub.
    pub(crate) started: Instant,
    pub(crate) registry: Registry,
    pub(crate) routers: Routers,
    pub(crate) generation: u64,
    /// Random key of this process, for the nonces of beacons.
    pub(crate) beacon_key: Key,
    /// End of the warm-up, once the first instance has registered.
    pub(crate) ready_at: Option<Instant>,
    /// Held until the end of the warm-up.
    pub(crate) unready: Option<Latch>,
    pub(crate) api: TraefikApi,
    /// Whether the configuration, or what events tell, may have changed since it was last rendered.
    pub(crate) is_outdated: bool,
    pub(crate) is_unpublished: bool,
    /// Certificates for routers from the next generation on.
    pub(crate) new_certificates: Option<Certificates>,
    /// Number of times that [`State::advance`] has rendered anything.
    pub(crate) renderings: u64,
    /// Time before which nothing is rendered, since that took long the last time.
    pub(crate) rests_until: Instant,
    /// Time at which [`State::advance`] is called next without an update.
    pub(crate) ticks_at: Instant,
    /// Time of the last call of [`State::run`].
    pub(crate) ran_at: Instant,
    /// End of the last pause.
    pub(crate) resumed_at: Option<Instant>,
    /// Whether the hub is stopping, so that requests must not wait.
    pub(crate) draining: bool,
    /// Addresses of all instances that have registered with this hub while it is new, also of those that are gone.
    pub(crate) seen: HashSet<SocketAddr>,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) questions: Questions,
}

/// Change by an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// What only events tell, such as a connection that closed.
    Events,
    /// An acknowledgement by a router, or a phase of the hub. Requests wait for these.
    Progress,
    /// The instances, and so perhaps the configuration.
    Registry,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) withdrawn: u64,
    pub(crate) lost: u64,
    pub(crate) unauthorized: u64,
}

impl State {
    /// Returns whether the warm-up has ended, so that all instances are known.
    pub(crate) fn is_ready(&self) -> bool {
        self.unready.is_none()
    }

    /// Notes that the hub runs at `now`, before it handles anything. Nothing expires for the time of a pause, in which it could
    /// not receive renewals.
    pub(crate) fn run(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.ran_at);
        self.ran_at = now;
        if gap >= PAUSE {
            warn!(?gap, "the hub was paused or starved; leases last longer by that time");
            self.registry.postpone(gap);
            self.routers.postpone(gap);
            self.ready_at = self.ready_at.map(|at| at + gap);
            self.resumed_at = Some(now);
        }
    }

    /// Records that a connection closed.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        let settings = &self.registry.settings;
        let is_after_pause = self.resumed_at.is_some_and(|at| now < at + AFTER_PAUSE);
        let lost_after = if is_after_pause { settings.ttl } else { settings.lost_after };
        self.registry.disconnected(now, connection, lost_after);
        self.routers.disconnected(now, connection);
    }

    /// Applies what is due by `now`, and starts a new generation if the configuration changed. Returns whether the routing of an
    /// instance may have changed, other than by a new generation.
    pub(crate) fn advance(&mut self, now: Instant, effect: Option<Effect>) -> bool {
        let mut progress = effect == Some(Effect::Progress);
        let (lost, expired) = self.registry.advance(now);
        for id in lost {
            warn!(instance = %id, "lost: connection closed or lease expired");
            self.counters.lost += 1;
        }
        progress |= self.routers.advance(now);
        for Poll { name, host, .. } in self.routers.without_beacon(now) {
            warn!(
                router = name,
                "router polls, but does not request http://{host}{BEACON_PATH}, so no task is confirmed; let it reach the \
                 hub at this address, and see its log for an error in the configuration"
            );
        }
        if !self.is_ready() && self.ready_at.is_some_and(|at| at <= now) {
            self.unready = None;
            info!(instances = self.registry.instances.len(), "ready: warm-up finished");
            progress = true;
        }
        if progress {
            self.registry.confirm(now, &self.routers);
        }
        self.is_outdated |= expired || effect == Some(Effect::Registry);
        self.is_outdated |= progress && self.registry.settle_trials(&self.routers);
        self.is_unpublished |= self.is_outdated || progress || effect.is_some();
        if now < self.rests_until {
            return progress;
        }
        self.renderings += u64::from(self.is_outdated || self.is_unpublished);
        if std::mem::take(&mut self.is_outdated) {
            progress |= self.update_configuration(now);
        }
        if std::mem::take(&mut self.is_unpublished) && self.events.has_subscribers() {
            let (instances, status) = (self.instances(), self.status(now));
            self.events.publish(&instances, &status, &self.registry.journal);
        }
        progress
    }

    /// Renders the configuration. Returns whether the routing of an instance may have changed, other than by a new generation.
    fn update_configuration(&mut self, now: Instant) -> bool {
        if !self.routers.has_sent {
            self.registry.start_over();
        }
        let mut is_new = self.registry.update(&self.routers) || self.generation == 0;
        if let Some(certificates) = self.new_certificates.take() {
            self.options.certificates = certificates;
            is_new = true;
        }
        for (service, warning) in self.registry.new_warnings() {
            warn!(%service, "{warning}");
        }
        self.generation += u64::from(is_new);
        if is_new {
            self.routers.published(now, self.generation);
        }
        let refusals = self.registry.set_generation(now, self.generation);
        let progress = !is_new || !refusals.is_empty();
        for (service, id, reason) in refusals {
            if let Some(reason) = reason {
                warn!(service, instance = %id, "refused: {reason}");
            } else {
                info!(service, instance = %id, "no longer refused");
            }
        }
        progress
    }

    /// Returns the first generation with all changes so far; the latest one if they change nothing in the configuration.
    pub(crate) fn upcoming_generation(&self) -> u64 {
        self.generation + u64::from(self.is_outdated)
    }

    /// Records the address of an instance that registers.
    pub(crate) fn see(&mut self, now: Instant, address: SocketAddr) {
        if self.routers.may_learn(now) {
            self.seen.insert(address);
        } else {
            self.seen = HashSet::new();
        }
    }

    /// Returns the servers, such as `http://10.0.1.2:8080`, that the router on `connection` uses from the hub's predecessor, and
    /// that neither have ever registered nor have `refused` connections.
    pub(crate) fn missing(
        &mut self,
        now: Instant,
        connection: u64,
        refused: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        // Labels may set another port, or the whole URL. A URL contains no quote.
        let in_document: HashSet<_> = self.registry.document.strings().collect();
        let is_known = |server: &str| {
            address_of(server).is_some_and(|address| self.seen.contains(&address))
                || in_document.contains(server)
        };
        self.routers.missing(now, connection, |server| refused.contains(server) || is_known(server))
    }

    /// Returns the time at which [`State::advance`] has something to do without an update.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let ready = self.ready_at.filter(|_| !self.is_ready());
        let rendering = (self.is_outdated || self.is_unpublished).then_some(self.rests_until);
        let times = [self.registry.next_change(), self.routers.next_change(), ready, rendering];
        times.into_iter().flatten().min()
    }

    /// Returns the configuration for clients that are not routers, without secrets; `None` before the end of the warm-up.
    pub(crate) fn public_document(&self) -> Option<Bytes> {
        self.is_ready().then(|| redact_document(&self.registry.document.to_json()).into())
    }

    /// Returns the configuration for the router that polls on `connection`. While nothing changes it is the same, since
    /// Traefik reloads on any difference.
    pub(crate) fn document_for(&self, connection: u64, poll: &Poll) -> Bytes {
        let mut own = Document::default();
        own.add_beacon(&poll.host, &self.beacon_path(connection, self.generation));
        if let Some(address) = poll.api {
            own.add_api(&self.api.user(address));
        }
        if let Some(prefix) = &self.options.page {
            let tls = self.options.page_ca.as_deref().map(|ca| (&*poll.name_of_hub, ca));
            own.add_page(prefix, &poll.host, tls);
        }
        if let Some(Certificate { chain, key }) = &self.options.certificate {
            own.add_default_certificate(chain, key);
        }
        for Certificate { chain, key } in self.options.certificates.values() {
            own.add_certificate(chain, key);
        }
        self.registry.document.to_json_with(&own).into()
    }

    fn beacon_path(&self, connection: u64, generation: u64) -> String {
        let nonce = self.beacon_key.derive("beacon", &format!("{connection}/{generation}"));
        format!("{BEACON_PATH}?connection={connection}&generation={generation}&nonce={nonce}")
    }

    /// Returns whether `nonce` shows that this hub sent a beacon.
    pub(crate) fn is_beacon(&self, connection: u64, generation: u64, nonce: &str) -> bool {
        self.beacon_key.verify("beacon", &format!("{connection}/{generation}"), nonce)
    }

    /// Returns the generation that a router uses according to its report, if this hub sent it on `connection`.
    pub(crate) fn generation_in(&self, report: &Report, connection: u64) -> Option<u64> {
        let path = report.beacon.as_deref()?;
        let (_, generation) = path.split_once("generation=")?;
        let generation = generation.split('&').next()?.parse().ok()?;
        let expected = self.beacon_path(connection, generation);
        constant_time_eq(path.as_bytes(), expected.as_bytes()).then_some(generation)
    }

    /// Records the answer of a router's API, or why there is none. Returns whether to ask again.
    pub(crate) fn reported(
        &mut self,
        now: Instant,
        connection: u64,
        question: &Question,
        answer: Result<(u64, Report), String>,
    ) -> bool {
        match answer {
            Ok((generation, mut report)) => {
                if !report.errors.is_empty() || !report.warnings.is_empty() {
                    let secrets = self.registry.secrets();
                    for text in report.errors.values_mut().chain(report.warnings.values_mut()) {
                        *text = secrets.redact(text);
                    }
                }
                let (messages, again) = self.routers.answered(connection, generation, report);
                for message in messages {
                    warn!(api = %question.address, "Traefik reports {message}");
                }
                again
            }
            Err(cause) => {
                let (is_new, again) = self.routers.failed(now, connection);
                if is_new {
                    warn!(
                        api = %question.address,
                        "reading Traefik's API: {cause}. Until it reports, the hub relies on its own checks"
                    );
                }
                again
            }
        }
    }

    /// Returns the routing state of an instance.
    pub(crate) fn routing(&self, id: &InstanceId) -> Routing {
        self.registry.routing(id, &self.routers)
    }

    /// Fails if the instance is registered, and the client may not replace or withdraw it.
    pub(crate) fn check_owner(&self, identity: &Identity, id: &InstanceId) -> Result<(), Denied> {
        let registration = self.registry.instances.get(id).map(|instance| &instance.registration);
        match registration.filter(|registration| !identity.may_replace(registration)) {
            Some(registration) => Err(Denied::Owned(registration.service.clone())),
            None => Ok(()),
        }
    }

    /// Returns what people should know of the hub itself.
    pub(crate) fn status(&self, now: Instant) -> Status {
        let unix_millis = |at| self.registry.unix_millis(at);
        Status {
            hub: self.id(),
            host: self.options.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: unix_millis(now),
            started: unix_millis(self.started),
            ready: self.is_ready(),
            generation: self.generation,
            routers: self.routers.statuses(self.generation, unix_millis).collect(),
        }
    }

    /// Returns the identity of this run of the hub.
    pub(crate) fn id(&self) -> String {
        self.beacon_key.derive("hub", "")
    }

    /// Returns what the hub knows of a service; `None` if there is no such service.
    pub(crate) fn explain(&self, service: &str) -> Option<Explanation> {
        let (ids, mut explanation) = self.registry.explain(service)?;
        let known = ids.iter().filter_map(|id| self.registry.instances.get_key_value(*id));
        explanation.instances = known.map(|(id, instance)| self.describe(id, instance)).collect();
        let mut names = BTreeSet::new();
        for (protocol, kinds) in explanation.configuration.as_object().into_iter().flatten() {
            for (kind, definitions) in kinds.as_object().into_iter().flatten() {
                let definitions = definitions.as_object().into_iter().flatten();
                names.extend(definitions.map(|(name, _)| format!("{protocol}.{kind}.{name}")));
            }
        }
        explanation.reports = self.routers.reports_on(&names);
        Some(explanation)
    }

    /// Returns all instances, ordered by ID.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        self.instances_after(None).collect()
    }

    /// Returns the instances whose IDs come after `id`, or all of them, ordered by ID.
    pub(crate) fn instances_after(&self, id: Option<&InstanceId>) -> impl Iterator<Item = Instance> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        let instances = self.registry.instances.range::<InstanceId, _>((start, Bound::Unbounded));
        instances.map(|(id, instance)| self.describe(id, instance))
    }

    fn describe(&self, id: &InstanceId, instance: &registry::Instance) -> Instance {
        Instance {
            id: id.clone(),
            registration: instance.public_registration(),
            routing: self.routing(id),
            serving: self.registry.is_serving(id, &self.routers),
            connected: self.registry.is_connected(id),
            stale: instance.stale,
            changed_at: instance.changed_at,
        }
    }
}

/// Returns the address of a server, if it is not a name.
pub(crate) fn address_of(server: &str) -> Option<SocketAddr> {
    let (_, authority) = server.split_once("://").unwrap_or(("", server));
    authority.trim_end_matches('/').parse().ok()
}
