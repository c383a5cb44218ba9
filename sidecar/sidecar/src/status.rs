//! What the sidecar knows of its service, and whether that makes it green. [`Status`] is pure; [`Board`] is where
//! the parts of the sidecar post what they learn and hear of the others.

use protocol::{Health, Routing};
use tokio::sync::watch;
use tokio::time::Instant;

/// All that `sidecar healthcheck` is told about.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) health: Health,
    /// When the service became healthy for the first time.
    pub(crate) healthy_since: Option<Instant>,
    /// Whether the routing was once decided in the task's favour. From then on the hub's state is of no concern: its
    /// death takes no route away.
    pub(crate) routed: bool,
    /// Whether the wait for a route is over, routed or not.
    overdue: bool,
    /// Why the hub refuses to route it. No wait mends that: the deploy that brought it is to fail and be rolled back.
    refusal: Option<String>,
    pub(crate) stopping: bool,
    /// Why the last probe failed.
    probe_fault: Option<String>,
    /// Why there is no route yet.
    route_fault: Option<String>,
}

impl Status {
    const fn new() -> Self {
        Self {
            health: Health::Starting,
            healthy_since: None,
            routed: false,
            overdue: false,
            refusal: None,
            stopping: false,
            probe_fault: None,
            route_fault: None,
        }
    }

    /// Green with a word on it, or the reason why not.
    pub(crate) fn verdict(&self) -> Result<&'static str, String> {
        let because =
            |fault: &Option<String>| fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
        match self.health {
            _ if self.stopping => Err("stopping".to_owned()),
            Health::Starting => Err(format!("starting{}", because(&self.probe_fault))),
            Health::Unhealthy => Err(format!("unhealthy{}", because(&self.probe_fault))),
            Health::Healthy if self.routed => Ok("healthy and routed"),
            Health::Healthy if self.refusal.is_some() => {
                Err(format!("healthy, but refused{}", because(&self.refusal)))
            }
            Health::Healthy if self.overdue => Ok("healthy; still not routed, but the wait for that is over"),
            Health::Healthy => Err(format!("healthy, but not yet routed{}", because(&self.route_fault))),
        }
    }
}

/// The one [`Status`], shared.
#[derive(Clone, Debug)]
pub(crate) struct Board(watch::Sender<Status>);

impl Board {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Status::new()))
    }

    /// The status as it is now.
    pub(crate) fn read(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Returns the first status that meets `condition`: the present one, if it does.
    pub(crate) async fn until(&self, condition: impl FnMut(&Status) -> bool) -> Status {
        let mut receiver = self.0.subscribe();
        let met = receiver.wait_for(condition).await.map(|status| status.clone());
        // It fails only without a sender, and `self` is one.
        met.unwrap_or_else(|_| self.read())
    }

    pub(crate) fn probed(&self, health: Health, fault: Option<String>) {
        self.0.send_if_modified(|status| {
            let changed = status.health != health;
            status.health = health;
            status.probe_fault = fault;
            if health == Health::Healthy {
                status.healthy_since.get_or_insert_with(Instant::now);
            }
            changed
        });
    }

    /// Posts how the routing is, and whether that is the first time that it is decided in the task's favour.
    pub(crate) fn routing(&self, routing: &Routing) -> bool {
        let decided = matches!(routing, Routing::Confirmed | Routing::Unrouted);
        let refusal = match routing {
            Routing::Refused { reason } => Some(reason.clone()),
            _ => None,
        };
        let mut first = false;
        self.0.send_if_modified(|status| {
            first = decided && !status.routed;
            status.routed |= decided;
            status.route_fault = None;
            status.refusal = refusal;
            first
        });
        first
    }

    pub(crate) fn hub_failed(&self, fault: String) {
        self.0.send_if_modified(|status| {
            status.route_fault = Some(fault);
            false
        });
    }

    pub(crate) fn overdue(&self) {
        self.0.send_modify(|status| status.overdue = true);
    }

    pub(crate) fn stopping(&self) {
        self.0.send_modify(|status| status.stopping = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(board: &Board) -> String {
        board.read().verdict().unwrap_err()
    }

    #[test]
    fn healthy_is_not_yet_green() {
        let board = Board::new();
        board.probed(Health::Starting, Some("http://x failed: refused".to_owned()));
        assert_eq!(reason(&board), "starting: http://x failed: refused");
        board.probed(Health::Healthy, None);
        assert_eq!(reason(&board), "healthy, but not yet routed");
        board.hub_failed("hub http://hub:80: no response in time".to_owned());
        assert_eq!(reason(&board), "healthy, but not yet routed: hub http://hub:80: no response in time");
        board.routing(&Routing::Refused { reason: "rule is taken".to_owned() });
        assert_eq!(reason(&board), "healthy, but refused: rule is taken");
        board.overdue();
        assert_eq!(reason(&board), "healthy, but refused: rule is taken");
    }

    #[test]
    fn once_routed_the_hub_is_of_no_concern() {
        for decided in [Routing::Confirmed, Routing::Unrouted] {
            let board = Board::new();
            board.probed(Health::Healthy, None);
            assert!(board.routing(&decided));
            board.routing(&Routing::Pending);
            board.hub_failed("gone".to_owned());
            assert!(board.read().verdict().is_ok());
            assert!(!board.routing(&decided), "it is the first time only once");
        }
    }

    #[test]
    fn a_missing_router_blocks_nobody_for_ever() {
        let board = Board::new();
        board.probed(Health::Healthy, None);
        board.overdue();
        assert!(board.read().verdict().is_ok());
        board.probed(Health::Unhealthy, Some("failed".to_owned()));
        assert_eq!(reason(&board), "unhealthy: failed");
    }

    #[test]
    fn a_stopping_service_is_not_green() {
        let board = Board::new();
        board.probed(Health::Healthy, None);
        board.routing(&Routing::Confirmed);
        board.stopping();
        assert_eq!(reason(&board), "stopping");
    }
}
