//! `hub wait`: waits until the current update of a service is routed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use cli::Failure;
use client::{Hub, HubError};
use parse::positive_duration;
use protocol::{Health, Routing, Update};
use runtime::SubcommandHandler;
use tokio::time::{Instant, sleep};

use super::table::printable;
use super::{Answer, Answers, HubArgs, ask_all, failure, path_of};
use crate::explanation::Explanation;

/// Time for an answer of a manager's agent, which is asked with its next heartbeat.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Pause between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(500);
/// Time after which the wait fails if no agent or no hub answers, or the service is not known. Each may only be late.
const PATIENCE: Duration = Duration::from_secs(6);
/// Exit code if no agent on a manager answers.
const EXIT_NO_AGENT: u8 = 2;

/// Flags of `hub wait`.
#[derive(Args, Debug)]
pub(crate) struct WaitCommand {
    /// Full name of the service, such as `demo_ping`
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Maximum time to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = positive_duration)]
    timeout: Duration,
    #[command(flatten)]
    hub: HubArgs,
}

impl SubcommandHandler for WaitCommand {
    const NAME: &'static str = "wait";
    const DESCRIPTION: &'static str = "Wait until the current update of a service is routed on every hub";
    const EXAMPLES: &'static str = "
  docker service update --detach --force demo_ping
  docker exec HUB /hub wait demo_ping --timeout 2m

It needs an agent on a manager, which knows replicas and update status. It also waits until Swarm has monitored \
the new tasks: until then Swarm may roll back.

Exit code: 0 once routed; 1 if a task is refused, or the update is paused, rolled back or not routed in time; \
2 if no agent on a manager answers; 64 for invalid usage.
";

    fn run(self) -> Result<ExitCode, Failure> {
        let hub = self.hub.clone().hub()?;
        client::block_on(self.wait(&hub))?
    }
}

impl WaitCommand {
    async fn wait(&self, hub: &Hub) -> Result<ExitCode, Failure> {
        let service = &self.service;
        let path = format!("{}?wait={}ms", path_of(service), ANSWER_WAIT.as_millis());
        let (start, mut silent_since, mut last) = (Instant::now(), Instant::now(), String::new());
        loop {
            let step = match ask_all(hub, &path, Some(ANSWER_WAIT)).await {
                Ok(asked) => decide(hub, &asked),
                Err(failure) => Step::Silent(failure),
            };
            let reason = match step {
                Step::Routed(tasks) => {
                    let _ = writeln!(io::stdout(), "{service}: {tasks} task(s) routed");
                    return Ok(ExitCode::SUCCESS);
                }
                Step::Failed(reason) => return Err(Failure::new(format_args!("{service}: {reason}"))),
                Step::Silent(failure) if silent_since.elapsed() >= PATIENCE => return Err(failure),
                Step::Silent(failure) => failure.to_string(),
                Step::Pending(reason) => {
                    silent_since = Instant::now();
                    reason
                }
            };
            if start.elapsed() >= self.timeout {
                let message = format_args!("{service}: not routed within {:?}: {reason}", self.timeout);
                return Err(Failure::new(message));
            }
            if reason != last {
                // A closed stderr does not end the wait.
                let _ = writeln!(io::stderr(), "{service}: {reason}");
            }
            last = reason;
            sleep(PAUSE.min(self.timeout.saturating_sub(start.elapsed()))).await;
        }
    }
}

/// State of the wait, from a round of questions.
enum Step {
    /// This number of tasks is routed on every hub.
    Routed(usize),
    /// Not yet, with the reason.
    Pending(String),
    /// Something does not answer. It fails the wait unless that ends soon.
    Silent(Failure),
    /// It will not be routed.
    Failed(String),
}

/// Decides from the answers of all hubs. Pure.
fn decide(hub: &Hub, asked: &Answers<Explanation>) -> Step {
    if asked.answers.is_empty() {
        let Some((address, error)) = asked.failures.first() else {
            return Step::Silent(Failure::new("the name of the hubs has no address"));
        };
        return match error {
            HubError::Refused(status, reason) if *status != hyper::StatusCode::NOT_FOUND => {
                Step::Failed(reason.clone())
            }
            HubError::Unauthorized | HubError::Token(_) | HubError::Tls(_) => Step::Failed(error.to_string()),
            _ => Step::Silent(failure(hub, *address, error)),
        };
    }
    let updates = asked.answers.iter().filter_map(|answer| answer.content.update.as_ref());
    let Some(update) = updates.max_by_key(|update| update.version) else {
        let message = "no agent on a manager of the swarm answers, so the state of the update is not known; deploy \
                       stacks/agent.yml, and see the logs of its tasks";
        return Step::Silent(Failure::with_code(EXIT_NO_AGENT, message));
    };
    let message = printable(&update.message);
    match update.state.as_str() {
        "paused" => return Step::Failed(format!("update paused: {message}")),
        state if state.starts_with("rollback") => {
            return Step::Failed(format!("rolled back ({state}): {message}"));
        }
        _ => {}
    }
    let refusals = asked.answers.iter().flat_map(|hub| {
        let refused = hub.content.instances.iter().filter(|own| update.tasks.contains_key(&own.id));
        refused.filter_map(move |own| match &own.routing {
            Routing::Refused { reason } => Some((hub, own, reason)),
            _ => None,
        })
    });
    if let Some((hub, own, reason)) = refusals.into_iter().next() {
        return Step::Failed(format!("hub {} refuses {}: {}", hub.status.host, own.id, printable(reason)));
    }
    if let Some((address, error)) = asked.failures.first() {
        return Step::Pending(format!("no answer from the hub at {}: {error}", address.ip()));
    }
    pending(update, &asked.answers).map_or(Step::Routed(update.tasks.len()), Step::Pending)
}

/// Returns why an update is not routed on every hub, if it is not.
fn pending(update: &Update, hubs: &[Answer<Explanation>]) -> Option<String> {
    let (exist, wanted) = (update.tasks.len(), update.replicas);
    if u64::try_from(exist) != Ok(wanted) {
        return Some(format!("{exist} of {wanted} task(s) of the new version exist"));
    }
    if hubs.iter().all(|hub| hub.status.routers.is_empty()) {
        return Some("no router polls any hub".to_owned());
    }
    let hubs_behind = hubs.iter().find(|hub| hub.content.version.is_some_and(|own| own < update.version));
    if let Some(hub) = hubs_behind {
        return Some(format!("hub {} does not know the latest labels yet", hub.status.host));
    }
    let tasks = update.tasks.iter();
    let reason =
        tasks.flat_map(|task| hubs.iter().map(move |hub| (task, hub))).find_map(|((id, state), hub)| {
            let host = &hub.status.host;
            match hub.content.instances.iter().find(|own| own.id == *id) {
                None if state == "running" => Some(format!("{id} has not registered with hub {host}")),
                None => Some(format!("{id} is {}", printable(state))),
                Some(own) if own.registration.health != Health::Healthy => {
                    Some(format!("{id} is not healthy"))
                }
                // Only routers can acknowledge. With several hubs, a router polls one of them.
                Some(own) if own.routing == Routing::Pending && !hub.status.routers.is_empty() => Some(
                    format!("{id} is healthy, but not all routers of hub {host} send requests to it yet"),
                ),
                Some(_) => None,
            }
        });
    reason.or_else(|| {
        let is_monitored = update.state == "updating";
        is_monitored
            .then(|| "all new tasks are routed; Swarm monitors them before the update is complete".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use client::url::parse_hub;
    use protocol::Instance;

    use super::*;
    use crate::command::ps::tests::{instance, status};

    fn update(replicas: u64, state: &str, tasks: &[&str]) -> Update {
        let tasks = tasks.iter().map(|id| (id.parse().unwrap(), "running".to_owned())).collect();
        Update { number: 1, version: 7, replicas, state: state.to_owned(), message: "m".to_owned(), tasks }
    }

    fn hub(host: &str, update: &Update, instances: Vec<Instance>) -> Answer<Explanation> {
        let content = Explanation {
            version: Some(7),
            instances,
            update: Some(update.clone()),
            ..Explanation::default()
        };
        Answer { address: ([10, 0, 1, 9], 80).into(), status: status(host, 1), content }
    }

    fn healthy(id: &str, routing: Routing) -> Instance {
        instance(id, Health::Healthy, routing)
    }

    /// Formats the decision.
    fn decided(answers: Vec<Answer<Explanation>>, failures: Vec<HubError>) -> String {
        let hub = Hub { url: parse_hub("http://hub:80").unwrap(), token_file: None, ca_file: None };
        let failures = failures.into_iter().map(|error| (([10, 0, 1, 8], 80).into(), error)).collect();
        match decide(&hub, &Answers { answers, failures }) {
            Step::Routed(tasks) => format!("routed {tasks}"),
            Step::Pending(reason) => format!("pending {reason}"),
            Step::Silent(failure) => format!("silent {failure}"),
            Step::Failed(reason) => format!("failed {reason}"),
        }
    }

    #[test]
    fn update_is_routed_once_all_of_its_tasks_are_on_every_hub() {
        let both = update(2, "completed", &["s.1.b", "s.2.b"]);
        let confirmed =
            |ids: &[&str]| ids.iter().map(|id| healthy(id, Routing::Confirmed)).collect::<Vec<_>>();
        let routed = || hub("a", &both, confirmed(&["s.1.a", "s.1.b", "s.2.b"]));
        assert_eq!(decided(vec![routed(), routed()], vec![]), "routed 2");

        let missing = hub("b", &both, confirmed(&["s.1.b"]));
        assert_eq!(decided(vec![routed(), missing], vec![]), "pending s.2.b has not registered with hub b");
        let mut instances = confirmed(&["s.1.b"]);
        instances.push(healthy("s.2.b", Routing::Pending));
        let unconfirmed = hub("b", &both, instances.clone());
        assert!(
            decided(vec![routed(), unconfirmed], vec![])
                .contains("s.2.b is healthy, but not all routers of hub b")
        );
        let mut without_router = hub("b", &both, instances);
        without_router.status.routers.clear();
        assert_eq!(decided(vec![routed(), without_router], vec![]), "routed 2");
        let starting = vec![instance("s.1.b", Health::Starting, Routing::Pending)];
        assert_eq!(decided(vec![hub("b", &both, starting)], vec![]), "pending s.1.b is not healthy");
        assert!(
            decided(vec![routed()], vec![HubError::Timeout]).starts_with("pending no answer from the hub")
        );
        let mut outdated = routed();
        outdated.content.version = Some(6);
        assert_eq!(decided(vec![outdated], vec![]), "pending hub a does not know the latest labels yet");
        let mut unpolled = routed();
        unpolled.status.routers.clear();
        assert_eq!(decided(vec![unpolled], vec![]), "pending no router polls any hub");
    }

    #[test]
    fn tasks_that_swarm_has_not_started_or_still_monitors_are_waited_for() {
        let decided = |update: &Update| {
            decided(vec![hub("a", update, vec![healthy("s.1.b", Routing::Unrouted)])], vec![])
        };
        assert_eq!(decided(&update(1, "", &["s.1.b"])), "routed 1", "no label asks for a route");
        assert_eq!(decided(&update(0, "", &[])), "routed 0");
        assert!(decided(&update(1, "", &[])).starts_with("pending 0 of 1"));
        assert!(decided(&update(2, "", &["s.1.b"])).starts_with("pending 1 of 2"));
        assert!(decided(&update(1, "updating", &["s.1.b"])).contains("Swarm monitors"));
        let mut pending = update(1, "updating", &["s.1.c"]);
        pending.tasks.values_mut().for_each(|state| *state = "pending: no suitable node".to_owned());
        assert_eq!(decided(&pending), "pending s.1.c is pending: no suitable node");
    }

    #[test]
    fn refusal_pause_and_rollback_fail_the_wait() {
        let decided = |state, id| {
            let refused = healthy(id, Routing::Refused { reason: "label x".to_owned() });
            decided(vec![hub("a", &update(1, state, &["s.1.b"]), vec![refused])], vec![])
        };
        assert_eq!(decided("updating", "s.1.b"), "failed hub a refuses s.1.b: label x");
        assert!(decided("updating", "s.1.a").starts_with("pending"), "a task of an earlier version");
        assert_eq!(decided("paused", "s.1.b"), "failed update paused: m");
        for state in ["rollback_started", "rollback_paused", "rollback_completed"] {
            assert_eq!(decided(state, "s.1.b"), format!("failed rolled back ({state}): m"));
        }
    }

    #[test]
    fn silence_is_told_from_a_rejection() {
        let mut unknown = hub("a", &update(0, "", &[]), vec![]);
        unknown.content.update = None;
        assert!(decided(vec![unknown], vec![]).starts_with("silent no agent on a manager"));
        assert!(
            decided(vec![], vec![HubError::Timeout]).starts_with("silent hub http://hub:80 at 10.0.1.8: ")
        );
        let refused = |status, reason: &str| HubError::Refused(status, reason.to_owned());
        let missing = refused(hyper::StatusCode::NOT_FOUND, "no service");
        assert_eq!(decided(vec![], vec![missing]), "silent no service", "it may be new");
        assert_eq!(decided(vec![], vec![refused(hyper::StatusCode::FORBIDDEN, "role")]), "failed role");
        assert!(decided(vec![], vec![HubError::Unauthorized]).starts_with("failed token rejected"));
    }
}
