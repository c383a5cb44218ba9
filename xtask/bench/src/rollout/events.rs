//! Container events of the lab's engines.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use harness::lab::Node;
use serde_json::Value;

/// A change of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Its first process was started.
    Started,
    /// Its health check passed for the first time.
    Healthy,
    /// The engine sent SIGTERM.
    Stopping,
    /// The engine sent SIGKILL.
    Killed,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) at: SystemTime,
    /// The container's host name.
    pub(super) host: String,
    /// The Swarm service of the container's task.
    pub(super) service: String,
}

/// Reads the events of hosts from `since` until now.
pub(super) fn since<'a>(nodes: impl IntoIterator<Item = &'a Node>, since: SystemTime) -> Result<Vec<Event>> {
    let [since, until] = [since, SystemTime::now()].map(unix_seconds);
    let mut events = Vec::new();
    for node in nodes {
        let flags = ["events", "--since", &since, "--until", &until, "--filter", "type=container"];
        for line in node.docker().list(&[&flags[..], &["--format", "{{json .}}"]].concat())? {
            let event = serde_json::from_str(&line).with_context(|| format!("reading event {line}"))?;
            events.extend(parse(&event));
        }
    }
    Ok(events)
}

/// Returns `None` for an event of another kind.
fn parse(event: &Value) -> Option<Event> {
    let attributes = &event["Actor"]["Attributes"];
    let action = match (event["Action"].as_str()?, attributes["signal"].as_str()) {
        ("start", _) => Action::Started,
        ("health_status: healthy", _) => Action::Healthy,
        ("kill", Some("15")) => Action::Stopping,
        ("kill", Some("9")) => Action::Killed,
        _ => return None,
    };
    let host = event["Actor"]["ID"].as_str()?.get(..12)?.to_owned();
    let service = attributes["com.docker.swarm.service.name"].as_str()?.to_owned();
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(event["timeNano"].as_u64()?);
    Some(Event { action, at, host, service })
}

fn unix_seconds(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_of_other_kinds_are_ignored() {
        let event = |action: &str, signal: Option<&str>| {
            parse(&json!({
                "Action": action,
                "Actor": {"ID": "0123456789abcdef", "Attributes": {
                    "com.docker.swarm.service.name": "demo_ping", "signal": signal,
                }},
                "timeNano": 1_500_000_000_u64,
            }))
        };
        let healthy = event("health_status: healthy", None).unwrap();
        assert_eq!((healthy.host.as_str(), healthy.service.as_str()), ("0123456789ab", "demo_ping"));
        assert_eq!(healthy.at, SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(event("kill", Some("15")).unwrap().action, Action::Stopping);
        assert_eq!(event("kill", Some("9")).unwrap().action, Action::Killed);
        assert!(event("exec_start", None).is_none());
    }
}
