//! Converts the engine's description of a container to a registration with the hub, without I/O.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use protocol::{Health, InstanceId, Labels};

use crate::engine::{Endpoint, Inspection, PortBinding};
use crate::{signal, timestamp};

const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
const SWARM_TASK: &str = "com.docker.swarm.task.name";
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// Prefix of Traefik's labels, in any case and of all versions.
const TRAEFIK: &str = "traefik.";
/// Label that disables routing.
const ENABLE: &str = "traefik.enable";
/// Labels that name the network on which Traefik reaches the container.
const NETWORK: [&str; 2] = ["traefik.docker.network", "traefik.swarm.network"];

/// Port of a container that exposes none.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(80).expect("80 is not 0");
/// Length of the ID in an instance's name.
const SHORT_ID: usize = 12;
/// The engine's default stop timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of a container, as an inspection shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// Runs, and has to be registered.
    Running(Box<Container>),
    /// Does not run, or is about to be restarted.
    Ended,
    /// Registered by its own sidecar, or has no labels that ask for a route.
    Ignored,
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Name in the hub.
    pub(crate) id: InstanceId,
    /// Name in the engine.
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) host: String,
    pub(crate) slot: Option<String>,
    pub(crate) port: NonZeroU16,
    /// Nanoseconds of Unix time.
    pub(crate) started: u64,
    pub(crate) health: Health,
    pub(crate) labels: Labels,
    pub(crate) location: NetworkLocation,
    /// Published ports by the port in the container, such as `80/tcp`, with the host's address, unless it is any.
    pub(crate) published: BTreeMap<String, Vec<(Option<IpAddr>, NonZeroU16)>>,
    stop_signal: u8,
    /// Time from the stop signal to SIGKILL; `None` if unlimited.
    pub(crate) stop_timeout: Option<Duration>,
}

/// Networks of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkLocation {
    /// The host's own network.
    Host,
    /// Networks by name, with the container's address; empty without networks.
    Networks(BTreeMap<String, IpAddr>),
}

/// Whether to inspect a container with these labels.
pub(crate) fn is_relevant(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(SWARM_SERVICE) || labels.keys().any(|key| is_traefik(key))
}

/// Whether labels of a container and of its service ask for a route.
pub(crate) fn ask_for_a_route<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> bool {
    let (mut has_label, mut is_disabled) = (false, false);
    for (key, value) in labels {
        has_label |= is_traefik(key);
        is_disabled |= key.eq_ignore_ascii_case(ENABLE) && value == "false";
    }
    has_label && !is_disabled
}

fn is_traefik(key: &str) -> bool {
    key.get(..TRAEFIK.len()).is_some_and(|start| start.eq_ignore_ascii_case(TRAEFIK))
}

/// Reads an inspection.
pub(crate) fn read(inspection: Inspection) -> Inspected {
    let state = &inspection.state;
    if !is_relevant(&inspection.config.labels) || has_sidecar(&inspection) {
        return Inspected::Ignored;
    }
    let Some(started) = timestamp::parse(&state.started_at) else { return Inspected::Ended };
    if !state.running || state.restarting {
        return Inspected::Ended;
    }
    let health = match state.health.as_ref().map(|health| health.status.as_str()) {
        _ if state.paused => Health::Unhealthy,
        Some("starting") => Health::Starting,
        Some("unhealthy") => Health::Unhealthy,
        // Without a health check, a running container counts as healthy.
        _ => Health::Healthy,
    };
    let name = inspection.name.trim_start_matches('/').to_owned();
    let Some(id) = instance_id(&inspection, &name) else { return Inspected::Ignored };
    let location = if inspection.host_config.network_mode == "host" {
        NetworkLocation::Host
    } else {
        NetworkLocation::Networks(addresses(&inspection.network_settings.networks).collect())
    };
    let binding = |binding: &PortBinding| {
        let address = binding.host_ip.parse().ok().filter(|address: &IpAddr| !address.is_unspecified());
        Some((address, binding.host_port.parse().ok()?))
    };
    let published = inspection.network_settings.ports.iter().filter_map(|(port, bindings)| {
        Some((port.clone(), bindings.as_ref()?.iter().filter_map(binding).collect()))
    });
    let published = published.collect();
    let config = inspection.config;
    let service = config.labels.get(SWARM_SERVICE);
    let slot = service.zip(config.labels.get(SWARM_TASK)).and_then(|(service, task)| slot(service, task));
    let project = config.labels.get(COMPOSE_PROJECT).zip(config.labels.get(COMPOSE_SERVICE));
    Inspected::Running(Box::new(Container {
        service: match (service, project) {
            (Some(service), _) => service.clone(),
            (None, Some((project, service))) => format!("{service}_{project}"),
            (None, None) => name.clone(),
        },
        id,
        name,
        slot,
        port: lowest_port(&config.exposed_ports.keys()).unwrap_or(DEFAULT_PORT),
        started,
        health,
        location,
        published,
        stop_signal: config.stop_signal.as_deref().and_then(signal::parse).unwrap_or(signal::TERM),
        stop_timeout: match config.stop_timeout {
            None => Some(STOP_TIMEOUT),
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        },
        host: config.hostname,
        labels: Labels(config.labels),
    }))
}

/// Whether a sidecar with a hub runs the container, and so registers it.
fn has_sidecar(inspection: &Inspection) -> bool {
    let words: Vec<&str> =
        std::iter::once(&inspection.path).chain(&inspection.args).map(String::as_str).collect();
    let is_sidecar = |word: &str| word.rsplit('/').next() == Some("sidecar");
    let Some(at) = words.windows(2).position(|pair| is_sidecar(pair[0]) && pair[1] == "run") else {
        return false;
    };
    let mut flags = words[at + 2..].iter().take_while(|word| **word != "--");
    let is_hub = |variable: &String| variable.strip_prefix("SIDECAR_HUB=").is_some_and(|hub| !hub.is_empty());
    inspection.config.env.iter().any(is_hub)
        || flags.any(|flag| *flag == "--hub" || flag.starts_with("--hub="))
}

fn instance_id(inspection: &Inspection, name: &str) -> Option<InstanceId> {
    if let Some(task) = inspection.config.labels.get(SWARM_TASK).and_then(|task| task.parse().ok()) {
        return Some(task);
    }
    let short = inspection.id.get(..SHORT_ID).unwrap_or(&inspection.id);
    format!("{name}-{short}").parse().ok()
}

/// Returns the slot of a task named `SERVICE.SLOT.ID`.
fn slot(service: &str, task: &str) -> Option<String> {
    let (slot, _) = task.strip_prefix(service)?.strip_prefix('.')?.split_once('.')?;
    Some(slot.to_owned())
}

/// Returns the lowest TCP port, or without TCP ports the lowest UDP port.
pub(crate) fn lowest_port<'a>(exposed: &(impl Iterator<Item = &'a String> + Clone)) -> Option<NonZeroU16> {
    let lowest = |suffix| exposed.clone().filter_map(|port| port.strip_suffix(suffix)?.parse().ok()).min();
    lowest("/tcp").or_else(|| lowest("/udp"))
}

/// Returns a container's address on each network, preferring IPv4.
pub(crate) fn addresses(
    networks: &BTreeMap<String, Option<Endpoint>>,
) -> impl Iterator<Item = (String, IpAddr)> {
    networks.iter().filter_map(|(name, endpoint)| {
        let endpoint = endpoint.as_ref()?;
        let address = endpoint.v4.parse().or_else(|_| endpoint.v6.parse()).ok()?;
        Some((name.clone(), address))
    })
}

impl Container {
    /// Whether `signal` ends the container, unless it handles the signal in another way.
    pub(crate) fn is_ended_by(&self, signal: u8) -> bool {
        signal == self.stop_signal || signal::FATAL.contains(&signal)
    }

    /// Returns the network that a label names.
    pub(crate) fn network(&self) -> Option<&str> {
        let is_network = |key: &str| NETWORK.iter().any(|name| key.eq_ignore_ascii_case(name));
        let label = self.labels.0.iter().find(|(key, value)| is_network(key) && !value.is_empty());
        label.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
pub(crate) mod tests;
