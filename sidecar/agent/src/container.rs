//! What an engine says of a container, and what that means to the hub. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use protocol::{Health, InstanceId, Labels};

use crate::engine::Inspection;
use crate::network::Place;
use crate::{signal, time};

const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
const SWARM_TASK: &str = "com.docker.swarm.task.name";
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// What all of Traefik's labels begin with, in any case, of each of its versions.
const TRAEFIK: &str = "traefik.";
/// The label by which a route is refused.
const ENABLE: &str = "traefik.enable";
/// Labels that name the network on which Traefik reaches the container.
const NETWORK: [&str; 2] = ["traefik.docker.network", "traefik.swarm.network"];

/// Where a container listens that says nothing of it.
const HTTP: NonZeroU16 = NonZeroU16::new(80).expect("80 is not 0");
/// How much of its ID a container is called by.
const SHORT: usize = 12;
/// How long the engine gives a container to stop that asks for no other time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What an engine has said of a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It runs, and is to be registered.
    Running(Box<Container>),
    /// It does not run, or is about to be started anew.
    Ended,
    /// It is none of an agent's business: it speaks for itself, or nobody asked for a route to it.
    Another,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its name at the hub.
    pub(crate) id: InstanceId,
    /// Its name here.
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) host: String,
    pub(crate) slot: Option<String>,
    pub(crate) port: NonZeroU16,
    /// Nanoseconds of Unix time.
    pub(crate) started: u64,
    pub(crate) health: Health,
    pub(crate) labels: Labels,
    pub(crate) place: Place,
    /// The signal that it is stopped with.
    stop_signal: u8,
    /// How long it may take to stop; none if as long as it likes.
    pub(crate) stop_timeout: Option<Duration>,
}

/// Whether there is something in a container's labels to register it for.
pub(crate) fn is_of_interest(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(SWARM_SERVICE) || labels.keys().any(|key| has_prefix(key, TRAEFIK))
}

/// Whether labels, of a container and of its service, ask for a route to it.
pub(crate) fn ask_for_a_route<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> bool {
    let (mut asked, mut refused) = (false, false);
    for (key, value) in labels {
        asked |= has_prefix(key, TRAEFIK);
        refused |= key.eq_ignore_ascii_case(ENABLE) && value == "false";
    }
    asked && !refused
}

fn has_prefix(key: &str, prefix: &str) -> bool {
    key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// What an inspection comes to.
pub(crate) fn read(inspection: Inspection) -> Reading {
    let state = &inspection.state;
    if !is_of_interest(&inspection.config.labels) || speaks_for_itself(&inspection) {
        return Reading::Another;
    }
    let Some(started) = time::nanoseconds(&state.started_at) else { return Reading::Ended };
    if !state.running || state.restarting {
        return Reading::Ended;
    }
    let health = match state.health.as_ref().map(|health| health.status.as_str()) {
        _ if state.paused => Health::Unhealthy,
        Some("starting") => Health::Starting,
        Some("unhealthy") => Health::Unhealthy,
        // Without a check to the contrary, whoever runs is well.
        _ => Health::Healthy,
    };
    let name = inspection.name.trim_start_matches('/').to_owned();
    let Some(id) = instance(&inspection, &name) else { return Reading::Another };
    let place = Place::of(&inspection);
    let config = inspection.config;
    let service = config.labels.get(SWARM_SERVICE);
    let slot = service.zip(config.labels.get(SWARM_TASK)).and_then(|(service, task)| slot(service, task));
    let project = config.labels.get(COMPOSE_PROJECT).zip(config.labels.get(COMPOSE_SERVICE));
    Reading::Running(Box::new(Container {
        service: match (service, project) {
            (Some(service), _) => service.clone(),
            (None, Some((project, service))) => format!("{project}_{service}"),
            (None, None) => name.clone(),
        },
        id,
        name,
        slot,
        port: lowest(config.exposed_ports.keys()).unwrap_or(HTTP),
        started,
        health,
        place,
        stop_signal: config.stop_signal.as_deref().and_then(signal::number).unwrap_or(signal::TERM),
        stop_timeout: match config.stop_timeout {
            None => Some(STOP_TIMEOUT),
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        },
        host: config.hostname,
        labels: Labels(config.labels),
    }))
}

/// Whether it is started by a sidecar that has a hub: then that registers it.
fn speaks_for_itself(inspection: &Inspection) -> bool {
    let words: Vec<&str> =
        std::iter::once(&inspection.path).chain(&inspection.args).map(String::as_str).collect();
    let is_sidecar = |word: &str| word.rsplit('/').next() == Some("sidecar");
    let Some(at) = words.windows(2).position(|pair| is_sidecar(pair[0]) && pair[1] == "run") else {
        return false;
    };
    let mut flags = words[at + 2..].iter().take_while(|word| **word != "--");
    let has_hub =
        |variable: &String| variable.strip_prefix("SIDECAR_HUB=").is_some_and(|hub| !hub.is_empty());
    inspection.config.env.iter().any(has_hub)
        || flags.any(|flag| *flag == "--hub" || flag.starts_with("--hub="))
}

fn instance(inspection: &Inspection, name: &str) -> Option<InstanceId> {
    if let Some(task) = inspection.config.labels.get(SWARM_TASK).and_then(|task| task.parse().ok()) {
        return Some(task);
    }
    let short = inspection.id.get(..SHORT).unwrap_or(&inspection.id);
    format!("{name}-{short}").parse().ok()
}

/// Of a task called `SERVICE.SLOT.ID`.
fn slot(service: &str, task: &str) -> Option<String> {
    let (slot, _) = task.strip_prefix(service)?.strip_prefix('.')?.split_once('.')?;
    Some(slot.to_owned())
}

fn lowest<'a>(exposed: impl Iterator<Item = &'a String>) -> Option<NonZeroU16> {
    exposed.filter_map(|port| port.strip_suffix("/tcp")?.parse().ok()).min()
}

impl Container {
    /// Whether `signal` is one that ends it.
    pub(crate) fn is_ended_by(&self, signal: u8) -> bool {
        signal == self.stop_signal || signal::ENDING.contains(&signal)
    }

    /// The network that a label names.
    pub(crate) fn network(&self) -> Option<&str> {
        let is_meant = |key: &str| NETWORK.iter().any(|name| key.eq_ignore_ascii_case(name));
        let named = self.labels.0.iter().find(|(key, value)| is_meant(key) && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
pub(crate) mod tests;
