//! Status of the service, shared between the parts of the sidecar, and the result of the health check that follows
//! from it.

use protocol::Health;
use tokio::sync::watch;

/// Everything that `sidecar healthcheck` depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) health: Health,
    /// Error of the last probe.
    probe_error: Option<String>,
    pub(crate) route: Route,
    /// Whether the health check has been able to succeed. From then on only the service's own health counts: a refusal
    /// or the loss of routers and hubs must not make Swarm replace a task that serves.
    pub(crate) green: bool,
    pub(crate) stopping: bool,
}

/// Route of the task, by the hubs' last [answers](crate::answers).
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
            // Swarm stops a task whose health check fails, with a second signal that would skip the withdrawal.
            _ if self.stopping && self.green => Ok("stopping"),
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

    /// Sets the route. Returns the new one if it changed.
    pub(crate) fn set_route(&self, route: Route) -> Option<Route> {
        let before = self.get().route;
        self.0.send_if_modified(|status| {
            status.set_route(route);
            false
        });
        Some(self.get().route).filter(|route| *route != before)
    }

    /// Makes the health check of a task that has not been green yet fail from now on.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|status| status.stopping = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: &Status) -> String {
        status.check().unwrap_err()
    }

    #[test]
    fn check_fails_with_the_reason_until_the_task_is_routed() {
        let mut status = Status::default();
        status.set_health(Health::Starting, Some("http://x failed: refused".to_owned()));
        assert_eq!(failure(&status), "starting: http://x failed: refused");
        status.set_health(Health::Healthy, None);
        assert_eq!(failure(&status), "healthy, but not yet routed: no answer from the hub");
        status.set_route(Route::Refused("rule is taken".to_owned()));
        assert_eq!(failure(&status), "healthy, but refused: rule is taken");
        status.set_route(Route::Confirmed);
        assert_eq!(status.check(), Ok("healthy and routed"));
    }

    #[test]
    fn once_green_only_the_service_turns_the_check_red() {
        for green in [Route::Confirmed, Route::Unrouted, Route::NoRouter] {
            let mut status = Status::default();
            status.set_health(Health::Healthy, None);
            status.set_route(green);
            assert!(status.check().is_ok());
            for route in [Route::Waiting("gone".to_owned()), Route::Refused("taken".to_owned())] {
                status.set_route(route);
                assert!(status.check().is_ok());
            }
            status.set_health(Health::Unhealthy, Some("failed".to_owned()));
            assert_eq!(failure(&status), "unhealthy: failed");
            status.set_health(Health::Healthy, None);
            assert!(status.check().is_ok());
            status.stopping = true;
            assert_eq!(status.check(), Ok("stopping"));
        }
    }

    #[test]
    fn task_that_stops_before_it_was_green_never_turns_green() {
        let mut status = Status { stopping: true, ..Status::default() };
        status.set_health(Health::Healthy, None);
        status.set_route(Route::Confirmed);
        assert_eq!(failure(&status), "stopping");
    }
}
