//! Targets for Prometheus' HTTP service discovery. Pure.
//!
//! Each task with a sidecar is a target at the admin port of the project's services. Labels of the service change that:
//! `prometheus.port`, `prometheus.path`, and `prometheus.scrape=false`. A container that an agent registered is a target if it has
//! `prometheus.port`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use protocol::{InstanceId, Labels, Registration};
use serde::Serialize;

/// Admin port of the project's services.
const ADMIN_PORT: u16 = 9090;

/// A target with its labels, as Prometheus reads it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Target<'a> {
    targets: [String; 1],
    labels: BTreeMap<&'static str, Cow<'a, str>>,
}

/// Returns the target of an instance with these labels, if it has one.
pub(crate) fn target<'a>(
    id: &'a InstanceId,
    registration: &'a Registration,
    labels: &Labels,
) -> Option<Target<'a>> {
    let label = |key| labels.0.get(key).map(String::as_str);
    if label("prometheus.scrape") == Some("false") {
        return None;
    }
    let port = match label("prometheus.port") {
        Some(port) => port.parse::<NonZeroU16>().ok()?.get(),
        None => registration.source.is_sidecar().then_some(ADMIN_PORT)?,
    };
    // Other ports than published ones are out of reach.
    let published = &registration.published;
    let port = if published.is_empty() { port } else { published.get(&format!("{port}/tcp"))?.get() };
    let texts = [
        ("service", Some((&*registration.service).into())),
        ("task", Some(id.as_str().into())),
        ("node", registration.node.as_deref().map(Cow::from)),
        ("slot", registration.slot.as_deref().map(Cow::from)),
        ("__metrics_path__", label("prometheus.path").map(|path| path.to_owned().into())),
    ];
    let labels = texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    Some(Target { targets: [SocketAddr::new(registration.address, port).to_string()], labels })
}

#[cfg(test)]
mod tests {
    use protocol::{Health, Source};
    use serde_json::json;

    use super::*;
    use crate::registry::tests::registration;

    #[test]
    fn labels_choose_port_and_path_or_no_target() {
        let id = "s.1".parse().unwrap();
        let found = |source, labels: &[(&str, &str)]| {
            let registration = Registration {
                node: Some("worker-1".to_owned()),
                slot: Some("1".to_owned()),
                source,
                ..registration("s.1", Health::Starting, labels)
            };
            target(&id, &registration, &registration.labels)
                .map(|target| serde_json::to_value(target).unwrap())
        };
        let labels = json!({"service": "s", "task": "s.1", "node": "worker-1", "slot": "1"});
        let expected = json!({"targets": ["10.0.1.1:9090"], "labels": labels});
        assert_eq!(found(Source::Sidecar, &[]), Some(expected));
        assert_eq!(found(Source::Agent, &[]), None);
        let own = [("prometheus.port", "81"), ("prometheus.path", "/m")];
        let target = found(Source::Agent, &own).unwrap();
        assert_eq!(
            (&target["targets"][0], &target["labels"]["__metrics_path__"]),
            (&json!("10.0.1.1:81"), &json!("/m"))
        );
        assert_eq!(found(Source::Sidecar, &[("prometheus.scrape", "false")]), None);
        assert_eq!(found(Source::Sidecar, &[("prometheus.port", "x")]), None);
    }

    #[test]
    fn published_port_is_a_target_in_place_of_the_containers() {
        let id = "s.1".parse().unwrap();
        let port = NonZeroU16::new(32768).unwrap();
        for (label, expected) in [("81", Some("10.0.1.1:32768")), ("82", None)] {
            let labels = [("prometheus.port", label)];
            let published = [("81/tcp".to_owned(), port)].into();
            let known = Registration { published, ..registration("s.1", Health::Starting, &labels) };
            let found = target(&id, &known, &known.labels);
            assert_eq!(found.as_ref().map(|found| found.targets[0].as_str()), expected);
        }
    }
}
