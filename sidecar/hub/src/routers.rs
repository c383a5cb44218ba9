//! Routers that poll, and the generation of the configuration that each one uses. Pure: callers pass the time in.
//!
//! A poll does not tell which configuration the router uses. Each response contains a beacon, a health-checked
//! service whose URL the router requests as soon as it uses the configuration. That request acknowledges the
//! generation, however long it took, and even if the router rejected an earlier document. If the hub does not know a
//! URL at which the router reaches it, there is no beacon. Then the next poll on the same connection shows that the
//! previous response arrived, and the router is assumed to use it some time after its throttle.
//!
//! A router is identified by its connection. After a reconnect it has to fetch and acknowledge again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::Withdrawal;

/// Time after the throttle at which a router without a beacon is assumed to use a configuration.
const ASSUMED_AFTER: Duration = Duration::from_secs(3);
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

#[derive(Debug, Default)]
struct Router {
    name: String,
    /// Generation of the last response.
    last_sent: Option<u64>,
    /// Whether that response had a beacon.
    has_beacon: bool,
    /// Generations that arrived without a beacon, with the time from which each is assumed to be in use.
    arrived: VecDeque<(u64, Instant)>,
    acknowledged: Option<u64>,
    gone_at: Option<Instant>,
}

impl Routers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, polling: BTreeMap::new() }
    }

    /// Records a poll on `connection`. Returns the generation of the last response, which the router now has.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        connection: u64,
        name: &str,
        throttle: Duration,
    ) -> Option<u64> {
        // A router that reconnects under the same name replaces its lost connection.
        self.polling
            .retain(|id, router| *id == connection || router.gone_at.is_none() || router.name != name);
        let router = self.polling.entry(connection);
        let router = router.or_insert_with(|| Router { name: name.to_owned(), ..Router::default() });
        let newest = router.arrived.back().map(|(generation, _)| *generation).or(router.acknowledged);
        let is_new = |sent: &u64| !router.has_beacon && Some(*sent) > newest;
        if let Some(generation) = router.last_sent.filter(is_new) {
            router.arrived.push_back((generation, now + throttle + ASSUMED_AFTER));
        }
        router.last_sent
    }

    /// Records the response to a poll on `connection`.
    pub(crate) fn sent(&mut self, connection: u64, generation: u64, has_beacon: bool) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.last_sent = Some(generation);
            router.has_beacon = has_beacon;
        }
    }

    /// Records a request for the beacon of `generation`. Returns whether it is the newest one so far.
    pub(crate) fn acknowledge(&mut self, connection: u64, generation: u64) -> bool {
        let Some(router) = self.polling.get_mut(&connection) else { return false };
        if router.acknowledged >= Some(generation) {
            return false;
        }
        router.acknowledged = Some(generation);
        router.arrived.retain(|(arrived, _)| *arrived > generation);
        true
    }

    /// Records that `connection` closed.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.gone_at = Some(now + GONE_AFTER);
        }
    }

    /// Acknowledges configurations that are assumed to be in use by `now`, and removes routers that are gone. Returns
    /// whether anything changed.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        let mut changed = false;
        self.polling.retain(|_, router| {
            while let Some((generation, _)) = router.arrived.pop_front_if(|(_, at)| *at <= now) {
                router.acknowledged = Some(generation);
                changed = true;
            }
            let stays = router.gone_at.is_none_or(|at| at > now);
            changed |= !stays;
            stays
        });
        changed
    }

    /// Returns the time of the next change by [`Routers::advance`].
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let in_use = self.polling.values().filter_map(|router| router.arrived.front().map(|(_, at)| *at));
        in_use.chain(self.polling.values().filter_map(|router| router.gone_at)).min()
    }

    /// Returns the names of the routers that use `generation` or a later one, and of those that do not yet.
    pub(crate) fn confirmation(&self, generation: u64) -> Withdrawal {
        let uses = |router: &&Router| router.acknowledged >= Some(generation);
        let (confirmed, pending): (Vec<_>, Vec<_>) = self.polling.values().partition(uses);
        let names = |routers: Vec<&Router>| routers.into_iter().map(|router| router.name.clone()).collect();
        Withdrawal { confirmed: names(confirmed), pending: names(pending) }
    }

    /// Returns whether there are routers and all of them use `generation` or a later one.
    pub(crate) fn is_confirmed(&self, generation: u64) -> bool {
        let mut acknowledged = self.polling.values().map(|router| router.acknowledged);
        !self.polling.is_empty() && acknowledged.all(|latest| latest >= Some(generation))
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

#[cfg(test)]
mod tests {
    use super::*;

    const THROTTLE: Duration = Duration::from_millis(100);
    const SETTLED: Duration = Duration::from_millis(3100);

    fn complete(routers: &mut Routers, now: Instant, generation: u64) -> bool {
        routers.advance(now);
        routers.is_confirmed(generation)
    }

    #[test]
    fn request_for_the_beacon_acknowledges_its_generation() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.sent(1, 7, true);
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!complete(&mut routers, now + SETTLED, 7), "an arrived response is not an acknowledgement");
        assert!(routers.acknowledge(1, 7));
        assert!(complete(&mut routers, now, 7));
        assert!(!complete(&mut routers, now, 8));
        assert!(!routers.acknowledge(1, 6), "an older generation changes nothing");
        assert!(complete(&mut routers, now, 7));
        assert!(!routers.acknowledge(2, 9), "no router polls on that connection");
        routers.poll(now, 1, "traefik", THROTTLE);
        assert_eq!(routers.next_change(), None, "nothing is left to assume");
    }

    #[test]
    fn without_a_beacon_a_generation_counts_after_the_next_poll_and_the_throttle() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert_eq!(routers.poll(now, 1, "traefik", THROTTLE), None);
        routers.sent(1, 7, false);
        assert!(!complete(&mut routers, now + SETTLED, 7), "a response that was sent may not have arrived");
        assert_eq!(routers.poll(now, 1, "traefik", THROTTLE), Some(7));
        assert!(!complete(&mut routers, now + THROTTLE, 7));
        assert_eq!(routers.next_change(), Some(now + SETTLED));
        assert!(complete(&mut routers, now + SETTLED, 7));
        assert!(!complete(&mut routers, now + SETTLED, 8));
    }

    #[test]
    fn repeated_response_does_not_delay_the_confirmation() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.sent(1, 1, false);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.sent(1, 1, false);
        routers.poll(now + THROTTLE, 1, "traefik", THROTTLE);
        assert!(complete(&mut routers, now + SETTLED, 1));
    }

    #[test]
    fn confirmation_needs_every_router() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            routers.poll(now, connection, "traefik", THROTTLE);
            routers.sent(connection, 1, false);
        }
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!complete(&mut routers, now + SETTLED, 1));
        routers.disconnected(now, 2);
        assert!(!complete(&mut routers, now + SETTLED, 1), "it may have timed out and may return");
        assert!(complete(&mut routers, now + GONE_AFTER, 1), "it is gone");
    }

    #[test]
    fn router_on_a_new_connection_has_to_fetch_again() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.sent(1, 1, false);
        routers.disconnected(now, 1);
        assert_eq!(routers.poll(now, 2, "traefik", THROTTLE), None);
        assert!(!complete(&mut routers, now + SETTLED, 1));
        assert_eq!(routers.len(), 1);
        routers.sent(2, 1, false);
        routers.poll(now, 2, "traefik", THROTTLE);
        assert!(complete(&mut routers, now + SETTLED, 1), "the old connection no longer counts");
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
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!routers.expects_more(now));
    }
}
