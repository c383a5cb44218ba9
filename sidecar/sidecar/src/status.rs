//! Status of the service, shared between the parts of the sidecar, and the result of the health check that follows
//! from it.

use std::time::Duration;

use protocol::{Health, Lease, Routing};
use tokio::sync::watch;
use tokio::time::Instant;

/// Everything that `sidecar healthcheck` depends on. Pure: callers pass the time in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) health: Health,
    /// Error of the last probe.
    probe_error: Option<String>,
    pub(crate) route: Route,
    /// Time since which every answer of the hub has said that no router polls it.
    no_router_since: Option<Instant>,
    /// Whether the health check has been able to succeed. From then on only the service's own health counts: a refusal
    /// or the loss of routers and hubs must not make Swarm replace a task that serves.
    pub(crate) green: bool,
    pub(crate) stopping: bool,
}

/// Route of the task, by the hub's last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// No route, for this reason.
    Waiting(String),
    /// The hub refuses to route the task, for this reason.
    Refused(String),
    /// Every router uses the task.
    Confirmed,
    /// No label asks for a route.
    Unrouted,
    /// No router has polled the hub for `--routed-timeout`.
    NoRouter,
}

impl Default for Route {
    fn default() -> Self {
        Self::Waiting("no answer from the hub".to_owned())
    }
}

impl Status {
    /// Returns the result of the health check: success with a message, or the reason of the failure.
    pub(crate) fn check(&self) -> Result<&'static str, String> {
        let because = |state: &str| match &self.probe_error {
            Some(cause) => Err(format!("{state}: {cause}")),
            None => Err(state.to_owned()),
        };
        match (self.health, &self.route) {
            _ if self.stopping => Err("stopping".to_owned()),
            (Health::Starting, _) => because("starting"),
            (Health::Unhealthy, _) => because("unhealthy"),
            (Health::Healthy, Route::Waiting(reason)) => {
                Err(format!("healthy, but not yet routed: {reason}"))
            }
            (Health::Healthy, Route::Refused(reason)) => Err(format!("healthy, but refused: {reason}")),
            (Health::Healthy, Route::Confirmed) => Ok("healthy and routed"),
            (Health::Healthy, Route::Unrouted) => Ok("healthy; no label asks for a route"),
            (Health::Healthy, Route::NoRouter) => Ok("healthy, but not routed: no router polls the hub"),
        }
    }

    fn set_health(&mut self, health: Health, probe_error: Option<String>) {
        self.health = health;
        self.probe_error = probe_error;
        self.green |= self.check().is_ok();
    }

    /// Sets the route by the hub's answer. `timeout` limits the time for which the check fails since no router polls.
    fn set_lease(&mut self, lease: &Lease, now: Instant, timeout: Duration) {
        let is_alone =
            self.health == Health::Healthy && lease.routing == Routing::Pending && lease.routers == 0;
        self.no_router_since = is_alone.then(|| self.no_router_since.unwrap_or(now));
        self.set_route(match (&lease.routing, self.no_router_since) {
            (Routing::Confirmed, _) => Route::Confirmed,
            (Routing::Unrouted, _) => Route::Unrouted,
            (Routing::Refused { reason }, _) => Route::Refused(reason.clone()),
            (Routing::Pending, Some(since)) if now - since >= timeout => Route::NoRouter,
            (Routing::Pending, Some(_)) => Route::Waiting("no router polls the hub".to_owned()),
            (Routing::Pending, None) => {
                Route::Waiting(format!("waiting for {} router(s) to acknowledge", lease.routers))
            }
        });
    }

    fn set_route(&mut self, route: Route) {
        if !self.green || matches!(route, Route::Confirmed | Route::Unrouted) {
            self.route = route;
        }
        self.green |= self.check().is_ok();
    }
}

/// The shared [`Status`].
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedStatus(watch::Sender<Status>);

impl SharedStatus {
    /// Returns the current status.
    pub(crate) fn get(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Waits until the health differs from `health`.
    pub(crate) async fn health_changes(&self, health: Health) {
        // It fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(|status| status.health != health).await;
    }

    /// Sets the health and the error of the last probe.
    pub(crate) fn set_health(&self, health: Health, probe_error: Option<String>) {
        self.0.send_if_modified(|status| {
            let changed = status.health != health;
            status.set_health(health, probe_error);
            changed
        });
    }

    /// Sets the route by the hub's answer. Returns the new one if it changed.
    pub(crate) fn set_lease(&self, lease: &Lease, timeout: Duration) -> Option<Route> {
        let before = self.get().route;
        self.0.send_if_modified(|status| {
            status.set_lease(lease, Instant::now(), timeout);
            false
        });
        Some(self.get().route).filter(|route| *route != before)
    }

    /// Records why the hub gave no lease.
    pub(crate) fn hub_failed(&self, reason: String) {
        self.0.send_if_modified(|status| {
            status.no_router_since = None;
            status.set_route(Route::Waiting(reason));
            false
        });
    }

    /// Makes the health check fail from now on.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|status| status.stopping = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn healthy() -> Status {
        let mut status = Status::default();
        status.set_health(Health::Healthy, None);
        status
    }

    fn refused() -> Routing {
        Routing::Refused { reason: "rule is taken".to_owned() }
    }

    fn failed() -> Route {
        Route::Waiting("hub http://hub:80: no response in time".to_owned())
    }

    fn lease(routing: Routing, routers: usize) -> Lease {
        Lease { generation: 1, ttl_ms: 3000, routing, routers, ticket: None }
    }

    fn failure(status: &Status) -> String {
        status.check().unwrap_err()
    }

    #[test]
    fn check_fails_with_the_reason_until_the_hub_confirms_the_route() {
        let now = Instant::now();
        let mut status = Status::default();
        status.set_health(Health::Starting, Some("http://x failed: refused".to_owned()));
        assert_eq!(failure(&status), "starting: http://x failed: refused");
        status.set_health(Health::Healthy, None);
        for (routing, reason) in [
            (Routing::Pending, "not yet routed: waiting for 2 router(s) to acknowledge"),
            (refused(), "refused: rule is taken"),
        ] {
            for time in [now, now + TIMEOUT * 100] {
                status.set_lease(&lease(routing.clone(), 2), time, TIMEOUT);
                assert_eq!(failure(&status), format!("healthy, but {reason}"));
            }
        }
        status.set_route(failed());
        assert_eq!(failure(&status), "healthy, but not yet routed: hub http://hub:80: no response in time");
        status.set_lease(&lease(Routing::Confirmed, 2), now, TIMEOUT);
        assert_eq!(status.check(), Ok("healthy and routed"));
    }

    #[test]
    fn last_answer_before_the_service_is_healthy_counts() {
        let now = Instant::now();
        let mut status = Status::default();
        status.set_lease(&lease(Routing::Unrouted, 1), now, TIMEOUT);
        status.set_lease(&lease(refused(), 1), now, TIMEOUT);
        status.set_health(Health::Healthy, None);
        assert_eq!(failure(&status), "healthy, but refused: rule is taken");
    }

    #[test]
    fn once_green_only_the_service_turns_the_check_red() {
        let now = Instant::now();
        for (routing, routers) in [(Routing::Confirmed, 1), (Routing::Unrouted, 1), (Routing::Pending, 0)] {
            let mut status = healthy();
            status.set_lease(&lease(routing, routers), now, Duration::ZERO);
            assert!(status.check().is_ok());
            for (routing, routers) in [(Routing::Pending, 1), (Routing::Pending, 0), (refused(), 1)] {
                status.set_lease(&lease(routing, routers), now, TIMEOUT);
                assert!(status.check().is_ok());
            }
            status.set_route(failed());
            assert!(status.check().is_ok());
            status.set_health(Health::Unhealthy, Some("failed".to_owned()));
            assert_eq!(failure(&status), "unhealthy: failed");
            status.set_health(Health::Healthy, None);
            assert!(status.check().is_ok());
            status.stopping = true;
            assert_eq!(failure(&status), "stopping");
        }
    }

    #[test]
    fn missing_router_fails_the_check_until_no_router_has_polled_for_the_timeout() {
        let start = Instant::now();
        let alone = lease(Routing::Pending, 0);
        let mut status = Status::default();
        status.set_lease(&alone, start, TIMEOUT);
        status.set_health(Health::Healthy, None);
        let start = start + TIMEOUT;
        status.set_lease(&alone, start, TIMEOUT);
        assert_eq!(failure(&status), "healthy, but not yet routed: no router polls the hub");
        // A router that polls in between, and a hub that does not answer, start the time again.
        status.set_lease(&lease(Routing::Pending, 1), start, TIMEOUT);
        status.set_lease(&alone, start + TIMEOUT, TIMEOUT);
        assert!(status.check().is_err());
        status.set_lease(&alone, start + TIMEOUT * 2, TIMEOUT);
        assert_eq!(status.check(), Ok("healthy, but not routed: no router polls the hub"));
        status.set_lease(&lease(Routing::Confirmed, 1), start + TIMEOUT * 2, TIMEOUT);
        assert_eq!(status.check(), Ok("healthy and routed"));
    }

    #[test]
    fn hub_that_does_not_answer_starts_the_timeout_again() {
        let status = SharedStatus::default();
        status.set_health(Health::Healthy, None);
        assert_eq!(
            status.set_lease(&lease(Routing::Pending, 0), TIMEOUT),
            Some(Route::Waiting("no router polls the hub".to_owned()))
        );
        status.hub_failed("gone".to_owned());
        assert_eq!(status.get().no_router_since, None);
        assert_eq!(failure(&status.get()), "healthy, but not yet routed: gone");
    }
}
