//! Which router has which generation of the configuration in use. Pure: time is passed in.
//!
//! A router that polls says nothing of what it holds. But each answer has a beacon in it, that the router asks for as
//! soon as it has the configuration in use: that proves it, however long the router has taken, and whether it has
//! taken offence at the document. Where it is not known how the router reaches the hub there is no beacon, and only a
//! second best: its next poll on the same connection means that it has read the answer before, and after its throttle
//! and some time more it should have it in use.
//!
//! A router is known by its connection. One that comes back on another one has to fetch and to prove anew.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A router without a beacon is believed to have a configuration in use that long after its throttle.
const UNPROVEN: Duration = Duration::from_secs(3);
/// A router whose connection broke is waited for that long before it counts as gone: it may only have timed out.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// A hub that no router has polled yet expects one for that long: Traefik retries a hub that was away with a back-off
/// of at most a minute, and goes on routing what it had.
const EXPECTED_FOR: Duration = Duration::from_mins(1);

/// The routers that poll, by connection.
#[derive(Debug)]
pub(crate) struct Routers {
    started: Instant,
    polling: BTreeMap<u64, Router>,
}

#[derive(Debug)]
struct Router {
    name: String,
    throttle: Duration,
    /// The generation of the last answer.
    given: Option<u64>,
    /// Whether that answer had a beacon.
    provable: bool,
    /// Generations that have arrived, and when each is believed to be in use without a proof.
    arrived: VecDeque<(u64, Instant)>,
    in_use: Option<u64>,
    gone_at: Option<Instant>,
}

/// How far a generation has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// Names of the routers that have it in use.
    pub(crate) confirmed: Vec<String>,
    /// Names of those that do not yet.
    pub(crate) pending: Vec<String>,
}

impl Routers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, polling: BTreeMap::new() }
    }

    /// A router polls on `connection`. Returns the generation that it got last there, and so has now.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        connection: u64,
        name: &str,
        throttle: Duration,
    ) -> Option<u64> {
        // Whoever comes back on a new connection under its name is no longer missed on the old one.
        self.polling
            .retain(|id, router| *id == connection || router.gone_at.is_none() || router.name != name);
        let router = self.polling.entry(connection).or_insert_with(|| Router {
            name: name.to_owned(),
            throttle,
            given: None,
            provable: false,
            arrived: VecDeque::new(),
            in_use: None,
            gone_at: None,
        });
        router.throttle = throttle;
        let newest = router.arrived.back().map(|(generation, _)| *generation).or(router.in_use);
        if let Some(generation) =
            router.given.filter(|given| !router.provable && newest.is_none_or(|newest| *given > newest))
        {
            router.arrived.push_back((generation, now + throttle + UNPROVEN));
        }
        router.given
    }

    /// The poll on `connection` is answered with `generation`, and with a beacon if that is `provable`.
    pub(crate) fn answered(&mut self, connection: u64, generation: u64, provable: bool) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.given = Some(generation);
            router.provable = provable;
        }
    }

    /// The router that polls on `connection` has asked for the beacon of `generation`. Tells whether that is news.
    pub(crate) fn proven(&mut self, connection: u64, generation: u64) -> bool {
        let Some(router) = self.polling.get_mut(&connection) else { return false };
        if router.in_use.is_some_and(|in_use| in_use >= generation) {
            return false;
        }
        router.in_use = Some(generation);
        router.arrived.retain(|(arrived, _)| *arrived > generation);
        true
    }

    /// `connection` has closed.
    pub(crate) fn disconnected(&mut self, now: Instant, connection: u64) {
        if let Some(router) = self.polling.get_mut(&connection) {
            router.gone_at = Some(now + GONE_AFTER);
        }
    }

    /// Lets time pass: configurations come into use, routers that left are forgotten. Tells whether anything changed.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        let mut changed = false;
        self.polling.retain(|_, router| {
            while let Some((generation, _)) = router.arrived.pop_front_if(|(_, at)| *at <= now) {
                router.in_use = Some(generation);
                changed = true;
            }
            let stays = router.gone_at.is_none_or(|at| at > now);
            changed |= !stays;
            stays
        });
        changed
    }

    /// When [`Routers::advance`] will next have something to do.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        let in_use = self.polling.values().filter_map(|router| router.arrived.front().map(|(_, at)| *at));
        in_use.chain(self.polling.values().filter_map(|router| router.gone_at)).min()
    }

    /// How far `generation` has got.
    pub(crate) fn confirmation(&self, generation: u64) -> Confirmation {
        let mut confirmation = Confirmation::default();
        for router in self.polling.values() {
            let list = if router.in_use.is_some_and(|in_use| in_use >= generation) {
                &mut confirmation.confirmed
            } else {
                &mut confirmation.pending
            };
            list.push(router.name.clone());
        }
        confirmation
    }

    /// Whether a router may be out there that has not polled this hub yet.
    pub(crate) fn expects_more(&self, now: Instant) -> bool {
        self.polling.is_empty() && now < self.started + EXPECTED_FOR
    }

    /// How many poll.
    pub(crate) fn len(&self) -> usize {
        self.polling.values().filter(|router| router.gone_at.is_none()).count()
    }
}

impl Confirmation {
    /// Whether there is a router and every one has it in use.
    pub(crate) fn is_complete(&self) -> bool {
        self.pending.is_empty() && !self.confirmed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROTTLE: Duration = Duration::from_millis(100);
    const SETTLED: Duration = Duration::from_millis(3100);

    fn complete(routers: &mut Routers, now: Instant, generation: u64) -> bool {
        routers.advance(now);
        routers.confirmation(generation).is_complete()
    }

    #[test]
    fn a_generation_is_confirmed_by_its_beacon() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.answered(1, 7, true);
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!complete(&mut routers, now + SETTLED, 7), "that it has read the answer is no proof");
        assert!(routers.proven(1, 7));
        assert!(complete(&mut routers, now, 7));
        assert!(!complete(&mut routers, now, 8));
        assert!(!routers.proven(1, 6), "an older one is no news");
        assert!(complete(&mut routers, now, 7));
        assert!(!routers.proven(2, 9), "nobody polls there");
        routers.poll(now, 1, "traefik", THROTTLE);
        assert_eq!(routers.next_change(), None, "there is nothing left to believe");
    }

    #[test]
    fn without_a_beacon_a_generation_is_believed_after_the_next_poll_and_the_throttle() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert_eq!(routers.poll(now, 1, "traefik", THROTTLE), None);
        routers.answered(1, 7, false);
        assert!(!complete(&mut routers, now + SETTLED, 7), "an answer that was sent may never have arrived");
        assert_eq!(routers.poll(now, 1, "traefik", THROTTLE), Some(7));
        assert!(!complete(&mut routers, now + THROTTLE, 7));
        assert_eq!(routers.next_change(), Some(now + SETTLED));
        assert!(complete(&mut routers, now + SETTLED, 7));
        assert!(!complete(&mut routers, now + SETTLED, 8));
    }

    #[test]
    fn repeating_a_generation_does_not_put_its_confirmation_off() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.answered(1, 1, false);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.answered(1, 1, false);
        routers.poll(now + THROTTLE, 1, "traefik", THROTTLE);
        assert!(complete(&mut routers, now + SETTLED, 1));
    }

    #[test]
    fn every_router_has_to_confirm() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        for connection in [1, 2] {
            routers.poll(now, connection, "traefik", THROTTLE);
            routers.answered(connection, 1, false);
        }
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!complete(&mut routers, now + SETTLED, 1));
        routers.disconnected(now, 2);
        assert!(!complete(&mut routers, now + SETTLED, 1), "it may have timed out and come back");
        assert!(complete(&mut routers, now + GONE_AFTER, 1), "it is gone");
    }

    #[test]
    fn a_router_on_a_new_connection_has_to_fetch_again() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.poll(now, 1, "traefik", THROTTLE);
        routers.answered(1, 1, false);
        routers.disconnected(now, 1);
        assert_eq!(routers.poll(now, 2, "traefik", THROTTLE), None);
        assert!(!complete(&mut routers, now + SETTLED, 1));
        assert_eq!(routers.len(), 1);
        routers.answered(2, 1, false);
        routers.poll(now, 2, "traefik", THROTTLE);
        assert!(complete(&mut routers, now + SETTLED, 1), "the old connection is no longer missed");
    }

    #[test]
    fn a_new_hub_expects_a_router_that_it_has_not_seen() {
        let now = Instant::now();
        let mut routers = Routers::new(now);
        assert!(routers.expects_more(now));
        assert!(!routers.expects_more(now + EXPECTED_FOR));
        assert!(!routers.confirmation(1).is_complete());
        routers.poll(now, 1, "traefik", THROTTLE);
        assert!(!routers.expects_more(now));
    }
}
