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
    happens(node, number, "start");
    let inspection = json!({"Id": id(number), "Name": format!("/web-{number}")});
    node.inspected(&id(number), Some(inspected(inspection)), NOW);
}

fn happens(node: &mut Node, number: u32, action: &str) {
    let attributes = json!({"traefik.enable": "true", "signal": "15"});
    let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id(number), "Attributes": attributes},
        "timeNano": NOW});
    node.happened(&serde_json::from_value::<Event>(event).unwrap(), NOW);
}

/// What the request is, and of whom.
fn shown(request: &Request) -> String {
    match request {
        Request::Register(id, registration) => format!("register {id} {:?}", registration.health),
        Request::Withdraw(id) => format!("withdraw {id}"),
        Request::Publish(name, services) => format!("publish {name} {}", services.services.len()),
    }
}

/// Tells the hub all that there is to tell.
fn tell(ledger: &mut Ledger, node: &Node, now: Instant) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(request) = ledger.next(node, now) {
        told.push(shown(&request));
        ledger.done(request);
        assert!(told.len() < 100, "{told:?}");
    }
    told
}

#[test]
fn each_container_is_told_once_and_what_gets_no_requests_any_more_first() {
    let (mut node, mut ledger, now) = (node(), Ledger::default(), Instant::now());
    (1..=3).for_each(|number| start(&mut node, number));
    let told = tell(&mut ledger, &node, now);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("register web-1-") && told[0].ends_with("Healthy"), "{told:?}");
    assert_eq!((tell(&mut ledger, &node, now), ledger.leases()), (vec![], 3));

    happens(&mut node, 2, "die");
    happens(&mut node, 3, "kill");
    start(&mut node, 4);
    let told = tell(&mut ledger, &node, now);
    let expected = ["register web-3-000000000000 Unhealthy", "withdraw web-2-000000000000"];
    assert_eq!(told[..2], expected);
    assert!(told[2].starts_with("register web-4-") && told.len() == 3, "{told:?}");
    assert_eq!(ledger.leases(), 3);
}

#[test]
fn a_hub_that_comes_back_is_told_all_anew_and_who_has_ended_meanwhile() {
    let (mut node, mut ledger, now) = (node(), Ledger::default(), Instant::now());
    (1..=2).for_each(|number| start(&mut node, number));
    tell(&mut ledger, &node, now);
    ledger.forgotten();
    assert_eq!(ledger.leases(), 0);
    happens(&mut node, 1, "die");
    let told = tell(&mut ledger, &node, now);
    assert_eq!(told, ["withdraw web-1-000000000000", "register web-2-000000000000 Healthy"]);
}

#[test]
fn a_request_whose_answer_was_lost_may_have_been_heard() {
    let (mut node, mut ledger, now) = (node(), Ledger::default(), Instant::now());
    start(&mut node, 1);
    assert!(matches!(ledger.next(&node, now), Some(Request::Register(..))));
    ledger.forgotten();
    happens(&mut node, 1, "die");
    assert_eq!(tell(&mut ledger, &node, now), ["withdraw web-1-000000000000"]);
}

#[test]
fn what_is_refused_is_tried_again_later_or_when_it_has_changed() {
    let (mut node, mut ledger, now) = (node(), Ledger::default(), Instant::now());
    start(&mut node, 1);
    let refuse = |ledger: &mut Ledger, node: &Node| {
        let request = ledger.next(node, now).unwrap();
        ledger.refused(request, now);
    };
    refuse(&mut ledger, &node);
    assert_eq!((ledger.next(&node, now), ledger.leases()), (None, 0));
    assert_eq!(ledger.next_try(now), Some(now + REFUSED_FOR));
    happens(&mut node, 1, "kill");
    refuse(&mut ledger, &node);
    assert_eq!(ledger.next(&node, now), None);
    let told = tell(&mut ledger, &node, now + REFUSED_FOR);
    assert_eq!(told, ["register web-1-000000000000 Unhealthy"]);
    assert_eq!(ledger.next_try(now), None);
}

#[test]
fn services_are_published_when_they_have_changed() {
    let (mut node, mut ledger, now) = (node(), Ledger::default(), Instant::now());
    let info = json!({"Name": "leader", "Swarm": {"ControlAvailable": true}});
    node.informed(serde_json::from_value(info).unwrap(), NOW);
    assert_eq!(ledger.next(&node, now), None);
    let mut services = |index| {
        node.ask_services();
        let said = json!([{"Version": {"Index": index}, "Spec": {"Name": "web"}}]);
        node.served(Some(serde_json::from_value(said).unwrap()));
        tell(&mut ledger, &node, now)
    };
    assert_eq!(services(1), ["publish leader 1"]);
    assert_eq!(services(1), [""; 0]);
    assert_eq!(services(2), ["publish leader 1"]);
    ledger.forgotten();
    assert_eq!(tell(&mut ledger, &node, now), ["publish leader 1"]);
}
