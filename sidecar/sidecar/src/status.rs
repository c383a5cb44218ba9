//! Status of the service, shared between the parts of the sidecar, and the result of the health check that follows
//! from it.

use protocol::{Health, Routing};
use tokio::sync::watch;
use tokio::time::Instant;

/// Everything that `sidecar healthcheck` depends on. Pure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) health: Health,
    /// Time at which the service became healthy for the first time.
    pub(crate) healthy_since: Option<Instant>,
    /// Whether the task has been routed, or does not ask for a route. It stays true: the loss of the hub removes no
    /// route.
    pub(crate) routed: bool,
    /// Whether `--routed-timeout` has passed.
    pub(crate) route_timed_out: bool,
    /// Reason why the hub refuses to route the task. No timeout overrides it: the deployment that caused it has to
    /// fail and be rolled back.
    pub(crate) refusal: Option<String>,
    pub(crate) stopping: bool,
    /// Error of the last probe.
    probe_error: Option<String>,
    /// Error of the last request to the hub.
    pub(crate) hub_error: Option<String>,
}

impl Status {
    /// Returns the result of the health check: success with a message, or the reason of the failure.
    pub(crate) fn check(&self) -> Result<&'static str, String> {
        let because = |state: &str, cause: &Option<String>| match cause {
            Some(cause) => Err(format!("{state}: {cause}")),
            None => Err(state.to_owned()),
        };
        match self.health {
            _ if self.stopping => Err("stopping".to_owned()),
            Health::Starting => because("starting", &self.probe_error),
            Health::Unhealthy => because("unhealthy", &self.probe_error),
            Health::Healthy if self.routed => Ok("healthy and routed"),
            Health::Healthy if self.refusal.is_some() => because("healthy, but refused", &self.refusal),
            Health::Healthy if self.route_timed_out => Ok("healthy, but not routed in time"),
            Health::Healthy => because("healthy, but not yet routed", &self.hub_error),
        }
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

    /// Waits for a status that meets `condition`. The current one counts.
    pub(crate) async fn wait_for(&self, condition: impl FnMut(&Status) -> bool) -> Status {
        let mut receiver = self.0.subscribe();
        let status = receiver.wait_for(condition).await.map(|status| status.clone());
        // It fails only without a sender, and `self` is one.
        status.unwrap_or_else(|_| self.get())
    }

    /// Sets the health and the error of the last probe.
    pub(crate) fn set_health(&self, health: Health, probe_error: Option<String>) {
        self.0.send_if_modified(|status| {
            let changed = status.health != health;
            status.health = health;
            status.probe_error = probe_error;
            if health == Health::Healthy {
                status.healthy_since.get_or_insert_with(Instant::now);
            }
            changed
        });
    }

    /// Sets the routing state.
    pub(crate) fn set_routing(&self, routing: &Routing) {
        self.0.send_if_modified(|status| {
            let routed = matches!(routing, Routing::Confirmed | Routing::Unrouted);
            let first = routed && !status.routed;
            status.routed |= routed;
            status.hub_error = None;
            status.refusal = match routing {
                Routing::Refused { reason } => Some(reason.clone()),
                _ => None,
            };
            first
        });
    }

    /// Updates the status and wakes those that wait for it.
    pub(crate) fn update(&self, update: impl FnOnce(&mut Status)) {
        self.0.send_modify(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: &SharedStatus) -> String {
        status.get().check().unwrap_err()
    }

    #[test]
    fn healthy_service_fails_the_check_until_it_is_routed() {
        let status = SharedStatus::default();
        status.set_health(Health::Starting, Some("http://x failed: refused".to_owned()));
        assert_eq!(failure(&status), "starting: http://x failed: refused");
        status.set_health(Health::Healthy, None);
        assert_eq!(failure(&status), "healthy, but not yet routed");
        status.update(|status| status.hub_error = Some("hub http://hub:80: no response in time".to_owned()));
        assert_eq!(failure(&status), "healthy, but not yet routed: hub http://hub:80: no response in time");
        status.set_routing(&Routing::Refused { reason: "rule is taken".to_owned() });
        assert_eq!(failure(&status), "healthy, but refused: rule is taken");
        status.update(|status| status.route_timed_out = true);
        assert_eq!(failure(&status), "healthy, but refused: rule is taken");
    }

    #[test]
    fn once_routed_the_hub_does_not_affect_the_check() {
        for routing in [Routing::Confirmed, Routing::Unrouted] {
            let status = SharedStatus::default();
            status.set_health(Health::Healthy, None);
            status.set_routing(&routing);
            status.set_routing(&Routing::Pending);
            status.update(|status| status.hub_error = Some("gone".to_owned()));
            assert!(status.get().check().is_ok());
        }
    }

    #[test]
    fn missing_router_fails_the_check_only_until_the_timeout() {
        let status = SharedStatus::default();
        status.set_health(Health::Healthy, None);
        status.update(|status| status.route_timed_out = true);
        assert!(status.get().check().is_ok());
        status.set_health(Health::Unhealthy, Some("failed".to_owned()));
        assert_eq!(failure(&status), "unhealthy: failed");
    }

    #[test]
    fn stopping_service_fails_the_check() {
        let status = SharedStatus::default();
        status.set_health(Health::Healthy, None);
        status.set_routing(&Routing::Confirmed);
        status.update(|status| status.stopping = true);
        assert_eq!(failure(&status), "stopping");
    }
}
