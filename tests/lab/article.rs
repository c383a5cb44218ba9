//! `stacks/article.yml`: labels of Traefik 1 on containers without a sidecar, which agents register.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::LabStack;
use harness::{eventually, http};

const LONG: Duration = Duration::from_mins(1);

/// The article's definition of ping, without image and command.
const PING: &str = "    networks:
      - apps
    deploy:
      mode: global
      labels:
        - 'traefik.port=8080'
        - 'traefik.docker.network=demo_apps'
        - 'traefik.frontend.rule=PathPrefixStrip: /ping'
";
/// The article's definition of hello, without image and command.
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
fn labels_of_the_article_route_its_services_on_three_hosts() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/article.yml");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(PING) && text.contains(HELLO), "the file differs from the article");

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
        wait_bodies(&article.url(node, "/ping"), &pongs);
        wait_bodies(&article.url(node, "/hello/viktor"), &greetings);
    }
    let world = http::get(&article.url(&article.lab().nodes()[0], "/hello/world")).unwrap();
    assert!(world.body.starts_with("Hello, World! (from "), "{}", world.body);

    // Traefik's servers are the containers' addresses on the network in their labels.
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

/// Expected responses, one for each container of `service`.
fn expected(article: &LabStack, service: &str, body: impl Fn(&str) -> String) -> BTreeSet<String> {
    let containers = article.stack().containers_of(service).unwrap();
    containers.iter().map(|container| body(&container.host().unwrap())).collect()
}

/// Sends requests until each of `expected` has been the body. Ignores errors while the last container starts.
fn wait_bodies(url: &str, expected: &BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        let response = http::get(url).unwrap();
        if response.status == 200 {
            seen.insert(response.body);
        }
        seen == *expected
    })
    .unwrap_or_else(|error| panic!("{url}: {error}: {seen:?} instead of {expected:?}"));
}
