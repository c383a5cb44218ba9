//! Routers that poll, and the generation of the configuration that each one uses. Pure: callers pass the time in.
//!
//! A poll does not tell which configuration the router uses. Each response contains a beacon, a health-checked
//! service whose URL the router requests as soon as it uses the configuration. That request acknowledges the
//! generation, however long it took, and even if the router rejected an earlier document.
//!
//! A router is identified by its connection. After a reconnect it has to fetch and acknowledge again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::Withdrawal;

use crate::reports::Reports;

/// Time after the request for a beacon at which its configuration counts as used. Traefik starts health checks just
/// before it switches to the new routers.
const SWITCHED_AFTER: Duration = Duration::from_millis(100);
/// Time after the throttle within which a router is expected to request the beacon of its first configuration.
const BEACON_AFTER: Duration = Duration::from_secs(10);
/// Time for which a router counts after its connection closed. It may only have timed out.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Time for which a new hub expects a router that has not polled yet. Traefik retries with a backoff of up to a
/// minute, and meanwhile routes by its last configuration.
const EXPECTED_FOR: Duration = Duration::from_mins(1);

/// The routers that poll, by connection.
#[derive(Debug)]
pub(crate) struct Routers {
    started: Instant,
    polling: BTreeMap<u64, Router>,
}

/// What a router says about itself in a poll.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    /// Name for people.
    pub(crate) name: String,
    /// Minimum time between two configurations that it applies.
    pub(crate) throttle: Duration,
    /// Host and port at which it reached the hub.
    pub(crate) host: String,
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
    gone_at: Option<Instant>,
}

impl Routers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, polling: BTreeMap::new() }
    }

    /// Records a poll on `connection`. Returns the generation of the last response, which the router now has.
    pub(crate) fn poll(&mut self, connection: u64, poll: &Poll) -> Option<u64> {
        // A router that reconnects under the same name replaces its lost connection.
        self.polling.retain(|id, router| {
            *id == connection || router.gone_at.is_none() || router.poll.name != poll.name
        });
        let router = self.polling.entry(connection).or_insert_with(|| Router {
            poll: poll.clone(),
            last_sent: None,
            beacon_due: None,
            switching: VecDeque::new(),
            acknowledged: None,
            gone_at: None,
        });
        router.last_sent
    }

    /// Records the response to a poll on `connection`.
    pub(crate) fn sent(&mut self, now: Instant, connection: u64, generation: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            if router.last_sent.is_none() {
                router.beacon_due = Some(now + router.poll.throttle + BEACON_AFTER);
            }
            router.last_sent = Some(generation);
        }
    }

    /// Records a request for the beacon of `generation`. It counts only if that generation was sent on `connection`.
    pub(crate) fn acknowledge(&mut self, now: Instant, connection: u64, generation: u64) {
        let Some(router) = self.polling.get_mut(&connection) else { return };
        let newest = router.switching.back().map(|(generation, _)| *generation).or(router.acknowledged);
        if newest < Some(generation) && Some(generation) <= router.last_sent {
            router.switching.push_back((generation, now + SWITCHED_AFTER));
            router.beacon_due = None;
        }
    }

    /// Records that `connection` closed.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.gone_at = Some(now + GONE_AFTER);
        }
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
        Withdrawal { confirmed: names(confirmed), pending: names(pending) }
    }

    /// Returns whether there may be a router that has not polled this hub yet.
    pub(crate) fn expects_more(&self, now: Instant) -> bool {
        self.polling.is_empty() && now < self.started + EXPECTED_FOR
    }

    /// Number of routers that have to acknowledge a configuration, including one that has not polled this hub yet.
    pub(crate) fn expected(&self, now: Instant) -> usize {
        if self.expects_more(now) { 1 } else { self.polling.len() }
    }

    /// Number of routers that poll.
    pub(crate) fn len(&self) -> usize {
        self.polling.values().filter(|router| router.gone_at.is_none()).count()
    }
}

impl Reports for Routers {
    fn can_try(&self) -> bool {
        false
    }

    fn is_confirmed(&self, generation: u64) -> bool {
        let mut acknowledged = self.polling.values().map(|router| router.acknowledged);
        !self.polling.is_empty() && acknowledged.all(|latest| latest >= Some(generation))
    }

    fn error(&self, _protocol: &str, _kind: &str, _name: &str) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(routers: &mut Routers, connection: u64) -> Option<u64> {
        let throttle = Duration::from_millis(100);
        let poll = Poll { name: "traefik".to_owned(), throttle, host: "10.0.1.2:8080".to_owned() };
        routers.poll(connection, &poll)
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
        assert_eq!(routers.expected(now), 1);
        assert!(!routers.expects_more(now + EXPECTED_FOR));
        assert_eq!(routers.expected(now + EXPECTED_FOR), 0);
        assert!(!routers.is_confirmed(1));
        poll(&mut routers, 1);
        assert!(!routers.expects_more(now));
    }
}
