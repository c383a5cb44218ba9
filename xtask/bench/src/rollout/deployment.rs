//! The setups that are compared, deployed on a lab.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use harness::docker::eventually_on_engine;
use harness::lab::Node;
use harness::stack::{SETTLE_TIMEOUT, Settings, Stack};
use harness::traefik::{DASHBOARD, DASHBOARD_USER};
use harness::{Container, Images, Lab, Secrets, TraefikApi, eventually, http};
use xtask::build::root;

/// Source of Traefik's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Setup {
    /// Sidecars and hub: stacks/demo.yml
    Ours,
    /// Traefik's swarm provider, polling every second: stacks/classic.yml
    Tuned,
    /// Traefik's swarm provider with its default settings
    Shipped,
}

impl Setup {
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
            Self::Ours => &[
                ("HUBS", "1"),
                ("HUB_ORDER", "start-first"),
                ("SIDECAR_HUB", "http://hub:8080"),
                ("SERVICE_LINGER", "250ms"),
            ],
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

/// A setup that runs on a lab. The calling thread must be in the lab's network.
pub(super) struct Deployment<'a> {
    pub(super) lab: &'a Lab,
    pub(super) setup: Setup,
    pub(super) stack: Stack,
}

impl<'a> Deployment<'a> {
    /// Deploys a setup and waits until all its tasks are routed.
    pub(super) fn new(
        lab: &'a Lab,
        setup: Setup,
        images: &Images,
        traefik: &str,
        secrets: &Secrets,
    ) -> Result<Self> {
        eprintln!("{}: deploying {}", setup.name(), setup.file());
        let deployment = Self { lab, setup, stack: lab.stack("rollout") };
        let variables = [setup.variables(), &[DASHBOARD_USER]].concat();
        let settings = Settings { images, traefik, secrets, port: 80, variables: &variables };
        let mut files = vec![setup.file(), "tests/stacks/plain.yml", "tests/stacks/rollout.yml", DASHBOARD];
        if setup == Setup::Ours {
            // Traefik's swarm provider reads no transports from labels.
            files.push("tests/stacks/transport.yml");
        }
        let files: Vec<_> = files.into_iter().map(|file| root().join(file)).collect();
        deployment.stack.deploy(&files, &settings)?;
        deployment.stack.wait_running(SETTLE_TIMEOUT).inspect_err(|_| deployment.stack.print_state())?;
        deployment.wait_settled()?;
        Ok(deployment)
    }

    /// The host that receives the load: the only one with Traefik in all setups.
    pub(super) fn entry(&self) -> &Node {
        &self.lab.nodes()[0]
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.entry().address())
    }

    pub(super) fn traefik(&self) -> TraefikApi {
        TraefikApi::new(format!("http://{}:8080", self.entry().address()), self.setup.provider())
    }

    pub(super) fn containers(&self, service: &str) -> Result<Vec<Container>> {
        self.stack.containers_of(service)
    }

    /// The container of `service` on `node`, if any.
    pub(super) fn container_on(&self, service: &str, node: &Node) -> Result<Option<Container>> {
        self.lab.container_on(&self.stack, service, node)
    }

    /// The URL of a container in Traefik's configuration.
    pub(super) fn server(container: &Container) -> Result<String> {
        Ok(format!("http://{}:8080", container.address()?))
    }

    /// Waits until all nodes are ready and Traefik routes to exactly the running tasks.
    pub(super) fn wait_settled(&self) -> Result<()> {
        self.lab.wait_ready(SETTLE_TIMEOUT)?;
        self.stack.wait_running(SETTLE_TIMEOUT)?;
        let settled = eventually_on_engine(SETTLE_TIMEOUT, || {
            let mut expected = Vec::new();
            for service in ["ping", "pings", "hello", "slow"] {
                for container in self.containers(service)? {
                    expected.push(Self::server(&container)?);
                }
            }
            expected.sort();
            let mut routed = self.traefik().server_list()?;
            routed.sort();
            ensure!(routed == expected, "Traefik routes to {routed:?}, expected {expected:?}");
            Ok(())
        });
        settled.inspect_err(|_| self.stack.print_state())?;
        let url = self.url("/plain/ping");
        eventually(Duration::from_secs(20), || http::get_ok(&url)).context("waiting for an answer").map(drop)
    }
}
