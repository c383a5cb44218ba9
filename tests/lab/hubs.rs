//! Three hubs, one per host. All loads are on routes without the retry middleware, so they would see a request to a task
//! that stopped while a router still used it.

use std::time::Duration;

use harness::docker::eventually_on_engine;
use harness::lab::Node;
use harness::load::{HELLO, PONG, pass_all, wait_for_all};
use harness::{Container, LabStack, Load, LoadOptions, http};

const LONG: Duration = Duration::from_mins(2);
const HUBS: usize = 3;

fn demo() -> LabStack {
    LabStack::demo_with_hubs(HUBS).unwrap()
}

fn hubs(demo: &LabStack) -> Vec<Container> {
    demo.stack().containers_of("hub").unwrap()
}

/// Waits until Swarm has replaced a lost hub.
fn wait_for_hubs(demo: &LabStack, lost: &Container) {
    eventually_on_engine(LONG, || {
        let hubs = hubs(demo);
        hubs.len() == HUBS && hubs.iter().all(|hub| hub.id() != lost.id())
    })
    .unwrap();
    demo.wait_routed().unwrap();
}

fn load(url: &str, instance: &'static str) -> Load {
    http::get(url).unwrap();
    let max_duration = Duration::from_mins(10);
    Load::start(url, &LoadOptions { rate: 100, instance, max_duration, ..LoadOptions::default() }).unwrap()
}

fn loads<'a>(
    demo: &LabStack,
    nodes: impl IntoIterator<Item = &'a Node>,
    path: &str,
    instance: &'static str,
) -> Vec<Load> {
    let loads: Vec<_> = nodes.into_iter().map(|node| load(&demo.url(node, path), instance)).collect();
    wait_for_all(&loads, 100, LONG).unwrap();
    loads
}

#[test]
fn each_hub_is_killed_in_turn_during_updates_and_no_request_fails() {
    let demo = demo();
    let loads = loads(&demo, demo.lab().nodes(), "/plain/hello/viktor", HELLO);
    for hub in hubs(&demo) {
        hub.kill().unwrap();
        demo.stack().force_update("hello").unwrap();
        wait_for_hubs(&demo, &hub);
    }
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn paused_hub_costs_no_request_while_tasks_withdraw() {
    let demo = demo();
    for hub in hubs(&demo) {
        let loads = loads(&demo, demo.lab().nodes(), "/plain/hello/viktor", HELLO);
        hub.docker().run(&["kill", "--signal", "STOP", hub.id()]).unwrap();
        demo.stack().force_update("hello").unwrap();
        pass_all(loads, 100, LONG).unwrap();
        resume(&demo, &hub);
    }
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn task_that_stops_while_a_hub_is_paused_serves_until_its_router_polls_another_one() {
    // Traefik may choose the paused hub again, once in six times. The task serves for 18 s, long enough for four attempts.
    let demo = LabStack::demo_with_hubs(6).unwrap();
    let polled = |hub: &Container| demo.lab().routers_of(hub).unwrap() > 0;
    let hub = hubs(&demo).into_iter().find(polled).unwrap();
    let loads = loads(&demo, demo.lab().nodes(), "/plain/hello/viktor", HELLO);
    hub.docker().run(&["kill", "--signal", "STOP", hub.id()]).unwrap();
    let scale = |replicas: usize| {
        let scale = format!("{}={replicas}", demo.stack().service("hello"));
        demo.lab().docker().run(&["service", "scale", "--detach", &scale]).unwrap();
        eventually_on_engine(LONG, || demo.stack().containers_of("hello").unwrap().len() == replicas)
            .unwrap();
    };
    scale(1);
    pass_all(loads, 100, LONG).unwrap();
    scale(2);
    resume(&demo, &hub);
}

/// Resumes a paused hub, which Swarm may have replaced, since its health check failed.
fn resume(demo: &LabStack, hub: &Container) {
    let _ = hub.docker().run(&["kill", "--signal", "CONT", hub.id()]);
    demo.wait_routed().unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn all_hubs_are_updated_and_no_request_fails() {
    let demo = demo();
    let loads = loads(&demo, demo.lab().nodes(), "/plain/ping", PONG);
    demo.stack().force_update("hub").unwrap();
    demo.wait_routed().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

/// Updates `hello` on the other hosts while `victim` is away.
fn update_without(demo: &LabStack, victim: &Node, lose: impl FnOnce()) {
    let constraint = format!("node.hostname!={}", victim.name());
    demo.stack().add_constraint("hello", &constraint).unwrap();
    eventually_on_engine(LONG, || demo.lab().container_on(demo.stack(), "hello", victim).unwrap().is_none())
        .unwrap();
    demo.wait_routed().unwrap();
    let others = demo.lab().nodes().iter().filter(|node| node.name() != victim.name());
    let loads = loads(demo, others, "/plain/hello/viktor", HELLO);
    lose();
    demo.stack().force_update("hello").unwrap();
    wait_for_all(&loads, 100, LONG).unwrap();
    demo.lab().reconnect(victim).unwrap();
    demo.stack().remove_constraint("hello", &constraint).unwrap();
    demo.wait_routed().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn killed_host_of_a_hub_blocks_no_update_on_other_hosts() {
    let demo = demo();
    let victim = &demo.lab().nodes()[1];
    update_without(&demo, victim, || victim.kill().unwrap());
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn host_of_a_hub_that_is_cut_off_blocks_no_update_on_other_hosts() {
    let demo = demo();
    let victim = &demo.lab().nodes()[2];
    update_without(&demo, victim, || demo.lab().disconnect(victim).unwrap());
}
