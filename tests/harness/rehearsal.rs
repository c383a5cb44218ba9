//! `stacks/demo.yml` on a lab of three hosts, which all tests of a process share, one after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::docker::settled;
use crate::hold::{Hold, Shared};
use crate::images::root;
use crate::lab::Node;
use crate::network::Inside;
use crate::stack::{Container, SETTLED, Settings, Stack, ensure_token};
use crate::{Binaries, Images, Lab, LabOptions, TraefikView, http, tools};

/// Adds routes without the middleware that asks again.
const PLAIN: &str = "tests/stacks/plain.yml";

/// The stack's token.
const TOKEN: &str = "token";

/// A lab with images in its registry.
pub struct Stage {
    lab: Lab,
    images: Images,
    traefik: String,
    /// No longer once a test has failed in it.
    is_sound: AtomicBool,
}

static STAGE: Shared<Stage> = Shared::new();

/// Whoever has it has the stage for himself.
static TURN: Mutex<()> = Mutex::new(());

/// A test's turn with the stage. For so long its thread is in the lab's network.
pub struct Rehearsal {
    stack: Stack,
    /// Whether the stack is left for the next test.
    is_kept: bool,
    /// Stacks that have joined it.
    guests: Vec<Stack>,
    _inside: Inside,
    stage: Hold<Stage>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn set_up() -> Result<Self> {
        let lab = Lab::create(&LabOptions::owned(3))?;
        let (images, traefik) = lab.provide_images(&Binaries::find()?, &tools::traefik()?)?;
        ensure_token(lab.docker(), TOKEN)?;
        Ok(Self { lab, images, traefik, is_sound: AtomicBool::new(true) })
    }

    fn hold() -> Result<Hold<Self>> {
        STAGE.hold(|stage| stage.is_sound.load(Ordering::Relaxed), Self::set_up)
    }
}

impl Rehearsal {
    /// Waits for its turn and deploys `stacks/demo.yml`, or takes it back to what it was: all hosts there, all tasks
    /// running, each of them routed by each Traefik.
    pub fn demo() -> Result<Self> {
        let mut rehearsal = Self::of("demo")?;
        rehearsal.is_kept = true;
        rehearsal.deploy(&["stacks/demo.yml", PLAIN], 80, 8080)?;
        rehearsal.wait_routed()?;
        Ok(rehearsal)
    }

    /// The same with `stacks/classic.yml`, beside the demo. It is gone at the end of the test.
    pub fn classic() -> Result<Self> {
        let rehearsal = Self::of("classic")?;
        rehearsal.deploy(&["stacks/classic.yml", PLAIN], 81, 8081)?;
        Ok(rehearsal)
    }

    /// The same with `stacks/article.yml`, in place of the demo, whose name its labels have.
    pub fn article() -> Result<Self> {
        let rehearsal = Self::of("demo")?;
        rehearsal.stack.remove(SETTLED)?;
        rehearsal.deploy(&["stacks/article.yml"], 80, 8080)?;
        Ok(rehearsal)
    }

    /// Deploys another stack's file, which is to join this one's network and to be gone at the end of the test, and waits
    /// until it runs.
    pub fn join(&mut self, file: &str, name: &str, variables: &[(&str, &str)]) -> Result<Stack> {
        let guest = self.lab().stack(name);
        self.guests.push(guest.clone());
        let network = self.stack.service("apps");
        let variables = [&[("SWARMLINGS_NETWORK", network.as_str())], variables].concat();
        // It publishes no port.
        self.deploy_stack(&guest, &[file], 0, 0, &variables)?;
        Ok(guest)
    }

    /// The project's images, in the lab's registry.
    pub fn images(&self) -> &Images {
        &self.stage.images
    }

    fn of(name: &str) -> Result<Self> {
        // Held while waiting, so that it does not end with the test before.
        let waiting = Stage::hold()?;
        let turn = TURN.lock().unwrap_or_else(|poisoned| {
            TURN.clear_poison();
            poisoned.into_inner()
        });
        let stage = if waiting.is_sound.load(Ordering::Relaxed) {
            waiting
        } else {
            drop(waiting);
            Stage::hold()?
        };
        let inside = stage.lab.enter()?;
        let stack = stage.lab.stack(name);
        Ok(Self { stack, is_kept: false, guests: Vec::new(), _inside: inside, stage, _turn: turn })
    }

    fn deploy(&self, files: &[&str], port: u16, dashboard_port: u16) -> Result<()> {
        self.lab().wait_ready(SETTLED)?;
        self.deploy_stack(&self.stack, files, port, dashboard_port, &[])
    }

    fn deploy_stack(
        &self,
        stack: &Stack,
        files: &[&str],
        port: u16,
        dashboard_port: u16,
        variables: &[(&str, &str)],
    ) -> Result<()> {
        let Stage { images, traefik, .. } = &*self.stage;
        let settings = Settings { images, traefik, token: TOKEN, port, dashboard_port, variables };
        let files: Vec<_> = files.iter().map(|file| root().join(file)).collect();
        stack.deploy(&files, &settings)?;
        stack.wait_running(SETTLED)
    }

    /// Its hosts.
    pub fn lab(&self) -> &Lab {
        &self.stage.lab
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// A path on the port that Traefik has on `node`.
    pub fn url(&self, node: &Node, path: &str) -> String {
        format!("http://{}{path}", node.address())
    }

    /// What the demo's Traefik on `node` has in use.
    pub fn view(&self, node: &Node) -> TraefikView {
        TraefikView::new(format!("http://{}:8080", node.address()), "http")
    }

    /// The only container of one of the stack's services.
    pub fn only(&self, service: &str) -> Result<Container> {
        let mut containers = self.stack.containers_of(service)?;
        match (containers.pop(), containers.is_empty()) {
            (Some(container), true) => Ok(container),
            _ => bail!("there is not exactly one container of {service}"),
        }
    }

    /// The hub's list of instances.
    pub fn instances(&self) -> Result<Vec<Value>> {
        let hub = self.only("hub")?;
        let list =
            self.lab().enter_container(&hub)?.with(|| http::json("http://127.0.0.1:8080/v1/instances"))?;
        list.as_array().cloned().context("reading the hub's list of instances: it is no list")
    }

    /// Waits until every running task of ping and hello is listed once by the hub and once by each Traefik, and nothing
    /// else is.
    pub fn wait_routed(&self) -> Result<()> {
        settled(SETTLED, || {
            self.ensure_all_run()?;
            let mut expected = Vec::new();
            for service in ["ping", "hello"] {
                for container in self.stack.containers_of(service)? {
                    expected.push(format!("http://{}:8080", container.address()?));
                }
            }
            expected.sort();
            for node in self.lab().nodes() {
                let mut servers = self.view(node).server_list()?;
                servers.sort();
                ensure!(
                    servers == expected,
                    "Traefik on {} has {servers:?} instead of {expected:?}",
                    node.name()
                );
            }
            let listed = self.instances()?.len();
            ensure!(listed == expected.len(), "the hub lists {listed} instances of {}", expected.len());
            Ok(())
        })
        .context("waiting for the demo to be routed on all nodes")
    }

    fn ensure_all_run(&self) -> Result<()> {
        let counts = [("ping", self.lab().nodes().len()), ("hello", 2), ("hub", 1)];
        for (service, wanted) in counts {
            let running = self.stack.containers_of(service)?.len();
            ensure!(running == wanted, "{running} containers of {service} run instead of {wanted}");
        }
        Ok(())
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if thread::panicking() {
            self.guests.iter().chain([&self.stack]).for_each(Stack::show);
            self.stage.is_sound.store(false, Ordering::Relaxed);
            return;
        }
        let own = (!self.is_kept).then_some(&self.stack);
        if let Err(error) = self.guests.iter().rev().chain(own).try_for_each(|stack| stack.remove(SETTLED)) {
            eprintln!("{error:#}");
            self.stage.is_sound.store(false, Ordering::Relaxed);
        }
    }
}
