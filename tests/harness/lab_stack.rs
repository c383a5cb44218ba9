//! A stack on a lab of three hosts. All tests of a process share the lab, one after the other.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::docker::eventually_on_engine;
use crate::images::root;
use crate::lab::Node;
use crate::netns::NetnsGuard;
use crate::shared::{Shared, SharedHandle};
use crate::stack::{SETTLE_TIMEOUT, Settings, Stack};
use crate::traefik::{DASHBOARD, DASHBOARD_USER};
use crate::{Binaries, Container, Images, Lab, LabOptions, Master, Secrets, TraefikApi, http, tools};

/// Stack file that adds routes without the retry middleware.
const PLAIN: &str = "tests/stacks/plain.yml";

/// A lab with the images in its registry.
struct SharedLab {
    lab: Lab,
    images: Images,
    traefik: String,
    secrets: Secrets,
    /// Cleared by a test that fails: the next one creates a new lab.
    is_usable: AtomicBool,
}

static LAB: Shared<SharedLab> = Shared::new();

/// Held by the test that uses the lab.
static TURN: Mutex<()> = Mutex::new(());

/// A stack in the shared lab. Meanwhile the calling thread is in the lab's network namespace, and no other test uses the
/// lab.
pub struct LabStack {
    stack: Stack,
    /// Whether the stack stays for the next test.
    is_kept: bool,
    /// Number of hubs.
    hubs: usize,
    joined: Vec<Stack>,
    _netns: NetnsGuard,
    shared: SharedHandle<SharedLab>,
    _turn: MutexGuard<'static, ()>,
}

impl SharedLab {
    fn get() -> Result<SharedHandle<Self>> {
        LAB.get(|shared| shared.is_usable.load(Ordering::Relaxed), Self::create)
    }

    fn create() -> Result<Self> {
        let lab = Lab::create(&LabOptions::owned(3))?;
        let (images, traefik) = lab.provide_images(&Binaries::find()?, &tools::traefik()?)?;
        let secrets = Secrets::new("test", Master::random()?);
        Ok(Self { lab, images, traefik, secrets, is_usable: AtomicBool::new(true) })
    }
}

impl LabStack {
    /// Deploys `stacks/demo.yml`, or resets it to its initial state: all hosts ready, all tasks running and routed by each
    /// Traefik. The stack stays for the next test.
    pub fn demo() -> Result<Self> {
        Self::demo_with_hubs(1)
    }

    /// Like [`LabStack::demo`], with several hubs.
    pub fn demo_with_hubs(hubs: usize) -> Result<Self> {
        let mut demo = Self::new("demo")?;
        (demo.is_kept, demo.hubs) = (true, hubs);
        demo.deploy(&["stacks/demo.yml", PLAIN, DASHBOARD], 80, &[DASHBOARD_USER])?;
        demo.wait_routed()?;
        Ok(demo)
    }

    /// Deploys `stacks/classic.yml` beside the demo, and removes it at the end of the test.
    pub fn classic() -> Result<Self> {
        let classic = Self::new("classic")?;
        classic.deploy(&["stacks/classic.yml", PLAIN], 81, &[])?;
        Ok(classic)
    }

    /// Deploys `stacks/article.yml` in place of the demo, since both have the same labels, and removes it at the end of the
    /// test.
    pub fn article() -> Result<Self> {
        let article = Self::new("demo")?;
        article.stack.remove(SETTLE_TIMEOUT)?;
        article.deploy(&["stacks/article.yml", DASHBOARD], 80, &[DASHBOARD_USER])?;
        Ok(article)
    }

    /// Returns a command on a host of the lab with the variables of stack files.
    pub fn command(&self, node: &Node, program: &str) -> Result<Command> {
        let SharedLab { images, traefik, secrets, .. } = &*self.shared;
        let mut command = node.command(program.as_ref())?;
        command.envs(images.variables(traefik)).env("SWARMLINGS_TOKEN", secrets.master_name());
        Ok(command)
    }

    /// The lab without a stack of its own, for containers outside of the swarm.
    pub fn bare() -> Result<Self> {
        let mut bare = Self::new("bare")?;
        bare.is_kept = true;
        bare.lab().wait_ready(SETTLE_TIMEOUT)?;
        Ok(bare)
    }

    /// Deploys another stack file on this stack's network, and waits until it runs. Removes it at the end of the test.
    pub fn join(&mut self, file: &str, name: &str, variables: &[(&str, &str)]) -> Result<Stack> {
        let joined = self.lab().stack(name);
        self.joined.push(joined.clone());
        let network = self.stack.service("apps");
        let variables = [&[("SWARMLINGS_NETWORK", network.as_str())], variables].concat();
        // Publishes no port.
        self.deploy_stack(&joined, &[file], 0, &variables)?;
        Ok(joined)
    }

    /// The project's images in the lab's registry.
    pub fn images(&self) -> &Images {
        &self.shared.images
    }

    fn new(name: &str) -> Result<Self> {
        // The handle keeps the lab alive while this test waits for its turn.
        let mut shared = SharedLab::get()?;
        let turn = TURN.lock().unwrap_or_else(|poisoned| {
            TURN.clear_poison();
            poisoned.into_inner()
        });
        if !shared.is_usable.load(Ordering::Relaxed) {
            drop(shared);
            shared = SharedLab::get()?;
        }
        let netns = shared.lab.enter()?;
        let stack = shared.lab.stack(name);
        Ok(Self { stack, is_kept: false, hubs: 1, joined: Vec::new(), _netns: netns, shared, _turn: turn })
    }

    fn deploy(&self, files: &[&str], port: u16, variables: &[(&str, &str)]) -> Result<()> {
        self.lab().wait_ready(SETTLE_TIMEOUT)?;
        self.deploy_stack(&self.stack, files, port, variables)
    }

    fn deploy_stack(
        &self,
        stack: &Stack,
        files: &[&str],
        port: u16,
        variables: &[(&str, &str)],
    ) -> Result<()> {
        let SharedLab { images, traefik, secrets, .. } = &*self.shared;
        let hubs = self.hubs.to_string();
        let variables = &[&[("HUBS", hubs.as_str())], variables].concat();
        let settings = Settings { images, traefik, secrets, port, variables };
        let files: Vec<_> = files.iter().map(|file| root().join(file)).collect();
        stack.deploy(&files, &settings)?;
        stack.wait_running(SETTLE_TIMEOUT)
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.shared.lab
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// URL of `path` on Traefik's port of `node`.
    pub fn url(&self, node: &Node, path: &str) -> String {
        format!("http://{}{path}", node.address())
    }

    /// API of the demo's Traefik on `node`.
    pub fn traefik_api(&self, node: &Node) -> TraefikApi {
        TraefikApi::new(format!("http://{}:8080", node.address()), "http")
    }

    /// The only container of one of the stack's services.
    pub fn only_container(&self, service: &str) -> Result<Container> {
        match &self.stack.containers_of(service)?[..] {
            [container] => Ok(container.clone()),
            containers => bail!("expected one container of {service}, found {}", containers.len()),
        }
    }

    /// Master token of the hubs.
    pub fn master(&self) -> &Master {
        self.shared.secrets.master()
    }

    /// The list of instances of each hub.
    pub fn instances(&self) -> Result<Vec<Vec<Value>>> {
        let hubs = self.stack.containers_of("hub")?;
        let instances = hubs.iter().map(|hub| {
            let netns = self.lab().enter_container(hub)?;
            let list =
                netns.with(|| http::json_as_reader(self.master(), "http://127.0.0.1:8080/v1/instances"))?;
            list.as_array().cloned().context("reading the hub's instances: not a list")
        });
        instances.collect()
    }

    /// Waits until each Traefik polls a hub, and each hub and each Traefik list every running task of ping and hello exactly
    /// once, and nothing else.
    pub fn wait_routed(&self) -> Result<()> {
        eventually_on_engine(SETTLE_TIMEOUT, || {
            self.check_task_counts()?;
            let mut expected = Vec::new();
            for service in ["ping", "hello"] {
                for container in self.stack.containers_of(service)? {
                    expected.push(format!("http://{}:8080", container.address()?));
                }
            }
            expected.sort();
            for node in self.lab().nodes() {
                let mut servers = self.traefik_api(node).server_list()?;
                servers.sort();
                let name = node.name();
                ensure!(servers == expected, "Traefik on {name} has {servers:?} instead of {expected:?}");
            }
            // While a hub is away, Traefik keeps its configuration, and retries at growing intervals.
            let (routers, nodes) = (self.lab().polling_routers(&self.stack)?, self.lab().nodes().len());
            ensure!(routers == nodes, "{routers} of {nodes} Traefiks poll a hub");
            for listed in self.instances()?.iter().map(Vec::len) {
                ensure!(listed == expected.len(), "a hub lists {listed} instances of {}", expected.len());
            }
            Ok(())
        })
        .context("waiting until all nodes route the demo")
    }

    fn check_task_counts(&self) -> Result<()> {
        for (service, expected) in [("ping", self.lab().nodes().len()), ("hello", 2), ("hub", self.hubs)] {
            let running = self.stack.containers_of(service)?.len();
            ensure!(running == expected, "{service}: {running} running containers instead of {expected}");
        }
        Ok(())
    }
}

impl Drop for LabStack {
    fn drop(&mut self) {
        if thread::panicking() {
            self.joined.iter().chain([&self.stack]).for_each(Stack::print_state);
            self.shared.is_usable.store(false, Ordering::Relaxed);
            return;
        }
        let own = (!self.is_kept).then_some(&self.stack);
        let mut removed = self.joined.iter().rev().chain(own);
        if let Err(error) = removed.try_for_each(|stack| stack.remove(SETTLE_TIMEOUT)) {
            eprintln!("{error:#}");
            self.shared.is_usable.store(false, Ordering::Relaxed);
        }
    }
}
