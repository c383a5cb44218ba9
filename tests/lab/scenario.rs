use std::collections::BTreeSet;
use std::time::Duration;

use harness::LabStack;
use harness::{eventually, http};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn all_tasks_answer_through_the_traefik_of_a_worker() {
    let demo = LabStack::demo().unwrap();
    let worker = demo.lab().node("worker-1").unwrap();

    let tasks = demo.stack().containers_of("ping").unwrap();
    let nodes: BTreeSet<_> =
        tasks.iter().map(|ping| demo.lab().node_of(ping).unwrap().name().to_owned()).collect();
    assert_eq!(nodes.len(), 3, "one ping on each node: {nodes:?}");
    let pongs: BTreeSet<_> =
        tasks.iter().map(|ping| format!("Pong from {}\n", ping.host().unwrap())).collect();
    assert_eq!(bodies(&demo.url(worker, "/ping"), pongs.len()), pongs);

    let hellos = demo.stack().containers_of("hello").unwrap();
    let greetings: BTreeSet<_> =
        hellos.iter().map(|hello| format!("Hello, Viktor! (from {})\n", hello.host().unwrap())).collect();
    assert_eq!(greetings.len(), 2);
    assert_eq!(bodies(&demo.url(worker, "/hello/viktor"), greetings.len()), greetings);
}

/// Sends requests until there are `count` different bodies.
fn bodies(url: &str, count: usize) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        let response = http::get(url).unwrap();
        assert_eq!(response.status, 200, "{}", response.body);
        seen.insert(response.body);
        seen.len() == count
    })
    .unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    seen
}
