use serde_json::{Value, json};

use super::*;

/// The inspection of a running container, with `change` merged into it.
pub(crate) fn inspected(change: Value) -> Inspection {
    let mut inspection = json!({
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
    merge(&mut inspection, change);
    serde_json::from_value(inspection).unwrap()
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
        Inspected::Running(container) => *container,
        other => panic!("{other:?}"),
    }
}

#[test]
fn registration_follows_the_inspection() {
    let container = running(json!({}));
    assert_eq!((container.service.as_str(), &*container.id.to_string()), ("web", "web-0123456789ab"));
    assert_eq!((container.host.as_str(), container.slot.as_deref()), ("web-host", None));
    assert_eq!((container.port.get(), container.started), (8080, 1_767_323_045_006_000_000));
    assert_eq!(container.health, Health::Healthy);
    assert_eq!(container.labels.0.len(), 1);
    assert_eq!(
        container.location,
        NetworkLocation::Networks([("bridge".to_owned(), [172, 17, 0, 2].into())].into())
    );
    let unexposed = running(json!({"Config": {"ExposedPorts": null}}));
    assert_eq!(unexposed.port.get(), 80);
    let mut name_server = inspected(json!({}));
    name_server.config.exposed_ports =
        ["5353/udp", "53/udp"].map(|port| (port.to_owned(), Value::default())).into();
    assert!(matches!(read(name_server), Inspected::Running(container) if container.port.get() == 53));
}

#[test]
fn swarm_tasks_and_compose_containers_keep_their_names() {
    let task = running(json!({"Config": {"Labels": {
        SWARM_SERVICE: "demo_web.x", SWARM_TASK: "demo_web.x.3.ffkef7x4l1nj",
    }}}));
    assert_eq!((task.service.as_str(), &*task.id.to_string()), ("demo_web.x", "demo_web.x.3.ffkef7x4l1nj"));
    assert_eq!(task.slot.as_deref(), Some("3"));
    let labels = json!({COMPOSE_PROJECT: "home", COMPOSE_SERVICE: "web"});
    let container = running(json!({"Name": "/home_web_1", "Config": {"Labels": labels}}));
    assert_eq!(
        (container.service.as_str(), &*container.id.to_string()),
        ("web_home", "home_web_1-0123456789ab")
    );
}

#[test]
fn health_is_the_health_check_or_the_running_state() {
    let health = |state| running(json!({ "State": state })).health;
    assert_eq!(health(json!({"Health": {"Status": "starting"}})), Health::Starting);
    assert_eq!(health(json!({"Health": {"Status": "healthy"}})), Health::Healthy);
    assert_eq!(health(json!({"Health": {"Status": "unhealthy"}})), Health::Unhealthy);
    assert_eq!(health(json!({"Health": {"Status": "none"}})), Health::Healthy);
    assert_eq!(health(json!({"Paused": true, "Health": {"Status": "healthy"}})), Health::Unhealthy);
}

#[test]
fn stopped_container_is_not_registered() {
    for state in [
        json!({"Running": false}),
        json!({"Restarting": true}),
        json!({"Running": false, "StartedAt": "0001-01-01T00:00:00Z"}),
    ] {
        assert_eq!(read(inspected(json!({ "State": state }))), Inspected::Ended, "{state}");
    }
}

#[test]
fn only_containers_with_traefik_or_swarm_labels_are_registered() {
    let result = |labels: Value| {
        let mut inspection = inspected(json!({}));
        inspection.config.labels = serde_json::from_value(labels).unwrap();
        read(inspection)
    };
    for labels in
        [json!({"traefik.port": "80"}), json!({"TRAEFIK.Enable": "true"}), json!({SWARM_SERVICE: "web"})]
    {
        assert!(matches!(result(labels.clone()), Inspected::Running(_)), "{labels}");
    }
    for labels in [json!({}), json!({"traefik": "1", "é": "", "com.example": "traefik.port"})] {
        assert_eq!(result(labels.clone()), Inspected::Ignored, "{labels}");
    }
}

#[test]
fn container_with_a_sidecar_and_a_hub_is_ignored() {
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
        let change = json!({"Path": path, "Args": args, "Config": {"Env": env}});
        let result = read(inspected(change.clone()));
        assert_eq!(result == Inspected::Ignored, expected, "{change}");
    }
}

#[test]
fn stop_signal_and_fatal_signals_end_a_container() {
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
fn network_label_is_case_insensitive() {
    let network = |label: &str, value: &str| {
        running(json!({"Config": {"Labels": {label: value}}})).network().map(str::to_owned)
    };
    assert_eq!(network("traefik.docker.network", "apps").as_deref(), Some("apps"));
    assert_eq!(network("traefik.Swarm.Network", "apps").as_deref(), Some("apps"));
    assert_eq!(network("traefik.docker.network", ""), None);
    assert_eq!(network("traefik.docker.lbswarm", "apps"), None);
}

#[test]
fn ipv6_address_is_used_without_an_ipv4_address() {
    let endpoint = |v4: &str, v6: &str| Some(Endpoint { v4: v4.to_owned(), v6: v6.to_owned() });
    let networks = BTreeMap::from([
        ("both".to_owned(), endpoint("10.0.0.1", "fd00::1")),
        ("six".to_owned(), endpoint("", "fd00::2")),
        ("none".to_owned(), endpoint("", "")),
        ("null".to_owned(), None),
    ]);
    let addresses: Vec<_> = addresses(&networks).map(|(name, address)| format!("{name} {address}")).collect();
    assert_eq!(addresses, ["both 10.0.0.1", "six fd00::2"]);
}
