use serde_json::{Value, json};

use super::*;
use crate::container::tests::inspected;

const ID: &str = "0123456789abcdef0123456789abcdef";
const SECOND: u64 = 1_000_000_000;
/// When the container that [`inspected`] shows has started.
const STARTED: u64 = 1_767_323_045_006_000_000;
const NOW: u64 = STARTED + 100 * SECOND;

fn event(r#type: &str, action: &str, time: u64, attributes: &Value) -> Event {
    let said = json!({"Type": r#type, "Action": action, "Actor": {"ID": ID, "Attributes": attributes}, "timeNano": time});
    serde_json::from_value(said).unwrap()
}

fn of_container(action: &str, time: u64) -> Event {
    event("container", action, time, &json!({"traefik.enable": "true"}))
}

fn kill(signal: &str, time: u64) -> Event {
    event("container", "kill", time, &json!({ "signal": signal }))
}

fn list(said: Value) -> Vec<Listed> {
    serde_json::from_value(said).unwrap()
}

/// A node on whose host's network the agent is.
fn node(settings: Settings) -> Node {
    let mut node = Node::new(settings);
    assert!(!node.connected([127, 0, 0, 1].into(), NOW));
    node
}

/// A node that runs one container.
fn with_one(change: Value) -> Node {
    let mut node = node(Settings { stop_margin: Duration::from_secs(5), ..Settings::default() });
    start(&mut node, change);
    node
}

fn start(node: &mut Node, change: Value) {
    assert_eq!(node.happened(&of_container("start", NOW), NOW), Look::Container(ID.to_owned()));
    assert!(!node.inspected(ID, Some(inspected(change)), NOW));
}

fn only(node: &Node) -> &Registration {
    let [registration] = node.wanted().values().collect::<Vec<_>>()[..] else {
        panic!("{:?}", node.wanted())
    };
    registration
}

#[test]
fn a_container_that_starts_is_looked_at_and_registered() {
    let mut node = with_one(json!({}));
    let info = json!({"Name": "leader", "Swarm": {"NodeAddr": "192.168.2.1", "ControlAvailable": false}});
    assert!(!node.informed(serde_json::from_value(info).unwrap(), NOW));
    let registration = only(&node);
    assert_eq!(registration.address, IpAddr::from([172, 17, 0, 2]));
    assert_eq!((registration.node.as_deref(), registration.source), (Some("leader"), Source::Agent));
    assert_eq!((registration.started, registration.health), (STARTED / 1_000_000, Health::Healthy));
}

#[test]
fn containers_that_ask_for_nothing_are_not_even_looked_at() {
    let mut node = node(Settings::default());
    assert_eq!(node.happened(&event("container", "start", NOW, &json!({"image": "a"})), NOW), Look::None);
    let listed =
        list(json!([{"Id": "a", "Labels": {}}, {"Id": "b", "Labels": {"traefik.port": "80"}}, {"Id": "c"}]));
    assert_eq!(node.listed(&listed, NOW), ["b"]);
}

#[test]
fn a_signal_that_ends_it_is_heard_before_it_ends() {
    for (signal, expected) in [
        ("15", Health::Unhealthy),
        ("9", Health::Unhealthy),
        ("3", Health::Unhealthy),
        ("28", Health::Unhealthy),
        ("1", Health::Healthy),
        ("10", Health::Healthy),
    ] {
        let mut node = with_one(json!({"Config": {"StopSignal": "SIGWINCH"}}));
        assert_eq!(node.happened(&kill(signal, NOW), NOW), Look::None);
        assert_eq!(only(&node).health, expected, "{signal}");
        node.happened(&of_container("die", NOW + 1), NOW);
        assert!(node.wanted().is_empty(), "{signal}");
    }
}

#[test]
fn whoever_survives_its_signal_comes_back_after_its_time_to_stop() {
    let mut node = with_one(json!({"Config": {"StopTimeout": 2}}));
    node.happened(&kill("15", NOW), NOW);
    assert_eq!(node.next_change(), Some(NOW + 7 * SECOND));
    // Another look changes nothing about that.
    node.happened(&of_container("health_status: healthy", NOW), NOW + SECOND);
    assert!(!node.inspected(ID, Some(inspected(json!({"Config": {"StopTimeout": 2}}))), NOW + SECOND));
    node.advance(NOW + 6 * SECOND);
    assert_eq!(only(&node).health, Health::Unhealthy);
    node.advance(NOW + 7 * SECOND);
    assert_eq!((only(&node).health, node.next_change()), (Health::Healthy, None));

    let mut patient = with_one(json!({"Config": {"StopTimeout": -1}}));
    patient.happened(&kill("15", NOW), NOW);
    patient.advance(u64::MAX - 1);
    assert_eq!((only(&patient).health, patient.next_change()), (Health::Unhealthy, None));
}

#[test]
fn events_of_an_earlier_life_are_not_of_this_one() {
    let mut node = with_one(json!({}));
    node.happened(&kill("15", STARTED - 2), NOW);
    node.happened(&of_container("die", STARTED - 1), NOW);
    assert_eq!(only(&node).health, Health::Healthy);
}

#[test]
fn a_signal_is_heard_while_the_container_is_looked_at() {
    let mut node = node(Settings::default());
    node.happened(&of_container("start", NOW), NOW);
    node.happened(&kill("1", NOW), NOW);
    node.happened(&kill("15", NOW), NOW);
    assert!(!node.inspected(ID, Some(inspected(json!({}))), NOW));
    assert_eq!(only(&node).health, Health::Unhealthy);
}

#[test]
fn what_was_seen_before_an_event_does_not_count() {
    let mut node = node(Settings::default());
    node.happened(&of_container("start", NOW), NOW);
    node.happened(&of_container("die", NOW), NOW);
    // It ran when this was asked for.
    assert!(node.inspected(ID, Some(inspected(json!({}))), NOW), "it is to be looked at once more");
    assert!(node.wanted().is_empty());
    assert!(!node.inspected(ID, Some(inspected(json!({"State": {"Running": false}}))), NOW));
    assert!(node.wanted().is_empty());
    start(&mut node, json!({}));
    assert_eq!(node.wanted().len(), 1);
}

#[test]
fn an_event_of_a_container_that_is_looked_at_has_it_looked_at_again_but_once() {
    let mut node = node(Settings::default());
    node.happened(&of_container("start", NOW), NOW);
    assert_eq!(node.happened(&of_container("health_status: healthy", NOW), NOW), Look::None);
    assert_eq!(node.happened(&of_container("health_status: healthy", NOW), NOW), Look::None);
    assert!(node.inspected(ID, Some(inspected(json!({"State": {"Health": {"Status": "starting"}}}))), NOW));
    assert!(node.wanted().is_empty());
    assert!(!node.inspected(ID, Some(inspected(json!({}))), NOW));
    assert_eq!(only(&node).health, Health::Healthy);
}

#[test]
fn a_container_that_is_renamed_has_another_name_at_the_hub() {
    let mut node = with_one(json!({}));
    assert_eq!(node.happened(&of_container("rename", NOW), NOW), Look::Container(ID.to_owned()));
    assert!(!node.inspected(ID, Some(inspected(json!({"Name": "/other"}))), NOW));
    let ids: Vec<_> = node.wanted().keys().map(InstanceId::as_str).collect();
    assert_eq!(ids, ["other-0123456789ab"]);
}

#[test]
fn off_its_network_a_container_is_unhealthy_and_not_withdrawn() {
    let mut node = with_one(json!({}));
    let off = event("network", "disconnect", NOW, &json!({ "container": ID }));
    assert_eq!(node.happened(&off, NOW), Look::Container(ID.to_owned()));
    let nowhere = json!({"NetworkSettings": {"Networks": {"bridge": null}}});
    assert!(!node.inspected(ID, Some(inspected(nowhere)), NOW));
    assert_eq!(only(&node).health, Health::Unhealthy);
    // Another one's network is of no concern.
    let other = event("network", "connect", NOW, &json!({"container": "other"}));
    assert_eq!(node.happened(&other, NOW), Look::None);
}

#[test]
fn a_container_on_several_networks_is_not_routed_and_that_is_said_once() {
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}, "bridge": null});
    let two = json!({"NetworkSettings": {"Networks": networks}});
    let mut node = with_one(two.clone());
    assert!(node.wanted().is_empty());
    let [remark] = &node.take_remarks()[..] else { panic!("there is one remark") };
    assert!(
        remark.is_warning && remark.text.starts_with("container web is on the networks a, b, and"),
        "{remark:?}"
    );
    start(&mut node, two);
    assert!(node.take_remarks().is_empty());
}

#[test]
fn what_nobody_asked_a_route_for_is_no_reason_to_warn() {
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}});
    let labels = json!({"traefik.enable": "false"});
    let mut node = with_one(json!({"Config": {"Labels": labels}, "NetworkSettings": {"Networks": networks}}));
    assert!(node.take_remarks().iter().all(|remark| !remark.is_warning));
}

#[test]
fn the_network_on_which_the_hub_is_reached_counts() {
    let mut node = Node::new(Settings::default());
    let networks = json!({"a": {"IPAddress": "10.0.0.2"}, "b": {"IPAddress": "10.0.1.2"}, "bridge": null});
    let two = json!({"NetworkSettings": {"Networks": networks}});
    start(&mut node, two);
    // Before the hub is reached there is no telling.
    assert!(node.wanted().is_empty() && node.take_remarks().is_empty());
    assert!(node.connected([10, 0, 1, 9].into(), NOW), "nobody is known to have that address");
    let own = json!({"Id": "agent", "NetworkSettings": {"Networks": {"b": {"IPAddress": "10.0.1.9"}}}});
    node.located(&list(json!([own])), NOW);
    assert_eq!(only(&node).address, IpAddr::from([10, 0, 1, 2]));
    assert!(!node.connected([10, 0, 1, 9].into(), NOW));
}

#[test]
fn on_the_hosts_network_the_nodes_own_address_counts() {
    let host = json!({"HostConfig": {"NetworkMode": "host"}});
    let mut node = Node::new(Settings::default());
    start(&mut node, host.clone());
    node.connected([192, 168, 2, 1].into(), NOW);
    node.located(&[], NOW);
    assert_eq!(only(&node).address, IpAddr::from([192, 168, 2, 1]));

    // From a container's network there is no telling, but by a flag or by the swarm.
    let mut inside = Node::new(Settings::default());
    start(&mut inside, host.clone());
    inside.connected([10, 0, 1, 9].into(), NOW);
    let own = json!({"Id": "agent", "NetworkSettings": {"Networks": {"b": {"IPAddress": "10.0.1.9"}}}});
    inside.located(&list(json!([own])), NOW);
    assert!(inside.wanted().is_empty());
    assert!(inside.take_remarks()[0].text.contains("--host-address"));
    inside.informed(serde_json::from_value(json!({"Swarm": {"NodeAddr": "192.168.2.7"}})).unwrap(), NOW);
    assert_eq!(only(&inside).address, IpAddr::from([192, 168, 2, 7]));

    let mut told = self::node(Settings { host_address: Some([1, 2, 3, 4].into()), ..Settings::default() });
    start(&mut told, host);
    assert_eq!(only(&told).address, IpAddr::from([1, 2, 3, 4]));
}

#[test]
fn what_is_known_stays_while_the_engine_is_away_and_goes_if_it_does_not_come_back_with_it() {
    let mut node = with_one(json!({}));
    node.happened(&of_container("health_status: unhealthy", NOW), NOW);
    node.disconnected();
    assert_eq!(only(&node).health, Health::Healthy);
    let listed = list(json!([{"Id": ID, "Labels": {"traefik.enable": "true"}}]));
    assert_eq!(node.listed(&listed, NOW), [ID]);
    assert_eq!(node.wanted().len(), 1);
    assert!(node.listed(&[], NOW).is_empty());
    assert!(node.wanted().is_empty());
}

#[test]
fn services_are_looked_at_on_a_manager_and_forgotten_when_it_is_none_any_more() {
    let mut node = node(Settings::default());
    let info = |manager| -> Info {
        serde_json::from_value(json!({"Name": "leader", "Swarm": {"ControlAvailable": manager}})).unwrap()
    };
    let update = event("service", "update", NOW, &json!({}));
    assert!(!node.informed(info(false), NOW));
    assert_eq!(node.happened(&update, NOW), Look::None);
    assert_eq!(node.happened(&event("node", "update", NOW, &json!({})), NOW), Look::Info);
    assert!(node.informed(info(true), NOW));
    assert_eq!(node.happened(&update, NOW), Look::Services);
    assert!(node.ask_services());
    assert!(!node.ask_services(), "somebody looks already");
    let services: Vec<Service> = serde_json::from_value(json!([{"Spec": {"Name": "web"}}])).unwrap();
    assert!(node.served(Some(services.clone())), "something has changed meanwhile");
    assert!(!node.served(Some(services)));
    let (name, services) = node.services().unwrap();
    assert_eq!((name.as_str(), services.services.len()), ("leader", 1));
    assert!(!node.informed(info(true), NOW), "they are known");
    node.informed(info(false), NOW);
    assert!(node.services().unwrap().1.services.is_empty());
}
