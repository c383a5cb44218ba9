//! `hub ps`: the tasks that the hubs know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use cli::Failure;
use client::Hub;
use protocol::{Health, Instance, Routing};
use runtime::SubcommandHandler;
use serde_json::{Value, json};

use super::table::{age, align, printable};
use super::{Answer, Answers, HubArgs, ask_all, columns, path_of, print};
use crate::explanation::Explanation;

/// Time between two requests with --watch.
const INTERVAL: Duration = Duration::from_secs(1);
/// Sequence that clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Length of an ID of Swarm, and of its short form.
const SWARM_ID: usize = 25;
const SHORT_ID: usize = 12;

/// Flags of `hub ps`.
#[derive(Args, Debug)]
pub(crate) struct PsCommand {
    /// Full name of the service, such as `demo_ping` [default: all services]
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat each second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    hub: HubArgs,
}

impl SubcommandHandler for PsCommand {
    const NAME: &'static str = "ps";
    const DESCRIPTION: &'static str = "List the tasks that the hubs know, and whether they are routed";
    const EXAMPLES: &'static str = "
  docker exec HUB /hub ps             in the container of a hub
  hub ps demo_ping --watch
  hub ps --hub http://hub:8080 --token-file reader --json

ROUTED counts the hubs that routers poll: on how many of them every router sends requests to the task.

Exit code: 0 if a hub answered, 1 if none did or there is no such service, 64 for invalid usage.
";

    fn run(self) -> Result<ExitCode, Failure> {
        let hub = self.hub.clone().hub()?;
        loop {
            let answers = client::block_on(self.ask(&hub))?.and_then(|answers| answers.or_failure(&hub));
            let text = match answers {
                Ok(answers) if self.json => json_text(&to_json(&answers)),
                Ok(answers) => to_text(&answers, columns()),
                Err(failure) if self.watch => format!("{failure}\n"),
                Err(failure) => return Err(failure),
            };
            let start = match columns() {
                Some(_) if self.watch => CLEAR,
                _ => "",
            };
            print(&format!("{start}{text}"))?;
            if !self.watch {
                return Ok(ExitCode::SUCCESS);
            }
            sleep(INTERVAL);
        }
    }
}

impl PsCommand {
    async fn ask(&self, hub: &Hub) -> Result<Answers<Vec<Instance>>, Failure> {
        let Some(service) = &self.service else {
            return ask_all(hub, protocol::INSTANCES, None).await;
        };
        let Answers { answers, failures } = ask_all::<Explanation>(hub, &path_of(service), None).await?;
        let instances = |answer: Answer<Explanation>| Answer {
            address: answer.address,
            status: answer.status,
            content: answer.content.instances,
        };
        Ok(Answers { answers: answers.into_iter().map(instances).collect(), failures })
    }
}

/// A task, as the hubs that know it do. There is at least one.
struct Merged<'a> {
    known: Vec<(&'a Answer<Vec<Instance>>, &'a Instance)>,
}

/// Merges the lists of all hubs, in the order of services and tasks.
fn merge(answers: &[Answer<Vec<Instance>>]) -> Vec<Merged<'_>> {
    let mut merged: BTreeMap<_, Merged<'_>> = BTreeMap::new();
    for answer in answers {
        for instance in &answer.content {
            let task = merged.entry((&instance.registration.service, &instance.id));
            task.or_insert_with(|| Merged { known: Vec::new() }).known.push((answer, instance));
        }
    }
    merged.into_values().collect()
}

impl Merged<'_> {
    fn first(&self) -> &Instance {
        self.known[0].1
    }

    /// Number of hubs on which it is routed, of those that routers poll.
    fn routed(&self) -> usize {
        self.known.iter().filter(|(_, instance)| instance.serving).count()
    }

    fn state(&self, polled: usize) -> &'static str {
        let any = |routing: fn(&Routing) -> bool| self.known.iter().any(|(_, own)| routing(&own.routing));
        match self.first().registration.health {
            _ if any(|routing| matches!(routing, Routing::Refused { .. })) => "refused",
            Health::Starting => "starting",
            Health::Unhealthy => "unhealthy",
            Health::Healthy if any(|routing| *routing == Routing::Unrouted) => "no route",
            Health::Healthy if polled > 0 && self.routed() == polled => "routed",
            Health::Healthy => "healthy",
        }
    }

    /// Time since the last change that any hub knows of, in milliseconds.
    fn age(&self) -> u64 {
        let ages = self.known.iter().map(|(hub, own)| hub.status.now.saturating_sub(own.changed_at));
        ages.min().unwrap_or(0)
    }

    fn row(&self, polled: usize) -> Vec<String> {
        let Instance { id, registration, .. } = self.first();
        let is_stale = self.known.iter().any(|(_, instance)| instance.stale);
        vec![
            registration.service.clone(),
            short(id.as_str(), &registration.service),
            registration.node.clone().unwrap_or_else(|| "-".to_owned()),
            self.state(polled).to_owned(),
            age(self.age()),
            SocketAddr::new(registration.address, registration.port.get()).to_string(),
            if is_stale { "outdated" } else { "current" }.to_owned(),
            format!("{}/{polled} {}", self.routed(), if polled == 1 { "hub" } else { "hubs" }),
        ]
    }
}

/// Shortens the name of a task, beside that of its service: `1.x0n3q4u2k7ab`, without the ID of a node.
fn short(id: &str, service: &str) -> String {
    let own = id.strip_prefix(service).and_then(|rest| rest.strip_prefix('.')).unwrap_or(id);
    match own.rsplit_once('.') {
        Some((slot, task)) if task.len() == SWARM_ID => {
            let task = &task[..SHORT_ID];
            if slot.len() == SWARM_ID { task.to_owned() } else { format!("{slot}.{task}") }
        }
        _ => own.to_owned(),
    }
}

/// Number of hubs that routers poll.
fn polled<T>(answers: &[Answer<T>]) -> usize {
    answers.iter().filter(|answer| !answer.status.routers.is_empty()).count()
}

fn to_text(asked: &Answers<Vec<Instance>>, columns: Option<usize>) -> String {
    let (merged, polled) = (merge(&asked.answers), polled(&asked.answers));
    let titles = ["SERVICE", "TASK", "NODE", "STATE", "SINCE", "ADDRESS", "LABELS", "ROUTED"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(merged.iter().map(|task| task.row(polled)));
    let text = align(&rows, columns);
    let mut refusals: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, instance) in merged.iter().flat_map(|task| &task.known) {
        if let Routing::Refused { reason } = &instance.routing {
            let tasks = refusals.entry(reason).or_default();
            if !tasks.contains(&instance.id.as_str()) {
                tasks.push(instance.id.as_str());
            }
        }
    }
    let mut lines = Vec::new();
    for (reason, tasks) in refusals {
        lines.push(format!("\nrefused: {}\n  {}", tasks.join(", "), printable(reason)));
    }
    lines.push(String::new());
    for Answer { address, status, .. } in &asked.answers {
        let warming_up = if status.ready { "" } else { ", warming up" };
        let (host, routers) = (printable(&status.host), status.routers.len());
        lines.push(format!("hub {host} at {}: {routers} router(s){warming_up}", address.ip()));
    }
    for (address, error) in &asked.failures {
        let address = address.ip();
        lines.push(format!("no answer from the hub at {address}, whose view is missing here: {error}"));
    }
    text + &lines.join("\n") + "\n"
}

/// Formats JSON. Control characters that JSON allows in strings are escaped too, since they would control a terminal.
fn json_text(value: &Value) -> String {
    let mut text = String::new();
    for letter in format!("{value:#}\n").chars() {
        match letter {
            '\u{7f}'..='\u{9f}' => text.extend(format!("\\u{:04x}", u32::from(letter)).chars()),
            _ => text.push(letter),
        }
    }
    text
}

fn to_json(asked: &Answers<Vec<Instance>>) -> Value {
    let polled = polled(&asked.answers);
    let tasks = merge(&asked.answers).into_iter().map(|task| {
        let routing: BTreeMap<_, _> =
            task.known.iter().map(|(hub, own)| (&hub.status.host, &own.routing)).collect();
        let state = json!({"state": task.state(polled), "since_ms": task.age(), "hubs": routing});
        let mut instance = serde_json::to_value(task.first()).unwrap_or_default();
        if let (Value::Object(instance), Value::Object(state)) = (&mut instance, state) {
            instance.remove("routing");
            instance.extend(state);
        }
        instance
    });
    let hubs = asked.answers.iter().map(|hub| json!({"address": hub.address, "status": hub.status}));
    let failed = asked.failures.iter();
    let failed = failed.map(|(address, error)| json!({"address": address, "error": error.to_string()}));
    json!({
        "tasks": tasks.collect::<Vec<_>>(), "hubs": hubs.collect::<Vec<_>>(), "failed": failed.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use client::HubError;
    use protocol::{RouterStatus, Status};

    use super::*;
    use crate::registry::tests::registration;

    pub(crate) fn status(host: &str, routers: usize) -> Status {
        let router = RouterStatus {
            name: "t".to_owned(),
            connected: true,
            generation: Some(1),
            behind_since: None,
            api: true,
        };
        Status {
            hub: host.to_owned(),
            host: host.to_owned(),
            version: "1".to_owned(),
            now: 100_000,
            started: 0,
            ready: true,
            generation: 1,
            routers: vec![router; routers],
        }
    }

    pub(crate) fn instance(id: &str, health: Health, routing: Routing) -> Instance {
        Instance {
            id: id.parse().unwrap(),
            registration: registration("s.1", health, &[]),
            serving: routing == Routing::Confirmed,
            routing,
            connected: true,
            stale: false,
            changed_at: 40_000,
        }
    }

    fn answer(host: &str, routers: usize, content: Vec<Instance>) -> Answer<Vec<Instance>> {
        Answer { address: ([10, 0, 1, 9], 8080).into(), status: status(host, routers), content }
    }

    #[test]
    fn task_is_routed_if_it_is_on_all_hubs_that_routers_poll() {
        let task = |routing| instance("s.1", Health::Healthy, routing);
        let state = |answers: &[Answer<Vec<Instance>>]| {
            let row = merge(answers)[0].row(polled(answers));
            (row[3].clone(), row[7].clone())
        };
        let confirmed = || vec![task(Routing::Confirmed)];
        let expected = |state: &str, routed: &str| (state.to_owned(), routed.to_owned());
        let both = [answer("a", 1, confirmed()), answer("b", 2, confirmed())];
        assert_eq!(state(&both), expected("routed", "2/2 hubs"));
        let without_router = [answer("a", 1, confirmed()), answer("b", 0, vec![task(Routing::Pending)])];
        assert_eq!(state(&without_router), expected("routed", "1/1 hub"));
        let missing = [answer("a", 1, confirmed()), answer("b", 1, Vec::new())];
        assert_eq!(state(&missing), expected("healthy", "1/2 hubs"));
        let refused = Routing::Refused { reason: "r".to_owned() };
        let one_refuses = [answer("a", 1, confirmed()), answer("b", 1, vec![task(refused)])];
        assert_eq!(state(&one_refuses), expected("refused", "1/2 hubs"));
        let with_earlier_labels = Instance { serving: true, ..one_refuses[1].content[0].clone() };
        assert_eq!(state(&[answer("a", 1, vec![with_earlier_labels])]), expected("refused", "1/1 hub"));
        assert_eq!(state(&[answer("a", 0, vec![task(Routing::Pending)])]), expected("healthy", "0/0 hubs"));
    }

    #[test]
    fn text_has_reasons_and_the_hubs_that_are_missing() {
        let reason = "label x: \"y\"\nis unknown";
        let refused = Routing::Refused { reason: reason.to_owned() };
        let content = vec![instance("s.1", Health::Starting, refused)];
        let asked = Answers {
            answers: vec![answer("hub-1", 1, content)],
            failures: vec![(([10, 0, 1, 8], 8080).into(), HubError::Timeout)],
        };
        let text = to_text(&asked, Some(70));
        assert!(text.lines().take(2).all(|line| line.chars().count() <= 70), "{text}");
        assert!(text.contains("refused: s.1\n  label x: \"y\"\u{fffd}is unknown"), "{text}");
        assert!(text.contains("hub hub-1 at 10.0.1.9: 1 router(s)\n"), "{text}");
        assert!(text.contains("no answer from the hub at 10.0.1.8"), "{text}");
        let json = to_json(&asked);
        assert_eq!(json["tasks"][0]["hubs"]["hub-1"]["reason"], reason);
        assert_eq!(
            (&json["tasks"][0]["state"], &json["tasks"][0]["since_ms"]),
            (&json!("refused"), &json!(60_000))
        );
        assert_eq!(json["failed"][0]["error"], "no response in time");
    }

    #[test]
    fn names_of_tasks_are_short() {
        let (node, task) = ("n".repeat(25), "0123456789abcdefghijklmno");
        assert_eq!(short(&format!("demo_ping.3.{task}"), "demo_ping"), "3.0123456789ab");
        assert_eq!(short(&format!("demo_ping.{node}.{task}"), "demo_ping"), "0123456789ab");
        assert_eq!(short("ping-1", "ping"), "ping-1");
    }
}
