//! A set-up: who tells Traefik where tasks are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use harness::docker::settled;
use harness::lab::Node;
use harness::stack::{Container, SETTLED, Settings, Stack};
use harness::{Images, Lab, TraefikView, eventually, http};
use xtask::build::root;

/// The secret that holds the token.
pub(super) const TOKEN: &str = "token";

/// Who tells Traefik where tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SetUp {
    /// Sidecars and hub: stacks/demo.yml
    Ours,
    /// Traefik's swarm provider, asking each second: stacks/classic.yml
    Tuned,
    /// Traefik's swarm provider with its own defaults
    Shipped,
}

impl SetUp {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Tuned => "tuned",
            Self::Shipped => "as shipped",
        }
    }

    fn file(self) -> &'static str {
        if self == Self::Ours { "stacks/demo.yml" } else { "stacks/classic.yml" }
    }

    fn provider(self) -> &'static str {
        if self == Self::Ours { "http" } else { "swarm" }
    }

    fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ours => &[("SIDECAR_HUB", "http://hub:8080"), ("SERVICE_LINGER", "250ms")],
            Self::Tuned => &[("SIDECAR_HUB", ""), ("SERVICE_LINGER", "3s")],
            Self::Shipped => &[
                ("SIDECAR_HUB", ""),
                ("SERVICE_LINGER", "3s"),
                ("REFRESH_SECONDS", "15"),
                ("THROTTLE", "2s"),
            ],
        }
    }
}

/// A set-up that runs on a lab. The calling thread is in the lab's network.
pub(super) struct Deployed<'a> {
    pub(super) lab: &'a Lab,
    pub(super) set_up: SetUp,
    pub(super) stack: Stack,
}

impl<'a> Deployed<'a> {
    pub(super) fn new(lab: &'a Lab, set_up: SetUp, images: &Images, traefik: &str) -> Result<Self> {
        eprintln!("{}: deploying {}", set_up.name(), set_up.file());
        let deployed = Self { lab, set_up, stack: lab.stack("rollout") };
        let settings = Settings {
            images,
            traefik,
            token: TOKEN,
            port: 80,
            dashboard_port: 8080,
            variables: set_up.variables(),
        };
        let files = [set_up.file(), "tests/stacks/plain.yml", "tests/stacks/rollout.yml"];
        deployed.stack.deploy(&files.map(|file| root().join(file)), &settings)?;
        deployed.stack.wait_running(SETTLED).inspect_err(|_| deployed.stack.show())?;
        deployed.wait_settled()?;
        Ok(deployed)
    }

    pub(super) fn remove(self) -> Result<()> {
        self.stack.remove(SETTLED * 2)
    }

    /// The host whose Traefik is asked: the only one that has it in all set-ups.
    pub(super) fn entry(&self) -> &Node {
        &self.lab.nodes()[0]
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.entry().address())
    }

    pub(super) fn view(&self) -> TraefikView {
        TraefikView::new(format!("http://{}:8080", self.entry().address()), self.set_up.provider())
    }

    pub(super) fn containers(&self, service: &str) -> Result<Vec<Container>> {
        self.stack.containers_of(service)
    }

    /// The container of `service` on `node`, if there is one.
    pub(super) fn on(&self, service: &str, node: &Node) -> Result<Option<Container>> {
        self.lab.container_on(&self.stack, service, node)
    }

    pub(super) fn only(&self, service: &str) -> Result<Container> {
        self.containers(service)?.pop().with_context(|| format!("no container of {service}"))
    }

    /// Where Traefik finds a container.
    pub(super) fn server(container: &Container) -> Result<String> {
        Ok(format!("http://{}:8080", container.address()?))
    }

    /// Waits until all nodes are there and every task is routed, and nothing else is.
    pub(super) fn wait_settled(&self) -> Result<()> {
        self.lab.wait_ready(SETTLED)?;
        self.stack.wait_running(SETTLED)?;
        let settled = settled(SETTLED, || {
            let mut expected = Vec::new();
            for service in ["ping", "pings", "hello", "slow"] {
                for container in self.containers(service)? {
                    expected.push(Self::server(&container)?);
                }
            }
            expected.sort();
            let mut routed = self.view().server_list()?;
            routed.sort();
            ensure!(routed == expected, "Traefik has {routed:?} instead of {expected:?}");
            Ok(())
        });
        settled.inspect_err(|_| self.stack.show())?;
        let url = self.url("/plain/ping");
        eventually(Duration::from_secs(20), || http::well(&url)).map(drop)
    }
}
