//! `hub explain`: what the hub and Traefik make of a service's labels.

use std::process::ExitCode;

use clap::Args;
use cli::Failure;
use protocol::{InstanceId, Routing};
use runtime::SubcommandHandler;

use super::table::printable;
use super::{Answer, Answers, HubArgs, ask_all, path_of, print};
use crate::explanation::{Explanation, LabelSet};

/// Flags of `hub explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainCommand {
    /// Full name of the service, such as `demo_ping`
    #[arg(value_name = "SERVICE")]
    service: String,
    #[command(flatten)]
    hub: HubArgs,
}

impl SubcommandHandler for ExplainCommand {
    const NAME: &'static str = "explain";
    const DESCRIPTION: &'static str =
        "Show a service's labels, Traefik's configuration from them, and Traefik's verdict";
    const EXAMPLES: &'static str = "
  docker exec HUB /hub explain demo_ping

Secrets in labels and in the configuration are not shown.

Exit code: 0 if no task is refused and Traefik reports no error, 1 otherwise, or if there is no such service, \
64 for invalid usage.
";

    fn run(self) -> Result<ExitCode, Failure> {
        let hub = self.hub.hub()?;
        let asked = client::block_on(ask_all(&hub, &path_of(&self.service), None))??.or_failure(&hub)?;
        let (text, is_good) = explain(&self.service, &asked);
        print(&text)?;
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Returns the explanation, and whether there is no refusal and no message of a router. Labels and configuration are those of the
/// first hub: all hubs render the same.
fn explain(service: &str, asked: &Answers<Explanation>) -> (String, bool) {
    let mut lines = Vec::new();
    let Some(Answer { content, .. }) = asked.answers.first() else { return (String::new(), false) };
    for LabelSet { labels, instances } in &content.labels {
        lines.push(format!("Labels of {}", list(instances)));
        for (key, value) in &labels.0 {
            lines.push(format!("  {}={}", printable(key), printable(value)));
        }
        lines.push(String::new());
    }
    if content.labels.is_empty() {
        lines.push(format!("{service} has no tasks that are registered\n"));
    }
    if content.configuration.as_object().is_some_and(|kinds| !kinds.is_empty()) {
        lines.push("Traefik's configuration".to_owned());
        let json = format!("{:#}", content.configuration);
        lines.extend(json.lines().map(|line| format!("  {}", printable(line))));
    } else {
        lines.push("Traefik's configuration has nothing of it".to_owned());
    }
    lines.push("\nVerdict".to_owned());
    let mut is_good = true;
    for Answer { status, content, .. } in &asked.answers {
        let host = printable(&status.host);
        let mut reasons: Vec<(&String, Vec<&InstanceId>)> = Vec::new();
        for instance in &content.instances {
            let Routing::Refused { reason } = &instance.routing else { continue };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, ids)) => ids.push(&instance.id),
                None => reasons.push((reason, vec![&instance.id])),
            }
        }
        for (reason, ids) in &reasons {
            lines.push(format!("  hub {host} refuses {}: {}", list(ids.iter().copied()), printable(reason)));
        }
        for router in &status.routers {
            let generation = match (router.generation, router.behind_since) {
                (None, _) => "has acknowledged nothing yet".to_owned(),
                (Some(own), Some(_)) => format!("uses generation {own}, not {}", status.generation),
                (Some(own), None) => format!("uses generation {own}, the latest"),
            };
            let name = printable(&router.name);
            let mut messages =
                content.reports.iter().filter(|report| report.router == router.name).peekable();
            let verdict = match (messages.peek(), router.api) {
                (Some(_), _) => "",
                (None, true) => ", and reports no error for this service",
                (None, false) => "; its API reports nothing, so only the hub has checked the labels",
            };
            lines.push(format!("  router {name} of hub {host} {generation}{verdict}"));
            for message in messages.flat_map(|report| &report.messages) {
                is_good = false;
                lines.push(format!("    {}", printable(message)));
            }
        }
        if status.routers.is_empty() {
            lines.push(format!("  no router polls hub {host}"));
        }
        is_good &= reasons.is_empty();
    }
    for (address, error) in &asked.failures {
        lines.push(format!("  no answer from the hub at {}: {error}", address.ip()));
    }
    for warning in &content.warnings {
        lines.push(format!("  warning: {}", printable(warning)));
    }
    (lines.join("\n") + "\n", is_good)
}

/// Lists the names of tasks.
fn list<'a>(ids: impl IntoIterator<Item = &'a InstanceId>) -> String {
    let names: Vec<_> = ids.into_iter().map(InstanceId::as_str).collect();
    match &names[..] {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and {} more", names.len() - 3),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Health, Labels};
    use serde_json::json;

    use super::*;
    use crate::command::ps::tests::{instance, status};
    use crate::explanation::RouterReport;

    #[test]
    fn explanation_has_labels_configuration_refusals_and_reports() {
        let labels = Labels([("traefik.a".to_owned(), "b\x1b".to_owned())].into());
        let refused = Routing::Refused { reason: "label x is unknown".to_owned() };
        let ids: Vec<InstanceId> = ["s.1", "s.2"].map(|id| id.parse().unwrap()).into();
        let mut content = Explanation {
            labels: vec![LabelSet { labels, instances: ids }],
            configuration: json!({"http": {"routers": {"s": {"rule": "Path(`/`)", "x": "\u{9b}"}}}}),
            instances: vec![instance("s.1", Health::Starting, refused)],
            ..Explanation::default()
        };
        let explained = |content: &Explanation, routers| {
            let answer = Answer {
                address: ([10, 0, 1, 9], 80).into(),
                status: status("h", routers),
                content: content.clone(),
            };
            explain("s", &Answers { answers: vec![answer], failures: Vec::new() })
        };
        let (text, is_good) = explained(&content, 0);
        for part in [
            "Labels of s.1, s.2\n  traefik.a=b\u{fffd}\n",
            "\"rule\": \"Path(`/`)\"",
            "\"x\": \"\u{fffd}\"",
            "hub h refuses s.1: label x is unknown",
            "no router polls hub h",
        ] {
            assert!(text.contains(part) && !is_good, "{part:?}: {text}");
        }
        content.instances[0].routing = Routing::Confirmed;
        let (text, is_good) = explained(&content, 1);
        assert!(
            text.contains("router t of hub h uses generation 1, the latest, and reports no error") && is_good,
            "{text}"
        );
        let messages = vec!["http.routers.s: no entry point".to_owned()];
        content.reports.push(RouterReport { router: "t".to_owned(), messages });
        let (text, is_good) = explained(&content, 1);
        assert!(text.contains("the latest\n    http.routers.s: no entry point\n") && !is_good, "{text}");
    }
}
