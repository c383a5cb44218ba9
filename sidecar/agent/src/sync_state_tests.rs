use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::container::tests::inspected;
use crate::engine::Event;
use crate::node::Settings;

const NOW: u64 = 1_800_000_000_000_000_000;

fn id(number: u32) -> String {
    format!("{number:032}")
}

fn node() -> Node {
    let mut node = Node::new(Settings::default());
    node.connected(IpAddr::from([127, 0, 0, 1]), NOW);
    node
}

fn start(node: &mut Node, number: u32) {
    apply(node, number, "start");
    let inspection = json!({"Id": id(number), "Name": format!("/web-{number}")});
    node.apply_inspection(&id(number), Some(inspected(inspection)), NOW);
}

fn apply(node: &mut Node, number: u32, action: &str) {
    let attributes = json!({"traefik.enable": "true", "signal": "15"});
    let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id(number), "Attributes": attributes},
        "timeNano": NOW});
    node.apply_event(&serde_json::from_value::<Event>(event).unwrap(), NOW);
}

/// Formats a request.
fn format_request(request: &Request) -> String {
    match request {
        Request::Register(id, registration) => format!("register {id} {:?}", registration.health),
        Request::Withdraw(id) => format!("withdraw {id}"),
        Request::Publish(name, services) => format!("publish {name} {}", services.services.len()),
    }
}

/// Sends and acknowledges all requests.
fn sync(state: &mut SyncState, node: &Node, now: Instant) -> Vec<String> {
    let mut sent = Vec::new();
    while let Some(request) = state.next(node, now) {
        sent.push(format_request(&request));
        state.acknowledge(request);
        assert!(sent.len() < 100, "{sent:?}");
    }
    sent
}

#[test]
fn each_change_is_sent_once_and_unhealthy_containers_come_first() {
    let (mut node, mut state, now) = (node(), SyncState::default(), Instant::now());
    (1..=3).for_each(|number| start(&mut node, number));
    let sent = sync(&mut state, &node, now);
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent[0].starts_with("register web-1-") && sent[0].ends_with("Healthy"), "{sent:?}");
    assert_eq!((sync(&mut state, &node, now), state.leases()), (vec![], 3));

    apply(&mut node, 2, "die");
    apply(&mut node, 3, "kill");
    start(&mut node, 4);
    let sent = sync(&mut state, &node, now);
    let expected = ["register web-3-000000000000 Unhealthy", "withdraw web-2-000000000000"];
    assert_eq!(sent[..2], expected);
    assert!(sent[2].starts_with("register web-4-") && sent.len() == 3, "{sent:?}");
    assert_eq!(state.leases(), 3);
}

#[test]
fn after_a_reset_everything_is_sent_again_with_withdrawals() {
    let (mut node, mut state, now) = (node(), SyncState::default(), Instant::now());
    (1..=2).for_each(|number| start(&mut node, number));
    sync(&mut state, &node, now);
    state.reset();
    assert_eq!(state.leases(), 0);
    apply(&mut node, 1, "die");
    let sent = sync(&mut state, &node, now);
    assert_eq!(sent, ["withdraw web-1-000000000000", "register web-2-000000000000 Healthy"]);
}

#[test]
fn registration_with_a_lost_response_is_withdrawn() {
    let (mut node, mut state, now) = (node(), SyncState::default(), Instant::now());
    start(&mut node, 1);
    assert!(matches!(state.next(&node, now), Some(Request::Register(..))));
    state.reset();
    apply(&mut node, 1, "die");
    assert_eq!(sync(&mut state, &node, now), ["withdraw web-1-000000000000"]);
}

#[test]
fn rejected_registration_is_retried_later_or_after_a_change() {
    let (mut node, mut state, now) = (node(), SyncState::default(), Instant::now());
    start(&mut node, 1);
    let reject = |state: &mut SyncState, node: &Node| {
        let request = state.next(node, now).unwrap();
        state.reject(request, now);
    };
    reject(&mut state, &node);
    assert_eq!((state.next(&node, now), state.leases()), (None, 0));
    assert_eq!(state.next_retry(now), Some(now + RETRY_REJECTED));
    apply(&mut node, 1, "kill");
    reject(&mut state, &node);
    assert_eq!(state.next(&node, now), None);
    let sent = sync(&mut state, &node, now + RETRY_REJECTED);
    assert_eq!(sent, ["register web-1-000000000000 Unhealthy"]);
    assert_eq!(state.next_retry(now), None);
}

#[test]
fn services_are_published_when_they_change() {
    let (mut node, mut state, now) = (node(), SyncState::default(), Instant::now());
    let info = json!({"Name": "leader", "Swarm": {"ControlAvailable": true}});
    node.apply_info(serde_json::from_value(info).unwrap(), NOW);
    assert_eq!(state.next(&node, now), None);
    let mut services = |index| {
        let list = json!([{"Version": {"Index": index}, "Spec": {"Name": "web"}}]);
        node.apply_services(Some(serde_json::from_value(list).unwrap()));
        sync(&mut state, &node, now)
    };
    assert_eq!(services(1), ["publish leader 1"]);
    assert_eq!(services(1), [""; 0]);
    assert_eq!(services(2), ["publish leader 1"]);
    state.reset();
    assert_eq!(sync(&mut state, &node, now), ["publish leader 1"]);
}
