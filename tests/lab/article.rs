//! `stacks/article.yml`: labels of Traefik 1 on plain containers, of which agents tell.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::LabStack;
use harness::{eventually, http};

const LONG: Duration = Duration::from_mins(1);

/// What the article says of its two services, line by line as it stands there, but for images and commands.
const PING: &str = "    networks:
      - apps
    deploy:
      mode: global
      labels:
        - 'traefik.port=8080'
        - 'traefik.docker.network=demo_apps'
        - 'traefik.frontend.rule=PathPrefixStrip: /ping'
";
const HELLO: &str = "    labels:
      - traefik.port=8080
      - traefik.docker.network=demo_apps
      - \"traefik.frontend.rule=PathPrefixStrip: /hello/\"
    networks:
      - apps
    deploy:
      replicas: 2
      labels:
        - 'traefik.port=8080'
        - 'traefik.docker.network=demo_apps'
        - 'traefik.frontend.rule=PathPrefixStrip: /hello/'
";

#[test]
fn the_articles_own_labels_route_its_services_on_three_hosts() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/article.yml");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(PING) && text.contains(HELLO), "the file is no longer the article's");

    let article = LabStack::article().unwrap();
    for service in ["ping", "hello"] {
        for container in article.stack().containers_of(service).unwrap() {
            let environment = container.inspect("{{.Config.Env}}").unwrap();
            assert!(!environment.contains("SIDECAR_HUB"), "{environment}");
        }
    }
    let pongs = expected(&article, "ping", |host| format!("Pong from {host}\n"));
    assert_eq!(pongs.len(), 3);
    let greetings = expected(&article, "hello", |host| format!("Hello, Viktor! (from {host})\n"));
    assert_eq!(greetings.len(), 2);
    for node in article.lab().nodes() {
        wait_answers(&article.url(node, "/ping"), &pongs);
        wait_answers(&article.url(node, "/hello/viktor"), &greetings);
    }
    let world = http::get(&article.url(&article.lab().nodes()[0], "/hello/world")).unwrap();
    assert!(world.body.starts_with("Hello, World! (from "), "{}", world.body);

    // What Traefik has in use is what each container has on the network that its labels name.
    let mut addresses = BTreeSet::new();
    for service in ["ping", "hello"] {
        for container in article.stack().containers_of(service).unwrap() {
            addresses.insert(format!("http://{}:8080", container.address().unwrap()));
        }
    }
    let servers: BTreeSet<_> = article
        .traefik_api(&article.lab().nodes()[0])
        .server_list()
        .unwrap()
        .into_iter()
        .filter(|server| server.starts_with("http://10."))
        .collect();
    assert_eq!(servers, addresses);
}

/// What each container of `service` answers.
fn expected(article: &LabStack, service: &str, answer: impl Fn(&str) -> String) -> BTreeSet<String> {
    let containers = article.stack().containers_of(service).unwrap();
    containers.iter().map(|container| answer(&container.host().unwrap())).collect()
}

/// Asks until all of `expected` were the answer once; others, while the last container is on its way, do not count.
fn wait_answers(url: &str, expected: &BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        let answer = http::get(url).unwrap();
        if answer.status == 200 {
            seen.insert(answer.body);
        }
        seen == *expected
    })
    .unwrap_or_else(|error| panic!("{url}: {error}: {seen:?} instead of {expected:?}"));
}
