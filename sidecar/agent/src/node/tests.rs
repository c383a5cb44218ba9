use serde_json::{Value, json};

use super::*;
use crate::container::tests::inspected;

const ID: &str = "0123456789abcdef0123456789abcdef";
const SECOND: u64 = 1_000_000_000;
/// Start of the container of [`inspected`].
const STARTED: u64 = 1_767_323_045_006_000_000;
const NOW: u64 = STARTED + 100 * SECOND;

fn event(r#type: &str, action: &str, time: u64, attributes: &Value) -> Event {
    let event = json!({"Type": r#type, "Action": action, "Actor": {"ID": ID, "Attributes": attributes}, "timeNano": time});
    serde_json::from_value(event).unwrap()
}

fn container_event(action: &str, time: u64) -> Event {
    event("container", action, time, &json!({"traefik.enable": "true"}))
}

fn kill(signal: &str, time: u64) -> Event {
    event("container", "kill", time, &json!({ "signal": signal }))
}

fn list(list: Value) -> Vec<ListedContainer> {
    serde_json::from_value(list).unwrap()
}

/// A node with the agent on the host's network.
fn node(settings: Settings) -> Node {
    let mut node = Node::new(settings);
    assert!(!node.connected([127, 0, 0, 1].into(), NOW));
    node
}

/// A node with one container.
fn with_one(change: Value) -> Node {
    let mut node = node(Settings { stop_margin: Duration::from_secs(5), ..Settings::default() });
    start(&mut node, change);
    node
}

fn start(node: &mut Node, change: Value) {
    assert_eq!(node.apply_event(&container_event("start", NOW), NOW), Some(Query::Container(ID.to_owned())));
    assert_eq!(node.apply_inspection(ID, Some(inspected(change)), NOW), None);
}

fn only(node: &Node) -> &Registration {
    let [registration] = node.wanted().values().collect::<Vec<_>>()[..] else {
        panic!("{:?}", node.wanted())
    };
    registration
}

#[test]
fn started_container_is_inspected_and_registered() {
    let mut node = with_one(json!({}));
    let info = json!({"Name": "leader", "Swarm": {"NodeAddr": "192.168.2.1", "ControlAvailable": false}});
    assert_eq!(node.apply_info(serde_json::from_value(info).unwrap(), NOW), None);
    let registration = only(&node);
    assert_eq!(registration.address, IpAddr::from([172, 17, 0, 2]));
    assert_eq!((registration.node.as_deref(), registration.source), (Some("leader"), Source::Agent));
    assert_eq!((registration.started, registration.health), (STARTED / 1_000_000, Health::Healthy));
}

#[test]
fn container_without_relevant_labels_is_not_inspected() {
    let mut node = node(Settings::default());
    assert_eq!(node.apply_event(&event("container", "start", NOW, &json!({"image": "a"})), NOW), None);
    let listed =
        list(json!([{"Id": "a", "Labels": {}}, {"Id": "b", "Labels": {"traefik.port": "80"}}, {"Id": "c"}]));
    assert_eq!(node.apply_list(&listed, NOW), ["b"]);
}

#[test]
fn container_is_unhealthy_from_a_fatal_signal_on() {
    for (signal, expected) in [
        ("15", Health::Unhealthy),
        ("9", Health::Unhealthy),
        ("3", Health::Unhealthy),
        ("28", Health::Unhealthy),
        ("1", Health::Healthy),
        ("10", Health::Healthy),
    ] {
        let mut node = with_one(json!({"Config": {"StopSignal": "SIGWINCH"}}));
        assert_eq!(node.apply_event(&kill(signal, NOW), NOW), None);
        assert_eq!(only(&node).health, expected, "{signal}");
        node.apply_event(&container_event("die", NOW + 1), NOW);
        assert!(node.wanted().is_empty(), "{signal}");
    }
}

#[test]
fn container_that_survives_its_stop_timeout_is_healthy_again() {
    let mut node = with_one(json!({"Config": {"StopTimeout": 2}}));
    node.apply_event(&kill("15", NOW), NOW);
    assert_eq!(node.next_change(), Some(NOW + 7 * SECOND));
    // Another inspection does not change that.
    node.apply_event(&container_event("health_status: healthy", NOW), NOW + SECOND);
    assert_eq!(
        node.apply_inspection(ID, Some(inspected(json!({"Config": {"StopTimeout": 2}}))), NOW + SECOND),
        None
    );
    node.advance(NOW + 6 * SECOND);
    assert_eq!(only(&node).health, Health::Unhealthy);
    node.advance(NOW + 7 * SECOND);
    assert_eq!((only(&node).health, node.next_change()), (Health::Healthy, None));

    let mut unlimited = with_one(json!({"Config": {"StopTimeout": -1}}));
    unlimited.apply_event(&kill("15", NOW), NOW);
    unlimited.advance(u64::MAX - 1);
    assert_eq!((only(&unlimited).health, unlimited.next_change()), (Health::Unhealthy, None));
}

#[test]
fn events_from_before_the_start_are_ignored() {
    let mut node = with_one(json!({}));
    node.apply_event(&kill("15", STARTED - 2), NOW);
    node.apply_event(&container_event("die", STARTED - 1), NOW);
    assert_eq!(only(&node).health, Health::Healthy);
}

#[test]
fn signal_during_an_inspection_counts() {
    let mut node = node(Settings::default());
    node.apply_event(&container_event("start", NOW), NOW);
    node.apply_event(&kill("1", NOW), NOW);
    node.apply_event(&kill("15", NOW), NOW);
    assert_eq!(node.apply_inspection(ID, Some(inspected(json!({}))), NOW), None);
    assert_eq!(only(&node).health, Health::Unhealthy);
}

#[test]
fn inspection_from_before_an_event_is_repeated() {
    let mut node = node(Settings::default());
    node.apply_event(&container_event("start", NOW), NOW);
    node.apply_event(&container_event("die", NOW), NOW);
    // The inspection shows it running.
    let again = node.apply_inspection(ID, Some(inspected(json!({}))), NOW);
    assert_eq!(again, Some(Query::Container(ID.to_owned())));
    assert!(node.wanted().is_empty());
    assert_eq!(node.apply_inspection(ID, Some(inspected(json!({"State": {"Running": false}}))), NOW), None);
    assert!(node.wanted().is_empty());
    start(&mut node, json!({}));
    assert_eq!(node.wanted().len(), 1);
}

#[test]
fn events_during_an_inspection_cause_one_more() {
    let mut node = node(Settings::default());
    node.apply_event(&container_event("start", NOW), NOW);
    assert_eq!(node.apply_event(&container_event("health_status: healthy", NOW), NOW), None);
    assert_eq!(node.apply_event(&container_event("health_status: healthy", NOW), NOW), None);
    let again =
        node.apply_inspection(ID, Some(inspected(json!({"State": {"Health": {"Status": "starting"}}}))), NOW);
    assert_eq!(again, Some(Query::Container(ID.to_owned())));
    assert!(node.wanted().is_empty());
    assert_eq!(node.apply_inspection(ID, Some(inspected(json!({}))), NOW), None);
    assert_eq!(only(&node).health, Health::Healthy);
}

#[test]
fn renamed_container_is_registered_under_its_new_name() {
    let mut node = with_one(json!({}));
    assert_eq!(node.apply_event(&container_event("rename", NOW), NOW), Some(Query::Container(ID.to_owned())));
    assert_eq!(node.apply_inspection(ID, Some(inspected(json!({"Name": "/other"}))), NOW), None);
    let ids: Vec<_> = node.wanted().keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["other-0123456789ab"]);
}

#[test]
fn container_without_a_network_is_unhealthy_and_not_withdrawn() {
    let mut node = with_one(json!({}));
    let off = event("network", "disconnect", NOW, &json!({ "container": ID }));
    assert_eq!(node.apply_event(&off, NOW), Some(Query::Container(ID.to_owned())));
    let nowhere = json!({"NetworkSettings": {"Networks": {"bridge": null}}});
    assert_eq!(node.apply_inspection(ID, Some(inspected(nowhere)), NOW), None);
    assert_eq!(only(&node).health, Health::Unhealthy);
    // An event of another container.
    let other = event("network", "connect", NOW, &json!({"container": "other"}));
    assert_eq!(node.apply_event(&other, NOW), None);
}

#[test]
fn container_on_several_networks_is_not_routed_and_logged_once() {
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}, "bridge": null});
    let two = json!({"NetworkSettings": {"Networks": networks}});
    let mut node = with_one(two.clone());
    assert!(node.wanted().is_empty());
    let [message] = &node.take_messages()[..] else { panic!("expected one message") };
    assert!(
        message.is_warning
            && message.text.starts_with("container web is not routed: it is on several networks (a, b)"),
        "{message:?}"
    );
    start(&mut node, two);
    assert!(node.take_messages().is_empty());
}

#[test]
fn container_that_wants_no_route_gets_no_warning() {
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}});
    let labels = json!({"traefik.enable": "false"});
    let mut node = with_one(json!({"Config": {"Labels": labels}, "NetworkSettings": {"Networks": networks}}));
    assert!(node.take_messages().iter().all(|message| !message.is_warning));
}

#[test]
fn network_of_the_agent_is_preferred() {
    let mut node = Node::new(Settings::default());
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}, "bridge": null});
    let two = json!({"NetworkSettings": {"Networks": networks}});
    start(&mut node, two);
    // Unknown before the agent is connected to the hub.
    assert!(node.wanted().is_empty() && node.take_messages().is_empty());
    assert!(node.connected([10, 0, 1, 9].into(), NOW), "no container is known to have that address");
    let own = json!({"Id": "agent", "NetworkSettings": {"Networks": {"b": {"IPAddress": "10.0.1.9"}}}});
    node.apply_addresses(&list(json!([own])), NOW);
    assert_eq!(only(&node).address, IpAddr::from([10, 0, 1, 2]));
    assert!(!node.connected([10, 0, 1, 9].into(), NOW));
}

#[test]
fn container_on_the_host_network_has_the_nodes_address() {
    let host = json!({"HostConfig": {"NetworkMode": "host"}});
    let mut node = Node::new(Settings::default());
    start(&mut node, host.clone());
    node.connected([192, 168, 2, 1].into(), NOW);
    node.apply_addresses(&[], NOW);
    assert_eq!(only(&node).address, IpAddr::from([192, 168, 2, 1]));

    // An agent in a container network knows the address from a flag or from the swarm.
    let mut inside = Node::new(Settings::default());
    start(&mut inside, host.clone());
    inside.connected([10, 0, 1, 9].into(), NOW);
    let own = json!({"Id": "agent", "NetworkSettings": {"Networks": {"b": {"IPAddress": "10.0.1.9"}}}});
    inside.apply_addresses(&list(json!([own])), NOW);
    assert!(inside.wanted().is_empty());
    assert!(inside.take_messages()[0].text.contains("--host-address"));
    inside.apply_info(serde_json::from_value(json!({"Swarm": {"NodeAddr": "192.168.2.7"}})).unwrap(), NOW);
    assert_eq!(only(&inside).address, IpAddr::from([192, 168, 2, 7]));

    let mut configured =
        self::node(Settings { host_address: Some([1, 2, 3, 4].into()), ..Settings::default() });
    start(&mut configured, host);
    assert_eq!(only(&configured).address, IpAddr::from([1, 2, 3, 4]));
}

#[test]
fn containers_stay_while_the_engine_is_away_until_a_list_lacks_them() {
    let mut node = with_one(json!({}));
    node.apply_event(&container_event("health_status: unhealthy", NOW), NOW);
    node.disconnected();
    assert_eq!(only(&node).health, Health::Healthy);
    let listed = list(json!([{"Id": ID, "Labels": {"traefik.enable": "true"}}]));
    assert_eq!(node.apply_list(&listed, NOW), [ID]);
    assert_eq!(node.wanted().len(), 1);
    assert!(node.apply_list(&[], NOW).is_empty());
    assert!(node.wanted().is_empty());
}

#[test]
fn services_are_published_only_while_the_node_is_a_manager() {
    let mut node = node(Settings::default());
    let info = |manager| -> Info {
        serde_json::from_value(json!({"Name": "leader", "Swarm": {"ControlAvailable": manager}})).unwrap()
    };
    let update = event("service", "update", NOW, &json!({}));
    assert_eq!(node.apply_info(info(false), NOW), None);
    assert_eq!(node.apply_event(&update, NOW), None);
    assert_eq!(node.apply_event(&event("node", "update", NOW, &json!({})), NOW), Some(Query::Info));
    assert_eq!(node.apply_info(info(true), NOW), Some(Query::Services));
    assert_eq!(node.apply_event(&update, NOW), None, "a query is in flight");
    let services: Vec<Service> = serde_json::from_value(json!([{"Spec": {"Name": "web"}}])).unwrap();
    let again = node.apply_services(Some(services.clone()));
    assert_eq!(again, Some(Query::Services), "the response is out of date");
    assert_eq!(node.apply_services(Some(services)), None);
    let (name, services) = node.services().unwrap();
    assert_eq!((&*name.to_string(), services.services.len()), ("leader", 1));
    assert_eq!(node.apply_info(info(true), NOW), None, "the services are known");
    assert_eq!(node.apply_event(&update, NOW), Some(Query::Services));
    node.apply_info(info(false), NOW);
    assert!(node.services().unwrap().1.services.is_empty());
}

/// Address, port and published ports of a container with these published ports.
fn published(settings: Published, ports: &Value) -> Result<(String, String), Vec<LogMessage>> {
    let mut node = node(Settings { published: Some(settings), ..Settings::default() });
    let info = json!({"Name": "n", "Swarm": {"NodeAddr": "192.168.2.1", "ControlAvailable": false}});
    node.apply_info(serde_json::from_value(info).unwrap(), NOW);
    node.local_address = None;
    start(&mut node, json!({"NetworkSettings": {"Ports": ports}}));
    let messages = node.take_messages();
    match node.wanted().values().next() {
        None => Err(messages),
        Some(known) => Ok((
            format!("{}:{}", known.address, known.port),
            known
                .published
                .iter()
                .map(|(port, published)| format!("{port}={published}"))
                .collect::<Vec<_>>()
                .join(" "),
        )),
    }
}

#[test]
fn published_ports_are_registered_at_the_hosts_address() {
    let other = Published::Address([10, 1, 1, 1].into());
    let any =
        |port: &str| json!([{"HostIp": "0.0.0.0", "HostPort": port}, {"HostIp": "::", "HostPort": port}]);
    let bound = |address: &str| json!([{"HostIp": address, "HostPort": "9000"}]);
    for (settings, ports, address, published_ports) in [
        (
            Published::Auto,
            json!({"8080/tcp": any("80"), "443/tcp": any("32768"), "53/udp": any("53"), "9/tcp": null}),
            "192.168.2.1:32768",
            "443/tcp=32768 53/udp=53 8080/tcp=80",
        ),
        (other, json!({"8080/tcp": any("80")}), "10.1.1.1:80", "8080/tcp=80"),
        (Published::Auto, json!({"8080/tcp": bound("10.0.0.9")}), "10.0.0.9:9000", "8080/tcp=9000"),
        (other, json!({"8080/tcp": bound("10.0.0.9")}), "10.1.1.1:9000", "8080/tcp=9000"),
        // A port for this host only does not hide another one.
        (
            Published::Auto,
            json!({"5005/tcp": bound("127.0.0.1"), "8080/tcp": any("8090")}),
            "192.168.2.1:8090",
            "8080/tcp=8090",
        ),
        (
            Published::Auto,
            json!({"8080/tcp": [
                {"HostIp": "127.0.0.1", "HostPort": "9001"}, {"HostIp": "192.168.2.2", "HostPort": "9002"},
            ]}),
            "192.168.2.2:9002",
            "8080/tcp=9002",
        ),
        (
            Published::Auto,
            json!({"80/tcp": bound("10.0.0.9"), "81/tcp": bound("10.0.0.8"), "82/tcp": any("82")}),
            "10.0.0.9:9000",
            "80/tcp=9000 82/tcp=82",
        ),
        (
            Published::Address([127, 0, 0, 1].into()),
            json!({"8080/tcp": bound("127.0.0.1")}),
            "127.0.0.1:9000",
            "8080/tcp=9000",
        ),
    ] {
        let expected = (address.to_owned(), published_ports.to_owned());
        assert_eq!(published(settings, &ports), Ok(expected));
    }
}

#[test]
fn container_without_a_published_port_is_not_routed() {
    for (ports, reason) in [
        (json!({}), "it publishes no port on this host"),
        (json!({"8080/tcp": null}), "it publishes no port on this host"),
        (json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]}), "on a loopback address only"),
    ] {
        let messages = published(Published::Auto, &ports).unwrap_err();
        assert!(
            messages.len() == 1 && messages[0].is_warning && messages[0].text.contains(reason),
            "{messages:?}"
        );
    }
    // The host's own network has no published ports.
    let mut node =
        node(Settings { published: Some(Published::Address([10, 1, 1, 1].into())), ..Settings::default() });
    start(&mut node, json!({"HostConfig": {"NetworkMode": "host"}}));
    assert_eq!((only(&node).address, only(&node).port.get()), ([127, 0, 0, 1].into(), 8080));
}
