//! What an engine says that it has done, and when.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use harness::Lab;
use serde_json::Value;

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its first process was started.
    Started,
    /// Its health check has passed for the first time.
    Healthy,
    /// It was told to stop.
    Stopping,
    /// It was killed.
    Killed,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) at: SystemTime,
    /// The name by which the container knows itself.
    pub(super) host: String,
    /// The service that it is a task of.
    pub(super) service: String,
}

/// All that happened on any host from `since` until now.
pub(super) fn of(lab: &Lab, since: SystemTime) -> Result<Vec<Event>> {
    let [since, until] = [since, SystemTime::now()].map(seconds);
    let mut events = Vec::new();
    for node in lab.nodes() {
        let flags = ["events", "--since", &since, "--until", &until, "--filter", "type=container"];
        let lines = node.docker().list(&[&flags[..], &["--format", "{{json .}}"]].concat())?;
        for line in lines {
            let event: Value =
                serde_json::from_str(&line).with_context(|| format!("reading event {line}"))?;
            events.extend(read(&event));
        }
    }
    Ok(events)
}

/// An event, if it is of a kind that matters here.
fn read(event: &Value) -> Option<Event> {
    let attributes = &event["Actor"]["Attributes"];
    let what = match (event["Action"].as_str()?, attributes["signal"].as_str()) {
        ("start", _) => What::Started,
        ("health_status: healthy", _) => What::Healthy,
        ("kill", Some("15")) => What::Stopping,
        ("kill", Some("9")) => What::Killed,
        _ => return None,
    };
    let host = event["Actor"]["ID"].as_str()?.get(..12)?.to_owned();
    let service = attributes["com.docker.swarm.service.name"].as_str()?.to_owned();
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(event["timeNano"].as_u64()?);
    Some(Event { what, at, host, service })
}

fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_matters_is_read() {
        let event = |action: &str, signal: Option<&str>| {
            read(&json!({
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
        assert_eq!(event("kill", Some("15")).unwrap().what, What::Stopping);
        assert_eq!(event("kill", Some("9")).unwrap().what, What::Killed);
        assert!(event("exec_start", None).is_none());
    }
}
