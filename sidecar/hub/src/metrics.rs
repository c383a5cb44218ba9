//! The hub's own metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::{Health, Routing};
use runtime::exposition::{family, metric, sample};

use crate::journal::Durations;
use crate::state::State;

/// Appends the hub's metrics in Prometheus' text format.
pub(crate) fn write(out: &mut String, state: &State, now: Instant) {
    let mut instances: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for (id, instance) in &state.registry.instances {
        let registration = &instance.registration;
        let health = match registration.health {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        };
        let routing = match state.routing(id) {
            Routing::Unrouted => "unrouted",
            Routing::Pending => "pending",
            Routing::Confirmed => "confirmed",
            Routing::Refused { .. } => "refused",
        };
        *instances.entry((&registration.service, health, routing)).or_default() += 1;
    }
    family(out, "hub_instances", "gauge", "Instances that hold a lease.");
    for ((service, health, routing), count) in instances {
        let labels = [("service", service), ("health", health), ("routing", routing)];
        sample(out, "hub_instances", &labels, count);
    }
    let mut refusals: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for instance in state.registry.instances.values() {
        if let Some(kind) = instance.refusal_kind() {
            *refusals.entry((&instance.registration.service, kind)).or_default() += 1;
        }
    }
    let help = "Instances that are refused: wrong labels, other services, or Traefik's report.";
    family(out, "hub_refusals", "gauge", help);
    for ((service, kind), count) in refusals {
        sample(out, "hub_refusals", &[("service", service), ("kind", kind)], count);
    }
    let outdated = state.registry.instances.values().filter(|instance| instance.stale).count() as u64;
    let counters = state.counters;
    let journal = &state.registry.journal;
    histogram(
        out,
        &journal.routed,
        "hub_healthy_to_routed_seconds",
        "Time from the first healthy registration of a task until every router sends requests to it.",
    );
    histogram(
        out,
        &journal.unrouted,
        "hub_withdrawn_to_unrouted_seconds",
        "Time from the withdrawal of a task until no router sends requests to it.",
    );
    family(
        out,
        "hub_router_behind_seconds",
        "gauge",
        "Time for which a router has not used the latest configuration.",
    );
    let status = state.status(now);
    let mut behind: BTreeMap<String, Duration> = BTreeMap::new();
    for router in status.routers {
        let time = router.behind_since.map(|since| Duration::from_millis(status.now.saturating_sub(since)));
        let longest = behind.entry(router.name).or_default();
        *longest = time.unwrap_or_default().max(*longest);
    }
    for (name, time) in behind {
        sample(out, "hub_router_behind_seconds", &[("router", &name)], time.as_secs_f64());
    }
    for (name, kind, help, value) in [
        ("hub_stale_instances", "gauge", "Instances whose service has other labels now.", outdated),
        ("hub_routers", "gauge", "Routers that poll.", state.routers.len() as u64),
        ("hub_generation", "counter", "Configurations since the start.", state.generation),
        ("hub_withdrawn_total", "counter", "Instances that were withdrawn.", counters.withdrawn),
        ("hub_lost_total", "counter", "Instances whose lease expired.", counters.lost),
        ("hub_unauthorized_total", "counter", "Requests without a valid token.", counters.unauthorized),
    ] {
        metric(out, name, kind, help, value);
    }
}

fn histogram(out: &mut String, durations: &Durations, name: &str, help: &str) {
    family(out, name, "histogram", help);
    let (bucket, (count, sum)) = (format!("{name}_bucket"), durations.total());
    for (bound, count) in durations.buckets().chain([("+Inf", count)]) {
        sample(out, &bucket, &[("le", bound)], count);
    }
    sample(out, &format!("{name}_sum"), &[], sum.as_secs_f64());
    sample(out, &format!("{name}_count"), &[], count);
}
