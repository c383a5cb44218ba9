//! Routers that poll, and the generation of the configuration that each one uses. Pure: callers pass the time in.
//!
//! A poll does not tell which configuration the router uses. Each response contains a beacon, a health-checked
//! service whose URL the router requests as soon as it uses the configuration. That request acknowledges the
//! generation, however long it took, and even if the router rejected an earlier document.
//!
//! If the poll tells the port of Traefik's API, that request is only a sign to ask the API. Its report is the
//! acknowledgement, and has the errors of definitions. If the API fails, the router counts as one without an API.
//!
//! A router is identified by its connection. After a reconnect it has to fetch and acknowledge again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::{RouterStatus, Withdrawal};

use crate::explanation::RouterReport;
use crate::rawdata::Report;
use crate::reports::Reports;

/// Time after the request for a beacon at which its configuration counts as used. Traefik starts health checks just
/// before it switches to the new routers.
const SWITCHED_AFTER: Duration = Duration::from_millis(100);
/// Time after the throttle within which a router is expected to request the beacon of its first configuration.
const BEACON_AFTER: Duration = Duration::from_secs(10);
/// Time for which an API is asked that has not answered before, and one that has.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// Time for which a router counts after its connection closed. It may only have timed out.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Time for which a new hub expects a router that has not polled yet. Traefik's backoff starts over after 30 s, so that it
/// pauses for at most 43 s between two polls that fail, each after up to 5 s; meanwhile it routes by its last configuration.
/// With the sidecars' timeout of 30 s this is less than the start period of images, 120 s.
const EXPECTED_FOR: Duration = Duration::from_mins(1);

/// Maximum number of routers that poll or have polled within [`GONE_AFTER`].
const MAX_ROUTERS: usize = 128;

/// Maximum time for which a new hub waits for the servers that a router uses to register.
const LEARN_FOR: Duration = Duration::from_secs(15);

/// The routers that poll, by connection.
#[derive(Debug)]
pub(crate) struct Routers {
    started: Instant,
    polling: BTreeMap<u64, Router>,
    /// Whether a router has got a configuration from this hub.
    pub(crate) has_sent: bool,
    /// Whether a poll without the parameter `api` has been warned of.
    pub(crate) is_missing_api_logged: bool,
    /// Number of changes of reports and acknowledgements.
    revision: u64,
}

/// Parameters of a router's poll.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    /// Name for people.
    pub(crate) name: String,
    /// Minimum time between two configurations that it applies.
    pub(crate) throttle: Duration,
    /// Host and port at which it reached the hub.
    pub(crate) host: String,
    /// Name under which it looked the hub up.
    pub(crate) name_of_hub: String,
    /// Address of its API.
    pub(crate) api: Option<SocketAddr>,
}

/// A question to the API of a router: whether it uses `generation` or a later one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) address: SocketAddr,
    pub(crate) generation: u64,
    /// Time for an answer.
    pub(crate) patience: Duration,
}

#[derive(Debug)]
struct Router {
    poll: Poll,
    /// Generation of the last response.
    last_sent: Option<u64>,
    /// Time by which the first request for a beacon is expected.
    beacon_due: Option<Instant>,
    /// Generations whose beacon was requested, with the time from which each counts as used.
    switching: VecDeque<(u64, Instant)>,
    acknowledged: Option<u64>,
    /// Since when it had all generations but the latest ones, unless it has those too.
    behind_since: Instant,
    gone_at: Option<Instant>,
    api: Api,
    predecessor: Predecessor,
}

/// State of learning a router's configuration from this hub's predecessor. The router keeps that configuration until all of
/// its servers are known.
#[derive(Debug, PartialEq, Eq)]
enum Predecessor {
    /// The router's API is being asked.
    Asked,
    /// Servers that have not registered yet, and the end of the wait for them.
    Uses(BTreeSet<String>, Instant),
    Known,
}

/// State of the API of a router.
#[derive(Debug, Default)]
struct Api {
    /// Newest generation whose beacon was requested.
    beacon: Option<u64>,
    /// Whether it is being asked.
    is_asked: bool,
    /// Whether a beacon was requested meanwhile.
    ask_again: bool,
    /// Whether the last question had no answer.
    has_failed: bool,
    /// Latest answer, with the generation that the router used. It counts until the next one, also while the API fails.
    report: Option<(u64, Report)>,
    /// Errors and warnings that have been returned to be logged.
    logged: BTreeSet<String>,
}

impl Routers {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            polling: BTreeMap::new(),
            has_sent: false,
            is_missing_api_logged: false,
            revision: 0,
        }
    }

    /// Returns whether a router can poll on `connection`. Those that are gone count for a while, unless this one has the same
    /// name and replaces it.
    pub(crate) fn admits(&self, connection: u64, name: &str) -> bool {
        let is_replaced = |router: &Router| router.gone_at.is_some() && router.poll.name == name;
        self.polling.len() < MAX_ROUTERS
            || self.polling.contains_key(&connection)
            || self.polling.values().any(is_replaced)
    }

    /// Records a poll on `connection`. Returns the generation of the last response, which the router now has.
    pub(crate) fn poll(&mut self, now: Instant, connection: u64, poll: &Poll) -> Option<u64> {
        let is_new_hub = now < self.started + EXPECTED_FOR;
        self.revision += u64::from(!self.polling.contains_key(&connection));
        // A router that reconnects under the same name replaces its lost connection.
        let is_replaced = |id: &u64, router: &mut Router| {
            *id != connection && router.gone_at.is_some() && router.poll.name == poll.name
        };
        let replaced = self.polling.extract_if(.., is_replaced).last();
        let router = self.polling.entry(connection).or_insert_with(|| {
            let is_asked = is_new_hub && poll.api.is_some();
            let predecessor = if is_asked { Predecessor::Asked } else { Predecessor::Known };
            let (previous, predecessor) = match replaced {
                Some((_, router)) if router.predecessor == Predecessor::Known => {
                    (router.api, Predecessor::Known)
                }
                Some((_, router)) => (router.api, predecessor),
                None => (Api::default(), predecessor),
            };
            let report = previous.report.filter(|_| poll.api.is_some());
            let api = Api { report, logged: previous.logged, ..Api::default() };
            Router {
                poll: poll.clone(),
                last_sent: None,
                beacon_due: None,
                switching: VecDeque::new(),
                acknowledged: None,
                behind_since: now,
                gone_at: None,
                api,
                predecessor,
            }
        });
        router.last_sent
    }

    /// Returns whether this hub is so new that it may be learning the servers that a router uses.
    pub(crate) fn may_learn(&self, now: Instant) -> bool {
        now < self.started + EXPECTED_FOR + LEARN_FOR
    }

    /// Returns the address of the API that has to be asked for the servers that the router uses, before it gets a response.
    pub(crate) fn predecessor(&self, connection: u64) -> Option<SocketAddr> {
        let router = self.polling.get(&connection)?;
        router.poll.api.filter(|_| router.predecessor == Predecessor::Asked)
    }

    /// Records the servers that a router uses.
    pub(crate) fn learned(&mut self, now: Instant, connection: u64, servers: BTreeSet<String>) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.predecessor = Predecessor::Uses(servers, now + LEARN_FOR);
        }
    }

    /// Returns the servers that a router uses and that are neither `known` now nor were before.
    pub(crate) fn missing(
        &mut self,
        now: Instant,
        connection: u64,
        known: impl Fn(&str) -> bool,
    ) -> BTreeSet<String> {
        let Some(router) = self.polling.get_mut(&connection) else { return BTreeSet::new() };
        let Predecessor::Uses(servers, until) = &mut router.predecessor else { return BTreeSet::new() };
        servers.retain(|server| !known(server));
        if !servers.is_empty() && now < *until {
            return servers.clone();
        }
        router.predecessor = Predecessor::Known;
        BTreeSet::new()
    }

    /// Returns whether the router on `connection` can get a configuration.
    pub(crate) fn is_known(&self, connection: u64) -> bool {
        self.polling.get(&connection).is_some_and(|router| router.predecessor == Predecessor::Known)
    }

    /// Records that there is a new generation.
    pub(crate) fn published(&mut self, now: Instant, generation: u64) {
        for router in
            self.polling.values_mut().filter(|router| router.acknowledged >= generation.checked_sub(1))
        {
            router.behind_since = now;
        }
    }

    /// Describes the routers. They should have `generation`; `unix_millis` converts times.
    pub(crate) fn statuses(
        &self,
        generation: u64,
        unix_millis: impl Fn(Instant) -> u64,
    ) -> impl Iterator<Item = RouterStatus> {
        self.polling.values().map(move |router| RouterStatus {
            name: router.poll.name.clone(),
            connected: router.gone_at.is_none(),
            generation: router.acknowledged,
            behind_since: (router.acknowledged < Some(generation)).then(|| unix_millis(router.behind_since)),
            api: router.api.report.is_some() && !router.api.has_failed,
        })
    }

    /// Returns what each router with an API last reported about definitions whose names, such as `http.routers.ping`, are
    /// among `names`.
    pub(crate) fn reports_on(&self, names: &BTreeSet<String>) -> Vec<RouterReport> {
        let reports =
            self.polling.values().filter_map(|router| Some((router, &router.api.report.as_ref()?.1)));
        let reports = reports.map(|(router, report)| {
            let all = report.errors.iter().chain(&report.warnings);
            let own = all.filter(|(name, _)| names.contains(*name));
            let messages = own.map(|(name, error)| format!("{name}: {error}")).collect();
            RouterReport { router: router.poll.name.clone(), messages }
        });
        reports.filter(|report| !report.messages.is_empty()).collect()
    }

    /// Records the response to a poll on `connection`.
    pub(crate) fn sent(&mut self, now: Instant, connection: u64, generation: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            if router.last_sent.is_none() {
                router.beacon_due = Some(now + router.poll.throttle + BEACON_AFTER);
            }
            router.last_sent = Some(generation);
            self.has_sent = true;
        }
    }

    /// Records a request for the beacon of `generation`. It counts only if that generation was sent on `connection`.
    /// Returns whether the caller has to ask the router's API.
    pub(crate) fn acknowledge(&mut self, now: Instant, connection: u64, generation: u64) -> bool {
        let Some(router) = self.polling.get_mut(&connection) else { return false };
        let api = &mut router.api;
        if Some(generation) > router.last_sent || Some(generation) < api.beacon {
            return false;
        }
        let has_api = router.poll.api.is_some();
        if api.beacon != Some(generation) {
            api.beacon = Some(generation);
            router.beacon_due = None;
            if !has_api || api.has_failed {
                router.switching.push_back((generation, now + SWITCHED_AFTER));
            }
        }
        // A repeated request shows that Traefik applied a change of another provider.
        api.ask_again = has_api && api.is_asked;
        has_api && !std::mem::replace(&mut api.is_asked, has_api)
    }

    /// Returns what to ask the API of the router on `connection`; `None` if it is gone.
    pub(crate) fn question(&mut self, connection: u64) -> Option<Question> {
        let router = self.polling.get_mut(&connection)?;
        router.api.ask_again = false;
        let (address, generation) = (router.poll.api?, router.api.beacon?);
        let patience = PATIENCE[usize::from(router.api.report.is_some() && !router.api.has_failed)];
        Some(Question { address, generation, patience })
    }

    /// Records the answer of an API, if the router uses `generation`. Returns errors and warnings that are new, and whether
    /// the caller has to ask again.
    pub(crate) fn answered(
        &mut self,
        connection: u64,
        generation: u64,
        report: Report,
    ) -> (Vec<String>, bool) {
        let Some(router) =
            self.polling.get_mut(&connection).filter(|router| Some(generation) <= router.last_sent)
        else {
            return (Vec::new(), false);
        };
        self.revision += 1;
        router.acknowledged = router.acknowledged.max(Some(generation));
        router.switching.retain(|(switching, _)| *switching > generation);
        let api = &mut router.api;
        let messages = report.errors.iter().chain(&report.warnings);
        let messages: BTreeSet<_> = messages.map(|(name, error)| format!("{name}: {error}")).collect();
        let new = messages.difference(&api.logged).cloned().collect();
        api.logged = messages;
        api.has_failed = false;
        api.report = Some((generation, report));
        api.is_asked = api.ask_again;
        (new, api.ask_again)
    }

    /// Records that the API of a router did not answer a question. Returns whether that is new, and whether the caller has
    /// to ask again.
    pub(crate) fn failed(&mut self, now: Instant, connection: u64) -> (bool, bool) {
        let Some(router) = self.polling.get_mut(&connection) else { return (false, false) };
        let api = &mut router.api;
        if let Some(generation) = api.beacon.filter(|beacon| router.acknowledged < Some(*beacon)) {
            router.switching.push_back((generation, now + SWITCHED_AFTER));
        }
        api.is_asked = api.ask_again;
        let is_new = !std::mem::replace(&mut api.has_failed, true);
        self.revision += u64::from(is_new);
        (is_new, api.ask_again)
    }

    /// Records that `connection` closed.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.gone_at = Some(now + GONE_AFTER);
        }
    }

    /// Moves all expiries by `gap`, in which the hub did not run.
    pub(crate) fn postpone(&mut self, gap: Duration) {
        self.started += gap;
        let times =
            self.polling.values_mut().flat_map(|router| [&mut router.gone_at, &mut router.beacon_due]);
        times.flatten().for_each(|time| *time += gap);
    }

    /// Acknowledges configurations that count as used by `now`, and removes routers that are gone. Returns whether
    /// anything changed.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        let mut changed = false;
        self.polling.retain(|_, router| {
            while let Some((generation, _)) = router.switching.pop_front_if(|(_, at)| *at <= now) {
                router.acknowledged = Some(generation);
                changed = true;
            }
            let stays = router.gone_at.is_none_or(|at| at > now);
            changed |= !stays;
            stays
        });
        self.revision += u64::from(changed);
        changed
    }

    /// Returns the routers that have not requested any beacon in time. Each is returned once.
    pub(crate) fn without_beacon(&mut self, now: Instant) -> Vec<Poll> {
        let routers = self.polling.values_mut();
        routers
            .filter_map(|router| router.beacon_due.take_if(|at| *at <= now).map(|_| router.poll.clone()))
            .collect()
    }

    /// Returns the time of the next change by [`Routers::advance`].
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let times = |router: &Router| {
            [router.switching.front().map(|(_, at)| *at), router.gone_at, router.beacon_due]
                .into_iter()
                .flatten()
                .min()
        };
        self.polling.values().filter_map(times).min()
    }

    /// Returns the names of the routers that use `generation` or a later one, and of those that do not yet.
    pub(crate) fn confirmation(&self, generation: u64) -> Withdrawal {
        let uses = |router: &&Router| router.acknowledged >= Some(generation);
        let (confirmed, pending): (Vec<_>, Vec<_>) = self.polling.values().partition(uses);
        let names =
            |routers: Vec<&Router>| routers.into_iter().map(|router| router.poll.name.clone()).collect();
        Withdrawal { confirmed: names(confirmed), pending: names(pending), expects_router: false }
    }

    /// Returns whether there may be a router that has not polled this hub yet.
    pub(crate) fn expects_more(&self, now: Instant) -> bool {
        self.polling.is_empty() && now < self.started + EXPECTED_FOR
    }

    /// Returns the names of the routers that have to acknowledge a configuration.
    pub(crate) fn names(&self) -> Vec<String> {
        self.polling.values().map(|router| router.poll.name.clone()).collect()
    }

    /// Number of routers that poll.
    pub(crate) fn len(&self) -> usize {
        self.polling.values().filter(|router| router.gone_at.is_none()).count()
    }
}

impl Reports for Routers {
    fn can_try(&self) -> bool {
        // Without routers nothing is lost by waiting for one: after a restart of the hub, or of Traefik, it polls again.
        let reports = |router: &Router| router.poll.api.is_some() && !router.api.has_failed;
        self.polling.is_empty() || self.polling.values().any(reports)
    }

    fn is_confirmed(&self, generation: u64) -> bool {
        let mut acknowledged = self.polling.values().map(|router| router.acknowledged);
        !self.polling.is_empty() && acknowledged.all(|latest| latest >= Some(generation))
    }

    fn error(&self, since: u64, protocol: &str, kind: &str, name: &str) -> Option<String> {
        let reports = self.polling.values().filter_map(|router| router.api.report.as_ref());
        let current =
            reports.filter(|(generation, report)| *generation >= since && !report.errors.is_empty());
        let mut current = current.peekable();
        current.peek()?;
        let name = format!("{protocol}.{kind}.{name}");
        current.find_map(|(_, report)| report.errors.get(&name).cloned())
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(routers: &mut Routers, connection: u64) -> Option<u64> {
        let throttle = Duration::from_millis(100);
        let host = "10.0.1.2:8080".to_owned();
        let now = routers.started;
        routers.poll(
            now,
            connection,
            &Poll { name: "traefik".to_owned(), throttle, host, name_of_hub: String::new(), api: None },
        )
    }

    /// Has a router with an API poll on `connection`, and request the beacon of generation 1.
    fn with_api(routers: &mut Routers, now: Instant, connection: u64) {
        let api = Some(([10, 0, 1, 3], 8080).into());
        let name = format!("traefik.{connection}");
        routers.poll(
            now,
            connection,
            &Poll { name, throttle: Duration::ZERO, host: String::new(), name_of_hub: String::new(), api },
        );
        routers.sent(now, connection, 1);
        assert!(routers.acknowledge(now, connection, 1), "its API has to be asked");
    }

    fn report(errors: &[(&str, &str)]) -> Report {
        let errors = errors.iter().map(|(name, error)| ((*name).to_owned(), (*error).to_owned())).collect();
        Report { errors, ..Report::default() }
    }

    fn is_confirmed(routers: &mut Routers, now: Instant, generation: u64) -> bool {
        routers.advance(now);
        routers.is_confirmed(generation)
    }

    #[test]
    fn generation_is_used_shortly_after_the_request_for_its_beacon() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert_eq!(poll(&mut routers, 1), None);
        routers.sent(now, 1, 7);
        assert_eq!(poll(&mut routers, 1), Some(7));
        assert!(!is_confirmed(&mut routers, now + GONE_AFTER, 7), "a response is not an acknowledgement");
        routers.acknowledge(now, 1, 7);
        assert_eq!(routers.next_change(), Some(now + SWITCHED_AFTER));
        assert!(!is_confirmed(&mut routers, now, 7), "Traefik may not have switched yet");
        assert!(is_confirmed(&mut routers, now + SWITCHED_AFTER, 7));
        assert!(!routers.is_confirmed(8));
        assert_eq!(routers.next_change(), None);
    }

    #[test]
    fn only_generations_that_were_sent_on_the_connection_can_be_acknowledged() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        poll(&mut routers, 1);
        routers.acknowledge(now, 1, 1);
        assert!(!is_confirmed(&mut routers, now + SWITCHED_AFTER, 1));
        routers.sent(now, 1, 7);
        routers.acknowledge(now, 1, 8);
        routers.acknowledge(now, 2, 7);
        assert!(!is_confirmed(&mut routers, now + SWITCHED_AFTER, 7));
        routers.acknowledge(now, 1, 7);
        routers.acknowledge(now + SWITCHED_AFTER, 1, 6);
        assert!(is_confirmed(&mut routers, now + SWITCHED_AFTER, 7), "an older generation changes nothing");
    }

    #[test]
    fn confirmation_needs_every_router() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            poll(&mut routers, connection);
            routers.sent(now, connection, 1);
        }
        routers.acknowledge(now, 1, 1);
        assert!(!is_confirmed(&mut routers, now + SWITCHED_AFTER, 1));
        routers.disconnected(now, 2);
        assert!(!is_confirmed(&mut routers, now + SWITCHED_AFTER, 1), "it may have timed out and may return");
        assert!(is_confirmed(&mut routers, now + GONE_AFTER, 1), "it is gone");
    }

    #[test]
    fn lost_router_counts_longer_if_the_hub_did_not_run() {
        let (now, gap) = (Instant::now(), Duration::from_secs(10));
        let mut routers = Routers::new(now);
        poll(&mut routers, 1);
        routers.disconnected(now, 1);
        routers.postpone(gap);
        routers.advance(now + gap);
        assert!(!routers.polling.is_empty());
        routers.advance(now + gap + GONE_AFTER);
        assert!(routers.polling.is_empty());
    }

    #[test]
    fn router_on_a_new_connection_has_to_fetch_again() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        poll(&mut routers, 1);
        routers.sent(now, 1, 1);
        routers.acknowledge(now, 1, 1);
        routers.disconnected(now, 1);
        assert_eq!(poll(&mut routers, 2), None);
        assert!(!is_confirmed(&mut routers, now + SWITCHED_AFTER, 1));
        assert_eq!(routers.len(), 1);
        routers.sent(now, 2, 1);
        routers.acknowledge(now, 2, 1);
        assert!(is_confirmed(&mut routers, now + SWITCHED_AFTER, 1), "the old connection no longer counts");
    }

    #[test]
    fn router_that_requests_no_beacon_is_reported_once() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            poll(&mut routers, connection);
            routers.sent(now, connection, 1);
        }
        routers.acknowledge(now, 2, 1);
        routers.sent(now, 2, 2);
        assert!(routers.without_beacon(now + BEACON_AFTER).is_empty(), "its throttle may delay the request");
        assert_eq!(routers.without_beacon(now + BEACON_AFTER * 2).len(), 1);
        assert!(routers.without_beacon(now + BEACON_AFTER * 3).is_empty());
    }

    #[test]
    fn new_hub_expects_a_router_that_has_not_polled_yet() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert!(routers.expects_more(now));
        assert!(routers.expects_more(now) && routers.names().is_empty());
        assert!(!routers.expects_more(now + EXPECTED_FOR));
        assert!(!routers.expects_more(now + EXPECTED_FOR));
        assert!(!routers.is_confirmed(1));
        poll(&mut routers, 1);
        assert!(!routers.expects_more(now));
    }

    #[test]
    fn report_of_the_api_confirms_a_generation_and_has_the_errors() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        with_api(&mut routers, now, 1);
        assert!(!is_confirmed(&mut routers, now + BEACON_AFTER, 1), "the API counts");
        assert_eq!(routers.question(1).unwrap().generation, 1);
        let (new, again) = routers.answered(1, 1, report(&[("http.routers.ping", "no entry point")]));
        assert_eq!((new, again), (vec!["http.routers.ping: no entry point".to_owned()], false));
        assert!(routers.can_try() && routers.is_confirmed(1));
        assert_eq!(routers.error(1, "http", "routers", "ping").unwrap(), "no entry point");
        assert_eq!(routers.error(1, "http", "services", "ping"), None);

        assert!(routers.acknowledge(now, 1, 1), "Traefik reloaded, so the API is asked again");
        assert!(!routers.acknowledge(now, 1, 1), "one question at a time");
        let known = report(&[("http.routers.ping", "no entry point")]);
        assert_eq!(routers.answered(1, 1, known), (vec![], true), "the error is logged once");
        assert_eq!(routers.question(1).unwrap().patience, PATIENCE[1]);
        assert_eq!(routers.answered(1, 1, Report::default()), (vec![], false));
        assert_eq!(routers.error(1, "http", "routers", "ping"), None);
    }

    #[test]
    fn beacon_counts_while_the_api_fails() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        with_api(&mut routers, now, 1);
        assert_eq!(routers.failed(now, 1), (true, false));
        assert!(is_confirmed(&mut routers, now + SWITCHED_AFTER, 1));
        routers.sent(now, 1, 2);
        assert!(routers.acknowledge(now, 1, 2), "the API may have recovered");
        assert!(is_confirmed(&mut routers, now + SWITCHED_AFTER, 2), "but the router does not wait for it");
        assert_eq!(routers.failed(now, 1), (false, false), "logged once");
        assert!(!routers.can_try());
    }

    #[test]
    fn last_report_counts_while_the_api_fails_but_not_for_later_definitions() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            with_api(&mut routers, now, connection);
        }
        routers.answered(1, 1, report(&[("http.routers.ping", "no x@file")]));
        routers.answered(2, 1, Report::default());
        routers.failed(now, 1);
        assert!(routers.error(1, "http", "routers", "ping").is_some());
        assert_eq!(routers.error(2, "http", "routers", "ping"), None);
        assert_eq!(routers.question(1).unwrap().patience, PATIENCE[0]);
        routers.disconnected(now, 1);
        let mut poll = routers.polling[&1].poll.clone();
        routers.poll(now, 3, &poll);
        assert!(routers.error(1, "http", "routers", "ping").is_some(), "it may report again");
        routers.disconnected(now, 3);
        poll.api = None;
        routers.poll(now, 4, &poll);
        assert_eq!(routers.error(1, "http", "routers", "ping"), None, "it does not report any more");
    }

    #[test]
    fn revision_changes_with_each_report_acknowledgement_and_router() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        let mut last = routers.revision();
        let mut changes = |routers: &Routers| std::mem::replace(&mut last, routers.revision()) != last;
        with_api(&mut routers, now, 1);
        assert!(changes(&routers), "a router polls");
        with_api(&mut routers, now, 2);
        assert!(changes(&routers), "another one");
        routers.answered(1, 1, Report::default());
        assert!(changes(&routers), "a report");
        routers.failed(now, 2);
        assert!(changes(&routers), "no report");
        routers.advance(now);
        assert!(!changes(&routers), "nothing happened");
        routers.advance(now + SWITCHED_AFTER);
        assert!(changes(&routers), "an acknowledgement");
        routers.disconnected(now, 1);
        routers.advance(now + GONE_AFTER);
        assert!(changes(&routers), "a router is gone");
    }

    #[test]
    fn definitions_are_tried_unless_all_routers_are_known_to_report_nothing() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert!(routers.can_try(), "Traefik has not polled the new hub yet");
        with_api(&mut routers, now, 1);
        assert!(routers.can_try(), "it has not reported yet");
        routers.disconnected(now, 1);
        routers.advance(now + GONE_AFTER);
        assert!(routers.can_try(), "Traefik starts again");
        poll(&mut routers, 2);
        assert!(!routers.can_try(), "it has no API");
    }

    #[test]
    fn every_router_has_to_report() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            with_api(&mut routers, now, connection);
        }
        routers.answered(1, 1, Report::default());
        assert!(!is_confirmed(&mut routers, now + BEACON_AFTER, 1));
        routers.answered(2, 1, report(&[("http.routers.ping", "no x@file")]));
        assert!(routers.is_confirmed(1));
        assert!(routers.error(1, "http", "routers", "ping").is_some(), "an error of any router counts");
    }

    #[test]
    fn errors_outlast_a_new_connection() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        with_api(&mut routers, now, 1);
        routers.answered(1, 1, report(&[("http.routers.ping", "no x@file")]));
        routers.disconnected(now, 1);
        let poll = routers.polling[&1].poll.clone();
        assert_eq!(routers.poll(now, 2, &poll), None);
        assert!(routers.error(1, "http", "routers", "ping").is_some() && !routers.is_confirmed(1));
    }

    #[test]
    fn router_of_a_new_hub_gets_a_response_once_its_servers_are_known() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert!(!routers.is_known(1));
        poll(&mut routers, 9);
        assert!(routers.is_known(9), "it has no API");
        with_api(&mut routers, now, 1);
        assert!(routers.predecessor(1).is_some() && !routers.is_known(1));
        let servers = ["http://10.0.1.2:80", "http://10.0.1.3:80"].map(str::to_owned);
        routers.learned(now, 1, servers.clone().into());
        assert_eq!(routers.missing(now, 1, |server| *server == servers[0]), [servers[1].clone()].into());
        assert!(!routers.is_known(1));
        assert!(
            routers.missing(now, 1, |server| *server == servers[1]).is_empty(),
            "the first one was known before"
        );
        assert!(routers.is_known(1));

        with_api(&mut routers, now, 2);
        routers.learned(now, 2, servers.clone().into());
        assert_eq!(routers.missing(now, 2, |_| false).len(), 2);
        assert!(routers.missing(now + LEARN_FOR, 2, |_| false).is_empty(), "the wait has an end");
        with_api(&mut routers, now + EXPECTED_FOR, 3);
        assert!(routers.is_known(3), "the hub is not new");
    }

    #[test]
    fn router_is_behind_since_the_first_generation_that_it_lacks() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        poll(&mut routers, 1);
        let behind = |routers: &Routers, generation| {
            routers.statuses(generation, |at| (at - now).as_secs()).next().unwrap().behind_since
        };
        let after = |seconds| now + Duration::from_secs(seconds);
        routers.published(after(1), 1);
        assert_eq!(behind(&routers, 1), Some(0), "since its first poll");
        routers.sent(after(1), 1, 1);
        routers.acknowledge(after(2), 1, 1);
        routers.advance(after(3));
        assert_eq!(behind(&routers, 1), None);
        routers.published(after(5), 2);
        routers.published(after(7), 3);
        assert_eq!(behind(&routers, 3), Some(5));
    }
}
