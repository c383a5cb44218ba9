use std::time::Duration;

use anyhow::{Result, ensure};
use harness::Container;
use harness::LabStack;
use harness::docker::eventually_on_engine;
use harness::lab::Node;
use harness::load::{HELLO, PONG, pass_all, wait_for_all};
use harness::{Load, LoadOptions, eventually, http};

const LONG: Duration = Duration::from_mins(1);

/// Time limit for tests in which Swarm has to mark a node as down, which takes about 20 s.
const VERY_LONG: Duration = Duration::from_mins(2);

#[test]
fn killed_task_fails_no_request_on_a_route_with_retries() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, other] = nodes(&demo);
    let victim = container_on(&demo, "ping", other);
    let address = victim.address().unwrap();
    let loads = [leader, worker].map(|node| load(&demo.url(node, "/ping"), PONG));
    wait_for_all(&loads, 100, LONG).unwrap();

    victim.kill().unwrap();
    wait_unrouted(&demo, &[leader, worker, other], &address);
    pass_all(loads, 100, LONG).unwrap();
    // Swarm replaces the task.
    demo.wait_routed().unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn disconnected_node_is_unrouted_before_swarm_notices_and_recovers() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, victim] = nodes(&demo);
    move_hub(&demo, leader);
    let lost = container_on(&demo, "ping", victim).address().unwrap();
    // On this route, Traefik repeats requests that were sent on open connections to the lost host.
    let loads = [leader, worker].map(|node| load(&demo.url(node, "/ping"), PONG));
    wait_for_all(&loads, 100, LONG).unwrap();

    demo.lab().disconnect(victim).unwrap();
    wait_served_without(&demo, victim, &lost, &[leader, worker]);
    pass_all(loads, 100, LONG).unwrap();

    demo.lab().reconnect(victim).unwrap();
    // The hub and each Traefik list each task once, and nothing else.
    demo.wait_routed().unwrap();
}

#[test]
fn killed_node_is_unrouted_before_swarm_notices_and_recovers() {
    let demo = LabStack::demo().unwrap();
    let [leader, victim, worker] = nodes(&demo);
    move_hub(&demo, leader);
    let lost = container_on(&demo, "ping", victim).address().unwrap();

    victim.kill().unwrap();
    wait_served_without(&demo, victim, &lost, &[leader, worker]);

    demo.lab().reconnect(victim).unwrap();
    demo.wait_routed().unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn loss_and_return_of_the_hubs_node_fail_no_request_to_other_nodes() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, victim] = nodes(&demo);
    demo.stack().add_constraint("hello", &format!("node.hostname!={}", victim.name())).unwrap();
    eventually_on_engine(LONG, || demo.lab().container_on(demo.stack(), "hello", victim).unwrap().is_none())
        .unwrap();
    move_hub(&demo, victim);
    let lost_ping = container_on(&demo, "ping", victim).address().unwrap();
    let loads = [leader, worker].map(|node| load(&demo.url(node, "/plain/hello/viktor"), HELLO));
    wait_for_all(&loads, 100, LONG).unwrap();

    demo.lab().disconnect(victim).unwrap();
    // Swarm marks the node as down and starts another hub, at which only the remaining tasks register.
    wait_unrouted(&demo, &[leader, worker], &lost_ping);
    wait_for_all(&loads, 100, LONG).unwrap();

    // The old hub is still running, and Swarm stops it only now.
    demo.lab().reconnect(victim).unwrap();
    demo.wait_routed().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn restarted_traefik_gets_every_route_back() {
    let demo = LabStack::demo().unwrap();
    let [leader, worker, _] = nodes(&demo);
    let others = [load(&demo.url(leader, "/ping"), PONG)];
    let own = load(&demo.url(worker, "/ping"), PONG);
    wait_for_all(&others, 100, LONG).unwrap();
    own.wait_for_more(100, LONG).unwrap();

    container_on(&demo, "traefik", worker).kill().unwrap();
    eventually(LONG, || own.so_far().failed > 0).unwrap();
    // Connections fail until Swarm has started another Traefik, which answers 404 until its first configuration.
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
fn container_on(demo: &LabStack, service: &str, node: &Node) -> Container {
    let found = demo.lab().container_on(demo.stack(), service, node).unwrap();
    found.unwrap_or_else(|| panic!("no {service} on {}", node.name()))
}

fn move_hub(demo: &LabStack, node: &Node) {
    demo.lab().move_to(demo.stack(), "hub", node).unwrap();
    demo.wait_routed().unwrap();
}

/// State of `node` at the swarm's manager.
fn state(demo: &LabStack, node: &Node) -> String {
    let name = format!("name={}", node.name());
    demo.lab().docker().run(&["node", "ls", "--filter", &name, "--format", "{{.Status}}"]).unwrap()
}

/// Waits until `routers` no longer route to the address `lost` on `victim`, before Swarm notices its loss. Checks that they
/// then fail no request.
fn wait_served_without(demo: &LabStack, victim: &Node, lost: &str, routers: &[&Node]) {
    wait_unrouted(demo, routers, lost);
    assert_eq!(state(demo, victim), "Ready", "Swarm noticed first");
    for node in routers {
        let load = load(&demo.url(node, "/ping"), PONG);
        load.wait_for_more(100, LONG).unwrap();
        load.pass().unwrap();
    }
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
    let max_duration = Duration::from_mins(10);
    Load::start(url, &LoadOptions { rate: 200, instance, max_duration, ..LoadOptions::default() }).unwrap()
}
