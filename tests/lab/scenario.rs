use std::collections::BTreeSet;
use std::time::Duration;

use harness::LabStack;
use harness::{eventually, http};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn every_nodes_ping_and_both_hellos_answer_through_a_workers_traefik() {
    let demo = LabStack::demo().unwrap();
    let worker = demo.lab().node("worker-1").unwrap();

    let tasks = demo.stack().containers_of("ping").unwrap();
    let nodes: BTreeSet<_> =
        tasks.iter().map(|ping| demo.lab().node_of(ping).unwrap().name().to_owned()).collect();
    assert_eq!(nodes.len(), 3, "one on each: {nodes:?}");
    let answered: BTreeSet<_> =
        tasks.iter().map(|ping| format!("Pong from {}\n", ping.host().unwrap())).collect();
    assert_eq!(answers(&demo.url(worker, "/ping"), answered.len()), answered);

    let hellos = demo.stack().containers_of("hello").unwrap();
    let greetings: BTreeSet<_> =
        hellos.iter().map(|hello| format!("Hello, Viktor! (from {})\n", hello.host().unwrap())).collect();
    assert_eq!(greetings.len(), 2);
    assert_eq!(answers(&demo.url(worker, "/hello/viktor"), greetings.len()), greetings);
}

/// Asks until there were `count` different answers.
fn answers(url: &str, count: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        let answer = http::get(url).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        seen.insert(answer.body);
        seen.len() == count
    })
    .unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    seen
}
