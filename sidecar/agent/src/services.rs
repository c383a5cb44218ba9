//! The swarm's services, as a manager publishes them to the hub. Pure.

use protocol::{Labels, ServiceSpec, Services, Update};
use serde::Deserialize;

use crate::engine::{ContainerSpec, Service, Task};

/// Variable from which a sidecar takes its labels.
const LABELS: &str = "SIDECAR_LABELS=";
/// Template expression for the service's labels.
const TEMPLATE: &str = ".Service.Labels";
/// Flag for a label of the sidecar's own. It also matches `--labels`, which contains no template.
const LABEL_FLAG: &str = "--label";

/// Converts the engine's list to the hub's format.
pub(crate) fn to_published(services: Vec<Service>) -> Services {
    let spec = |service: Service| {
        let (templated, settled) = (is_templated(&service), is_settled(&service));
        let labels = Labels(service.spec.labels);
        (service.spec.name, ServiceSpec { version: service.version.index, labels, templated, settled })
    };
    Services { services: services.into_iter().map(spec).collect() }
}

/// Converts the engine's description of a service's update to the hub's format, as the answer to question `number`.
pub(crate) fn to_update(number: u64, service: Service, tasks: Vec<Task>) -> Update {
    let name = service.spec.name;
    let task = |task: Task| {
        let slot = if task.slot == 0 { task.node_id } else { task.slot.to_string() };
        let error = if task.status.err.is_empty() { String::new() } else { format!(": {}", task.status.err) };
        let id = format!("{name}.{slot}.{}", task.id).parse().ok()?;
        Some((id, task.status.state + &error))
    };
    // Swarm creates the tasks of all nodes of a global service at the same time.
    let on_nodes = u64::try_from(tasks.len()).unwrap_or(u64::MAX).max(1);
    Update {
        number,
        version: service.version.index,
        replicas: service.spec.mode.replicated.map_or(on_nodes, |mode| mode.replicas),
        state: service.update_status.state,
        message: service.update_status.message,
        tasks: tasks.into_iter().filter_map(task).collect(),
    }
}

/// Whether the service's sidecars have the service's labels and no others.
fn is_templated(service: &Service) -> bool {
    // Tasks that are not containers have no ContainerSpec.
    let container =
        ContainerSpec::deserialize(&service.spec.task_template["ContainerSpec"]).unwrap_or_default();
    let mut labels = container.env.iter().filter_map(|variable| variable.strip_prefix(LABELS));
    let has_flag = container.command.iter().chain(&container.args).any(|word| word.contains(LABEL_FLAG));
    !has_flag && labels.any(|labels| labels.contains(TEMPLATE))
}

/// Whether no update replaces tasks. For a moment after a change of the service, its update status is still empty.
fn is_settled(service: &Service) -> bool {
    match service.update_status.state.as_str() {
        "completed" | "rollback_completed" => true,
        "" => service.previous_spec.as_ref().is_none_or(|previous| {
            let current = &service.spec;
            previous.task_template == current.task_template && previous.endpoint_spec == current.endpoint_spec
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
        let service = json!({
            "Version": {"Index": 7},
            "Spec": {
                "Name": "demo_ping",
                "Labels": {"a": "1"},
                "TaskTemplate": {"ContainerSpec": {"Env": env, "Command": command, "Args": args}},
            },
        });
        serde_json::from_value(service).unwrap()
    }

    #[test]
    fn labels_and_version_are_published_by_service_name() {
        let published = to_published(vec![service(&[], &[], &[])]).services;
        assert_eq!(published["demo_ping"].version, 7);
        assert_eq!(published["demo_ping"].labels.0["a"], "1");
    }

    #[test]
    fn service_is_templated_if_only_a_template_sets_the_sidecars_labels() {
        for (env, command, args, expected) in [
            (&[TEMPLATED][..], &[][..], &[][..], true),
            (&["A=1", TEMPLATED], &["/sidecar", "run"], &["--", "/ping"], true),
            (&["SIDECAR_LABELS=traefik.enable=true&"], &[], &[], false),
            (&["OTHER={{.Service.Labels}}"], &[], &[], false),
            (&[], &[], &[], false),
            (&[TEMPLATED], &["/sidecar", "run", "--label", "a=1"], &[], false),
            (&[TEMPLATED], &[], &["run", "--label=a=1", "--", "/ping"], false),
        ] {
            let published = to_published(vec![service(env, command, args)]).services;
            assert_eq!(published["demo_ping"].templated, expected, "{env:?} {command:?} {args:?}");
        }
    }

    #[test]
    fn update_names_tasks_as_swarm_does() {
        let service = json!({
            "Version": {"Index": 7}, "Spec": {"Name": "s", "Mode": {"Replicated": {"Replicas": 2}}},
            "UpdateStatus": {"State": "updating", "Message": "update in progress"},
        });
        let tasks = json!([
            {"ID": "a", "Slot": 1, "NodeID": "n", "Status": {"State": "running"}},
            {"ID": "b", "NodeID": "n", "Status": {"State": "pending", "Err": "no suitable node"}},
        ]);
        let read = |service, tasks| {
            to_update(3, serde_json::from_value(service).unwrap(), serde_json::from_value(tasks).unwrap())
        };
        let update = read(service, tasks);
        assert_eq!((update.number, update.version, update.replicas), (3, 7, 2));
        assert_eq!((&*update.state, &*update.message), ("updating", "update in progress"));
        let tasks: Vec<_> = update.tasks.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect();
        assert_eq!(tasks, [("s.1.a", "running"), ("s.n.b", "pending: no suitable node")]);
        let global = json!({"Spec": {"Name": "s", "Mode": {"Global": {}}}, "UpdateStatus": null});
        assert_eq!(read(global, json!([])), Update { number: 3, replicas: 1, ..Update::default() });
    }

    #[test]
    fn service_is_settled_unless_an_update_replaces_its_tasks() {
        let settled = |state: &str, previous: Option<Value>| {
            let template = json!({"ContainerSpec": {"Image": "b"}, "ForceUpdate": 1});
            let service = json!({
                "Spec": {"Name": "s", "Labels": {"a": "2"}, "TaskTemplate": template},
                "PreviousSpec": previous.map(|template| json!({"Name": "s", "TaskTemplate": template})),
                "UpdateStatus": {"State": state},
            });
            to_published(vec![serde_json::from_value(service).unwrap()]).services["s"].settled
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
