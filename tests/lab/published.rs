//! `stacks/published.yml`: hosts without a common network register the ports that their containers publish.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::lab::Node;
use harness::{Fleet, FleetOptions, Images, LabStack, Loopback, compose, eventually, http};

const LONG: Duration = Duration::from_mins(1);

/// The stack file on a host outside of the swarm. Drop removes it.
struct Project<'a> {
    node: &'a Node,
    images: &'a Images,
    hub: String,
    token: &'a Path,
}

impl Project<'_> {
    fn run(&self, arguments: &[&str]) -> String {
        let host = self.node.docker().host().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/published.yml");
        let mut command = Command::new(compose::PROGRAM.0);
        command.arg("--file").arg(file).args(["--project-name", "published"]).args(arguments);
        command.env("DOCKER_HOST", host).env("DOCKER_SOCKET", host.strip_prefix("unix://").unwrap());
        command.env("SWARMLINGS_PREFIX", self.images.prefix()).env("SWARMLINGS_TAG", self.images.tag());
        command.env("SWARMLINGS_TOKEN_FILE", self.token).env("HUB_URL", &self.hub);
        command.env("HOST_ADDRESS", self.node.address().to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", self.node.name());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn answer(&self) -> String {
        let id = self.run(&["ps", "--quiet", "ping"]);
        format!("Pong from {}\n", &id[..12])
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.run(&["logs", "--no-color", "--tail", "20"]));
        }
        self.run(&["down", "--timeout", "5"]);
    }
}

#[test]
fn published_ports_of_hosts_without_a_common_network_are_routed() {
    let bare = LabStack::bare().unwrap();
    let ports = Loopback::at(bare.lab().subnet().registry().into());
    let options = FleetOptions {
        hub: Some(ports.free().unwrap()),
        api: Some(ports.free().unwrap()),
        ..FleetOptions::default()
    };
    let mut fleet = Fleet::spawn(options).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let token = fleet.hub.token_file(&fleet.hub.master().unwrap().role("agent")).unwrap();
    let projects: Vec<_> = ["worker-1", "worker-2"]
        .into_iter()
        .map(|name| {
            let node = bare.lab().node(name).unwrap();
            let project = Project { node, images: bare.images(), hub: fleet.hub.url(), token: &token };
            project.run(&["up", "--detach", "--no-build"]);
            project
        })
        .collect();

    let url = format!("{}/ping", fleet.traefik.url());
    let expected: BTreeSet<_> = projects.iter().map(Project::answer).collect();
    assert_eq!(expected.len(), 2);
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        seen.extend(http::get(&url).ok().filter(|answer| answer.status == 200).map(|answer| answer.body));
        seen == expected
    })
    .unwrap_or_else(|error| panic!("{error}: {seen:?} instead of {expected:?}"));

    // A label that names a port which is not published.
    let first = &projects[0];
    let name = format!("published-{}", std::process::id());
    let image = bare.images().name("ping");
    let labels = [
        "--label=traefik.http.routers.other.rule=Path(`/other`)",
        "--label=traefik.http.services.other.loadbalancer.server.port=9090",
    ];
    let arguments =
        [&["run", "--detach", "--name", &name, "--publish", "8080"], &labels[..], &[&image]].concat();
    first.node.docker().run(&arguments).unwrap();
    let reason = eventually_refused(&fleet, &name);
    first.node.docker().run(&["rm", "--force", &name]).unwrap();
    assert!(reason.contains("does not publish its port 9090/tcp on this host, only 8080/tcp"), "{reason}");

    // Without its container, a host receives no more requests.
    first.run(&["stop", "ping"]);
    let servers = || fleet.traefik.api().servers().unwrap();
    let left = format!("http://{}:8090", projects[1].node.address());
    eventually(LONG, || servers() == [left.clone()].into())
        .unwrap_or_else(|error| panic!("{error}: {:?}", servers()));
}

/// Waits until the hub refuses the container, and returns the reason.
fn eventually_refused(fleet: &Fleet, name: &str) -> String {
    let mut reason = None;
    eventually(LONG, || {
        let instances = fleet.hub.instances().unwrap();
        let of_container = |id: &str| id.starts_with(name);
        let instance = instances.iter().find(|instance| instance["id"].as_str().is_some_and(of_container));
        reason = instance.and_then(|instance| instance["routing"]["reason"].as_str()).map(str::to_owned);
        reason.is_some()
    })
    .unwrap();
    reason.unwrap()
}
