//! What a manager knows of the swarm's services, as the hub is told. Pure.

use protocol::{Labels, ServiceSpec, Services};
use serde::Deserialize;

use crate::engine::{ContainerSpec, Service};

/// Has a sidecar take its labels from its service.
const LABELS: &str = "SIDECAR_LABELS=";
/// Stands in a template where the service's labels are to be.
const TEMPLATE: &str = ".Service.Labels";
/// The sidecar's flag for one label more, which the service's own are not to replace.
const LABEL: &str = "--label";

/// The hub's form of an engine's list.
pub(crate) fn published(services: Vec<Service>) -> Services {
    let spec = |service: Service| {
        let (templated, settled) = (is_templated(&service), is_settled(&service));
        let labels = Labels(service.spec.labels);
        (service.spec.name, ServiceSpec { version: service.version.index, labels, templated, settled })
    };
    Services { services: services.into_iter().map(spec).collect() }
}

fn is_templated(service: &Service) -> bool {
    // Tasks of other kinds than containers have no such part.
    let container =
        ContainerSpec::deserialize(&service.spec.task_template["ContainerSpec"]).unwrap_or_default();
    let mut labels = container.env.iter().filter_map(|variable| variable.strip_prefix(LABELS));
    // `--labels` itself would be no template's.
    let has_flag = container.command.iter().chain(&container.args).any(|word| word.contains(LABEL));
    !has_flag && labels.any(|labels| labels.contains(TEMPLATE))
}

/// Whether no update replaces tasks, or is about to: between a change and the first word of its update there is a moment.
fn is_settled(service: &Service) -> bool {
    match service.update_status.state.as_str() {
        "completed" | "rollback_completed" => true,
        "" => service.previous_spec.as_ref().is_none_or(|previous| {
            let of = &service.spec;
            previous.task_template == of.task_template && previous.endpoint_spec == of.endpoint_spec
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TEMPLATED: &str =
        "SIDECAR_LABELS={{range $k, $v := .Service.Labels}}{{urlquery $k}}={{urlquery $v}}&{{end}}";

    fn service(env: &[&str], command: &[&str], args: &[&str]) -> Service {
        let said = json!({
            "Version": {"Index": 7},
            "Spec": {
                "Name": "demo_ping",
                "Labels": {"a": "1"},
                "TaskTemplate": {"ContainerSpec": {"Env": env, "Command": command, "Args": args}},
            },
        });
        serde_json::from_value(said).unwrap()
    }

    #[test]
    fn labels_and_version_are_told_by_the_services_name() {
        let told = published(vec![service(&[], &[], &[])]).services;
        assert_eq!(told["demo_ping"].version, 7);
        assert_eq!(told["demo_ping"].labels.0["a"], "1");
    }

    #[test]
    fn a_sidecar_has_its_labels_from_the_service_if_a_template_alone_gives_them() {
        for (env, command, args, expected) in [
            (&[TEMPLATED][..], &[][..], &[][..], true),
            (&["A=1", TEMPLATED], &["/sidecar", "run"], &["--", "/ping"], true),
            (&["SIDECAR_LABELS=traefik.enable=true&"], &[], &[], false),
            (&["OTHER={{.Service.Labels}}"], &[], &[], false),
            (&[], &[], &[], false),
            (&[TEMPLATED], &["/sidecar", "run", "--label", "a=1"], &[], false),
            (&[TEMPLATED], &[], &["run", "--label=a=1", "--", "/ping"], false),
        ] {
            let told = published(vec![service(env, command, args)]).services;
            assert_eq!(told["demo_ping"].templated, expected, "{env:?} {command:?} {args:?}");
        }
    }

    #[test]
    fn a_service_is_settled_unless_its_tasks_are_being_replaced() {
        let settled = |state: &str, previous: Option<Value>| {
            let template = json!({"ContainerSpec": {"Image": "b"}, "ForceUpdate": 1});
            let said = json!({
                "Spec": {"Name": "s", "Labels": {"a": "2"}, "TaskTemplate": template},
                "PreviousSpec": previous.map(|template| json!({"Name": "s", "TaskTemplate": template})),
                "UpdateStatus": {"State": state},
            });
            published(vec![serde_json::from_value(said).unwrap()]).services["s"].settled
        };
        let same = json!({"ContainerSpec": {"Image": "b"}, "ForceUpdate": 1});
        let other = json!({"ContainerSpec": {"Image": "b"}, "ForceUpdate": 0});
        assert!(settled("", None) && settled("", Some(same)));
        assert!(!settled("", Some(other.clone())), "an update is about to begin");
        for state in ["updating", "paused", "rollback_started", "rollback_paused"] {
            assert!(!settled(state, Some(other.clone())), "{state}");
        }
        assert!(settled("completed", Some(other.clone())) && settled("rollback_completed", Some(other)));
    }
}
