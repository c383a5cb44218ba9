use std::time::Duration;

use anyhow::{Result, ensure};
use harness::Container;
use harness::LabStack;
use harness::docker::eventually_on_engine;
use harness::lab::Node;
use harness::load::{HELLO, PONG, all_go_on};
use harness::{Load, LoadOptions, eventually, http};

const LONG: Duration = Duration::from_mins(1);

/// In a test that waits for Swarm to give up a node, which it does after some 20 s.
const VERY_LONG: Duration = Duration::from_mins(2);

#[test]
fn a_killed_task_fails_no_request_where_traefik_may_ask_another_one() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, other] = nodes(&demo);
    let victim = on(&demo, "ping", other);
    let address = victim.address().unwrap();
    let loads = [leader, worker].map(|node| load(&demo.url(node, "/ping"), PONG));
    all_go_on(&loads, 100, LONG).unwrap();

    victim.kill().unwrap();
    wait_unrouted(&demo, &[leader, worker, other], &address);
    all_go_on(&loads, 100, LONG).unwrap();
    for load in loads {
        load.pass().unwrap();
    }
    // Swarm starts another one in its place.
    demo.wait_routed().unwrap();
}

#[test]
fn a_node_that_is_cut_off_is_unrouted_before_swarm_notices_and_comes_back_by_itself() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, victim] = nodes(&demo);
    move_hub(&demo, leader);
    let lost = on(&demo, "ping", victim).address().unwrap();

    demo.lab().disconnect(victim).unwrap();
    wait_unrouted(&demo, &[leader, worker], &lost);
    assert_eq!(state(&demo, victim), "Ready", "Swarm has noticed it first");
    for node in [leader, worker] {
        let load = load(&demo.url(node, "/ping"), PONG);
        load.wait_for_more(100, LONG).unwrap();
        load.pass().unwrap();
    }

    demo.lab().reconnect(victim).unwrap();
    // Each task is listed once, by the hub and by all Traefiks, and nothing else is.
    demo.wait_routed().unwrap();
}

#[test]
fn a_node_that_is_killed_is_unrouted_before_swarm_notices_and_comes_back_by_itself() {
    let demo = LabStack::demo().unwrap();
    let [leader, victim, worker] = nodes(&demo);
    move_hub(&demo, leader);
    let lost = on(&demo, "ping", victim).address().unwrap();

    victim.kill().unwrap();
    wait_unrouted(&demo, &[leader, worker], &lost);
    assert_eq!(state(&demo, victim), "Ready", "Swarm has noticed it first");
    for node in [leader, worker] {
        let load = load(&demo.url(node, "/ping"), PONG);
        load.wait_for_more(100, LONG).unwrap();
        load.pass().unwrap();
    }

    demo.lab().reconnect(victim).unwrap();
    demo.wait_routed().unwrap();
}

#[test]
fn losing_the_hubs_node_and_getting_it_back_fails_no_request_to_tasks_on_other_nodes() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, victim] = nodes(&demo);
    demo.stack().add_constraint("hello", &format!("node.hostname!={}", victim.name())).unwrap();
    eventually_on_engine(LONG, || demo.lab().container_on(demo.stack(), "hello", victim).unwrap().is_none())
        .unwrap();
    move_hub(&demo, victim);
    let lost_ping = on(&demo, "ping", victim).address().unwrap();
    let loads = [leader, worker].map(|node| load(&demo.url(node, "/plain/hello/viktor"), HELLO));
    all_go_on(&loads, 100, LONG).unwrap();

    demo.lab().disconnect(victim).unwrap();
    // Swarm gives the node up and starts another hub, which hears from all that are left, and from nobody else.
    wait_unrouted(&demo, &[leader, worker], &lost_ping);
    all_go_on(&loads, 100, LONG).unwrap();

    // The old hub is still there, and is told to go only now.
    demo.lab().reconnect(victim).unwrap();
    demo.wait_routed().unwrap();
    all_go_on(&loads, 100, LONG).unwrap();
    for load in loads {
        load.pass().unwrap();
    }
}

#[test]
fn a_traefik_that_was_killed_comes_back_with_every_route() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, _] = nodes(&demo);
    let others = [load(&demo.url(leader, "/ping"), PONG)];
    let own = load(&demo.url(worker, "/ping"), PONG);
    all_go_on(&others, 100, LONG).unwrap();
    own.wait_for_more(100, LONG).unwrap();

    on(&demo, "traefik", worker).kill().unwrap();
    eventually(LONG, || own.so_far().failed > 0).unwrap();
    // Nobody listens until there is another one, which has nothing to route for a moment, and then everything.
    own.wait_for_more(1, LONG).unwrap();
    drop(own);
    let own = load(&demo.url(worker, "/ping"), PONG);
    own.wait_for_more(100, LONG).unwrap();
    own.pass().unwrap();
    for load in others {
        load.pass().unwrap();
    }
    demo.wait_routed().unwrap();
}

fn nodes(demo: &LabStack) -> [&Node; 3] {
    let [leader, worker, other] = demo.lab().nodes() else { panic!("the lab has three nodes") };
    [leader, worker, other]
}

/// The container of `service` on `node`.
fn on(demo: &LabStack, service: &str, node: &Node) -> Container {
    let found = demo.lab().container_on(demo.stack(), service, node).unwrap();
    found.unwrap_or_else(|| panic!("no {service} on {}", node.name()))
}

fn move_hub(demo: &LabStack, node: &Node) {
    demo.lab().move_to(demo.stack(), "hub", node).unwrap();
    demo.wait_routed().unwrap();
}

/// What the swarm's manager takes `node` for.
fn state(demo: &LabStack, node: &Node) -> String {
    let name = format!("name={}", node.name());
    demo.lab().docker().run(&["node", "ls", "--filter", &name, "--format", "{{.Status}}"]).unwrap()
}

fn wait_unrouted(demo: &LabStack, by: &[&Node], address: &str) {
    let url = format!("http://{address}:8080");
    eventually_on_engine(VERY_LONG, || -> Result<()> {
        for node in by {
            let servers = demo.traefik_api(node).servers()?;
            ensure!(!servers.contains(&url), "{} routes to {url}", node.name());
        }
        Ok(())
    })
    .unwrap();
}

fn load(url: &str, instance: &'static str) -> Load {
    http::get(url).unwrap();
    let longest = Duration::from_mins(10);
    Load::start(url, &LoadOptions { rate: 200, instance, longest, ..LoadOptions::default() }).unwrap()
}
