use serde_json::{Value, json};

use super::*;

/// What an engine says of a container that runs, with `change` over it.
pub(crate) fn inspected(change: Value) -> Inspection {
    let mut said = json!({
        "Id": "0123456789abcdef0123456789abcdef",
        "Name": "/web",
        "Path": "/ping",
        "Args": null,
        "State": {"Running": true, "Paused": false, "Restarting": false, "StartedAt": "2026-01-02T03:04:05.006Z"},
        "Config": {
            "Hostname": "web-host",
            "Env": null,
            "Labels": {"traefik.http.routers.web.rule": "Path(`/`)"},
            "ExposedPorts": {"9090/tcp": {}, "8080/tcp": {}, "53/udp": {}},
        },
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}},
    });
    merge(&mut said, change);
    serde_json::from_value(said).unwrap()
}

fn merge(value: &mut Value, change: Value) {
    match (value, change) {
        (Value::Object(value), Value::Object(change)) => {
            for (key, change) in change {
                merge(value.entry(key).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change,
    }
}

pub(crate) fn running(change: Value) -> Container {
    match read(inspected(change)) {
        Reading::Running(container) => *container,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_container_is_registered_as_what_it_says_of_itself() {
    let container = running(json!({}));
    assert_eq!((container.service.as_str(), container.id.as_str()), ("web", "web-0123456789ab"));
    assert_eq!((container.host.as_str(), container.slot.as_deref()), ("web-host", None));
    assert_eq!((container.port.get(), container.started), (8080, 1_767_323_045_006_000_000));
    assert_eq!(container.health, Health::Healthy);
    assert_eq!(container.labels.0.len(), 1);
    assert_eq!(container.place, Place::Networks([("bridge".to_owned(), [172, 17, 0, 2].into())].into()));
    let unexposed = running(json!({"Config": {"ExposedPorts": null}}));
    assert_eq!(unexposed.port.get(), 80);
}

#[test]
fn a_task_and_a_container_of_compose_are_called_as_there() {
    let task = running(json!({"Config": {"Labels": {
        SWARM_SERVICE: "demo_web.x", SWARM_TASK: "demo_web.x.3.ffkef7x4l1nj",
    }}}));
    assert_eq!((task.service.as_str(), task.id.as_str()), ("demo_web.x", "demo_web.x.3.ffkef7x4l1nj"));
    assert_eq!(task.slot.as_deref(), Some("3"));
    let labels = json!({COMPOSE_PROJECT: "home", COMPOSE_SERVICE: "web"});
    let container = running(json!({"Name": "/home_web_1", "Config": {"Labels": labels}}));
    assert_eq!((container.service.as_str(), container.id.as_str()), ("home_web", "home_web_1-0123456789ab"));
}

#[test]
fn health_is_the_checks_or_that_it_runs() {
    let health = |state| running(json!({ "State": state })).health;
    assert_eq!(health(json!({"Health": {"Status": "starting"}})), Health::Starting);
    assert_eq!(health(json!({"Health": {"Status": "healthy"}})), Health::Healthy);
    assert_eq!(health(json!({"Health": {"Status": "unhealthy"}})), Health::Unhealthy);
    assert_eq!(health(json!({"Health": {"Status": "none"}})), Health::Healthy);
    assert_eq!(health(json!({"Paused": true, "Health": {"Status": "healthy"}})), Health::Unhealthy);
}

#[test]
fn what_does_not_run_is_not_registered() {
    for state in [
        json!({"Running": false}),
        json!({"Restarting": true}),
        json!({"Running": false, "StartedAt": "0001-01-01T00:00:00Z"}),
    ] {
        assert_eq!(read(inspected(json!({ "State": state }))), Reading::Ended, "{state}");
    }
}

#[test]
fn only_those_with_labels_of_traefiks_or_of_a_swarm_are_registered() {
    let reading = |labels: Value| {
        let mut inspection = inspected(json!({}));
        inspection.config.labels = serde_json::from_value(labels).unwrap();
        read(inspection)
    };
    for labels in
        [json!({"traefik.port": "80"}), json!({"TRAEFIK.Enable": "true"}), json!({SWARM_SERVICE: "web"})]
    {
        assert!(matches!(reading(labels.clone()), Reading::Running(_)), "{labels}");
    }
    for labels in [json!({}), json!({"traefik": "1", "é": "", "com.example": "traefik.port"})] {
        assert_eq!(reading(labels.clone()), Reading::Another, "{labels}");
    }
}

#[test]
fn whoever_has_a_sidecar_with_a_hub_speaks_for_itself() {
    let hub = json!(["SIDECAR_HUB=http://hub:8080"]);
    for (path, args, env, expected) in [
        ("/sidecar", json!(["run", "--", "/ping"]), hub.clone(), true),
        ("sidecar", json!(["run", "--", "/ping"]), hub.clone(), true),
        ("/sbin/tini", json!(["--", "/usr/bin/sidecar", "run", "--", "/ping"]), hub.clone(), true),
        ("/sidecar", json!(["run", "--hub", "http://hub", "--", "/ping"]), json!([]), true),
        ("/sidecar", json!(["run", "--hub=http://hub", "--", "/ping"]), json!([]), true),
        ("/sidecar", json!(["run", "--", "/ping", "--hub=x"]), json!([]), false),
        ("/sidecar", json!(["run", "--", "/ping"]), json!(["SIDECAR_HUB="]), false),
        ("/sidecar", json!(["run", "--", "/ping"]), json!(null), false),
        ("/sidecar", json!(["healthcheck"]), hub.clone(), false),
        ("/mysidecar", json!(["run", "--", "/ping"]), hub.clone(), false),
        ("/ping", json!(null), hub, false),
    ] {
        let said = json!({"Path": path, "Args": args, "Config": {"Env": env}});
        let reading = read(inspected(said.clone()));
        assert_eq!(reading == Reading::Another, expected, "{said}");
    }
}

#[test]
fn a_container_is_ended_by_its_own_signal_and_by_those_that_end_all() {
    let nginx = running(json!({"Config": {"StopSignal": "SIGWINCH", "StopTimeout": 3}}));
    for (signal, expected) in
        [(28, true), (15, true), (9, true), (3, true), (2, true), (1, false), (10, false)]
    {
        assert_eq!(nginx.is_ended_by(signal), expected, "{signal}");
    }
    assert!(!running(json!({})).is_ended_by(28));
    assert_eq!(nginx.stop_timeout, Some(Duration::from_secs(3)));
    assert_eq!(running(json!({})).stop_timeout, Some(Duration::from_secs(10)));
    assert_eq!(running(json!({"Config": {"StopTimeout": -1}})).stop_timeout, None);
}

#[test]
fn the_network_is_named_by_a_label_in_any_case() {
    let network = |label: &str, value: &str| {
        running(json!({"Config": {"Labels": {label: value}}})).network().map(str::to_owned)
    };
    assert_eq!(network("traefik.docker.network", "apps").as_deref(), Some("apps"));
    assert_eq!(network("traefik.Swarm.Network", "apps").as_deref(), Some("apps"));
    assert_eq!(network("traefik.docker.network", ""), None);
    assert_eq!(network("traefik.docker.lbswarm", "apps"), None);
}
