use std::time::Duration;

use harness::LabStack;
use harness::load::{HELLO, PONG, pass_all, wait_for_all};
use harness::{Load, LoadOptions, eventually, http};

const LONG: Duration = Duration::from_mins(2);

#[test]
fn updates_of_services_and_hub_fail_no_request() {
    let demo = LabStack::demo().unwrap();
    let loads = loads(&demo);
    for services in [&["ping", "hello"][..], &["hub"]] {
        wait_for_all(&loads, 100, LONG).unwrap();
        demo.stack().replace(services, LONG).unwrap();
        demo.wait_routed().unwrap();
    }
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn scaling_up_and_down_fails_no_request() {
    let demo = LabStack::demo().unwrap();
    let loads = loads(&demo);
    for replicas in [6, 2] {
        wait_for_all(&loads, 100, LONG).unwrap();
        let scale = format!("{}={replicas}", demo.stack().service("hello"));
        demo.lab().docker().run(&["service", "scale", "--detach=false", &scale]).unwrap();
        // The client does not wait for removed tasks to exit.
        eventually(LONG, || demo.stack().containers_of("hello").unwrap().len() == replicas).unwrap();
    }
    demo.wait_routed().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn changed_labels_apply_at_once_to_tasks_of_both_generations() {
    let demo = LabStack::demo().unwrap();
    let node = &demo.lab().nodes()[1];
    let new = demo.url(node, "/greet/viktor");
    assert_eq!(http::get(&new).unwrap().status, 404);
    let before: Vec<_> =
        demo.stack().containers_of("hello").unwrap().iter().map(|old| old.host().unwrap()).collect();
    let loads = loads(&demo);
    wait_for_all(&loads, 100, LONG).unwrap();

    let service = demo.stack().service("hello");
    let labels = [
        "traefik.http.routers.hello.rule=PathPrefix(`/hello/`) || PathPrefix(`/greet/`)",
        "traefik.http.middlewares.hello.stripprefix.prefixes=/hello,/greet",
    ];
    let mut update = vec!["service", "update", "--quiet", "--no-resolve-image", "--detach", "--force"];
    update.extend(labels.iter().flat_map(|label| ["--label-add", label]));
    // Keeps the first new task and an old one running side by side for a while.
    update.extend(["--update-delay", "5s", &service]);
    demo.lab().docker().run(&update).unwrap();

    let served_by_old = || {
        let response = http::get(&new).unwrap();
        response.status == 200 && before.iter().any(|host| response.served_by() == Some(host))
    };
    eventually(LONG, served_by_old).unwrap();
    // From then on no request fails.
    let greetings = load(&new, true, HELLO);
    eventually(LONG, || {
        let now = demo.stack().containers_of("hello").unwrap();
        now.len() == 2 && !now.iter().any(|one| before.contains(&one.host().unwrap()))
    })
    .unwrap();
    greetings.wait_for_more(100, LONG).unwrap();
    greetings.pass().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

/// Starts load on both services through two nodes, with kept connections and with new ones.
fn loads(demo: &LabStack) -> Vec<Load> {
    let nodes = &demo.lab().nodes()[..2];
    let paths = [("/plain/ping", PONG), ("/plain/hello/viktor", HELLO)];
    nodes
        .iter()
        .flat_map(|node| paths.map(|(path, instance)| (demo.url(node, path), instance)))
        .flat_map(|(url, instance)| [true, false].map(|keep_alive| load(&url, keep_alive, instance)))
        .collect()
}

fn load(url: &str, keep_alive: bool, instance: &'static str) -> Load {
    let options = LoadOptions { rate: 100, keep_alive, instance, ..LoadOptions::default() };
    Load::start(url, &options).unwrap()
}
