//! What the hub adds to `/metrics`, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protocol::{Health, Routing};

use crate::hub::Snapshot;

/// Appends the hub's metrics.
pub(crate) fn write(out: &mut String, snapshot: &Snapshot) {
    let mut by_state: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for instance in &snapshot.instances {
        let registration = &instance.registration;
        let key = (registration.service.as_str(), health(registration.health), routing(&instance.routing));
        *by_state.entry(key).or_default() += 1;
    }
    head(out, "hub_instances", "gauge", "Instances that hold a lease");
    for ((service, health, routing), count) in by_state {
        let service = service.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let _ = writeln!(
            out,
            "hub_instances{{service=\"{service}\",health=\"{health}\",routing=\"{routing}\"}} {count}"
        );
    }
    let stale = snapshot.instances.iter().filter(|instance| instance.stale).count();
    one(
        out,
        "hub_stale_instances",
        "gauge",
        "Instances that were started with other labels than their service has now",
        stale as u64,
    );
    one(out, "hub_routers", "gauge", "Routers that poll", snapshot.routers as u64);
    one(out, "hub_generation", "counter", "Configurations made since the start", snapshot.generation);
    let counters = snapshot.counters;
    one(out, "hub_withdrawn_total", "counter", "Instances that withdrew", counters.withdrawn);
    one(out, "hub_lost_total", "counter", "Instances whose lease ended without a withdrawal", counters.lost);
    one(
        out,
        "hub_unauthorized_total",
        "counter",
        "Requests with a wrong token or none",
        counters.unauthorized,
    );
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(out, name, kind, help);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{name} {value}");
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} {kind}");
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn routing(routing: &Routing) -> &'static str {
    match routing {
        Routing::Unrouted => "unrouted",
        Routing::Pending => "pending",
        Routing::Confirmed => "confirmed",
        Routing::Refused { .. } => "refused",
    }
}
