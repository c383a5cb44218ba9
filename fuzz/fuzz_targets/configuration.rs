//! From labels to Traefik's configuration. The input is a list of instances, separated by empty lines: the name of a
//! service, then its labels, `KEY=VALUE`. If the input begins with `#`, the rest of the first line is the template of the
//! default rule; an invalid template is replaced by a valid one.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fuzz::known::Known;
use libfuzzer_sys::fuzz_target;
use protocol::{Health, InstanceId, Labels, Registration, Routing};
use serde_json::Value;
use traefik::{Exposure, parse_labels};

use registry::{Registry, Settings};
use reports::Reports;

#[allow(dead_code)]
#[path = "../../sidecar/hub/src/explanation.rs"]
mod explanation;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/journal.rs"]
mod journal;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/key.rs"]
mod key;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/leases.rs"]
mod leases;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/plans.rs"]
mod plans;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/policy.rs"]
mod policy;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/registry.rs"]
mod registry;
#[path = "../../sidecar/hub/src/reports.rs"]
mod reports;
#[allow(dead_code)]
#[path = "../../sidecar/hub/src/specs.rs"]
mod specs;
#[path = "../../sidecar/hub/src/ticket.rs"]
mod ticket;
#[path = "../../sidecar/traefik/tests/support/to_labels.rs"]
mod to_labels;

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| Known::read(include_str!("../../sidecar/traefik/src/fields.txt")));

/// A router without an API, which uses each generation at once.
struct Confirmed;

impl Reports for Confirmed {
    fn can_try(&self) -> bool {
        false
    }

    fn is_confirmed(&self, _: u64) -> bool {
        true
    }

    fn error(&self, _: u64, _: &str, _: &str, _: &str) -> Option<String> {
        None
    }

    fn revision(&self) -> u64 {
        0
    }
}

/// Maximum number of instances; more would only slow the target down.
const MAX_INSTANCES: usize = 8;

fuzz_target!(|text: &str| {
    let (text, default_rule) = match text.strip_prefix('#') {
        Some(text) => {
            let (template, rest) = text.split_once('\n').unwrap_or_default();
            let template = template.parse().or_else(|_| "PathPrefix(`/{{ normalize .Name }}`)".parse());
            (rest, template.ok())
        }
        None => (text, None),
    };
    let exposure = Exposure { default_rule, ..Exposure::default() };
    let hour = Duration::from_secs(3600);
    let settings = Settings {
        ttl: hour,
        lost_after: hour,
        agent_lost_after: hour,
        keep_empty: hour,
        exposure: exposure.clone(),
        key: key::Key::default(),
        policy: policy::Policy::default(),
    };
    let mut now = Instant::now();
    let mut registry = Registry::new(settings, now, 1);
    let mut waits = false;
    let mut services: Vec<String> = Vec::new();
    let mut before = Value::Object(serde_json::Map::new());
    for (number, instance) in text.split("\n\n").take(MAX_INSTANCES).enumerate() {
        let registration = registration(instance, number);
        let service = registration.service.clone();
        let config = traefik_v1::read_config(&service, &registration.labels, &exposure);
        if let Ok(tree) = parse_labels(&registration.labels) {
            assert_eq!(
                parse_labels(&to_labels::to_labels(&tree)),
                Ok(tree),
                "labels of the tree parse to the same tree"
            );
        }
        let Ok(id) = format!("instance-{number}").parse::<InstanceId>() else { return };
        assert_eq!(registry.register(now, false, &id, 1, registration, false), Ok(true));

        // The order of services is that of their first registrations.
        now += Duration::from_millis(1);
        registry.update(&Confirmed);
        let json = registry.document.to_json();
        let document: Value = serde_json::from_str(&json).expect("the document is JSON");
        registry.set_generation(now, number as u64);
        KNOWN.check(&document);
        let routing = registry.routing(&id, &Confirmed);
        let is_refused = matches!(routing, Routing::Refused { .. });
        // Characters that YAML does not allow.
        assert!(
            !json.contains(|letter| matches!(
                letter,
                '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{2028}' | '\u{2029}'
            ))
        );
        if config.is_err() || (is_refused && !services.contains(&service)) {
            assert!(is_refused, "{routing:?}");
            assert_eq!(before, document, "a refused instance is not in the document");
        }
        if !services.contains(&service) {
            // A refused instance may have waited for the new definitions.
            if !waits {
                assert_kept(&before, &document);
            }
            services.push(service);
        }
        waits |= is_refused;
        before = document;
    }
});

/// Asserts that everything in `before` is unchanged in `after`, except that services may have more servers.
fn assert_kept(before: &Value, after: &Value) {
    for (protocol, kinds) in before.as_object().into_iter().flatten() {
        for (kind, names) in kinds.as_object().into_iter().flatten() {
            for (name, value) in names.as_object().into_iter().flatten() {
                let servers = |value: &mut Value| value["loadbalancer"]["servers"].take();
                let (mut value, mut after) = (value.clone(), after[protocol][kind][name].clone());
                if kind == "services" && value["loadbalancer"].is_object() {
                    let (before, after) = (servers(&mut value), servers(&mut after));
                    let after = after.as_array().map_or(&[][..], Vec::as_slice);
                    let before = before.as_array().map_or(&[][..], Vec::as_slice);
                    assert!(before.iter().all(|server| after.contains(server)), "{protocol}.{kind}.{name}");
                }
                assert_eq!(value, after, "{protocol}.{kind}.{name}");
            }
        }
    }
}

fn registration(text: &str, number: usize) -> Registration {
    let mut lines = text.lines();
    let service = lines.next().filter(|name| !name.is_empty()).unwrap_or("nameless").to_owned();
    let labels = lines.filter_map(|line| line.split_once('='));
    Registration {
        service,
        host: "host".to_owned(),
        node: None,
        slot: None,
        address: [10, 0, 0, 1].into(),
        port: std::num::NonZeroU16::MIN,
        started: number as u64,
        // Later instances started later.
        age_ms: 10_000 * (MAX_INSTANCES - number) as u64,
        health: Health::Healthy,
        labels: Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()).into(),
        source: protocol::Source::Sidecar,
        published: std::collections::BTreeMap::new(),
        ticket: None,
    }
}
