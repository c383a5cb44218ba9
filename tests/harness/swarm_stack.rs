//! `stacks/demo.yml` on one engine. All tests of a process share the stack, one after the other.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use anyhow::{Result, bail};

use crate::engine::{Engine, SharedEngine};
use crate::images::root;
use crate::netns::NetnsGuard;
use crate::secrets::{self, Secrets};
use crate::shared::{Shared, SharedHandle};
use crate::stack::{SETTLE_TIMEOUT, Settings, Stack};
use crate::{Docker, Loopback, Master, http};

/// Files of the demo.
const FILES: &[&str] = &["stacks/demo.yml", "tests/stacks/plain.yml"];

/// Variable with the number of hubs.
const HUBS: (&str, &str) = ("HUBS", "1");

/// The demo with its own name, tokens and ports. Drop removes it.
struct Deployment {
    stack: Stack,
    secrets: Secrets,
    port: u16,
    /// Cleared by a test that fails or discards it: the next one deploys the demo again.
    is_usable: AtomicBool,
    engine: SharedEngine,
}

static DEPLOYMENT: Shared<Deployment> = Shared::new();

/// Held by the test that uses the stack.
static TURN: Mutex<()> = Mutex::new(());

/// A test's turn with the demo. Meanwhile the calling thread is in the network namespace of its [ports](Engine::enter).
pub struct SwarmStack {
    /// Stacks on the network of this one.
    joined: Vec<Stack>,
    _netns: Option<NetnsGuard>,
    deployment: SharedHandle<Deployment>,
    _turn: MutexGuard<'static, ()>,
}

impl Deployment {
    fn get() -> Result<SharedHandle<Self>> {
        DEPLOYMENT.get(|deployment| deployment.is_usable.load(Ordering::Relaxed), Self::create)
    }

    /// Deploys `stacks/demo.yml` and `tests/stacks/plain.yml`, and waits until the stack runs.
    fn create() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::shared()?;
        // Free ports are those of the namespace in which the engine publishes them.
        let netns = engine.enter()?;
        let name = format!("test-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let ports = Loopback::at(Ipv4Addr::UNSPECIFIED.into());
        let port = ports.free()?.port();
        drop(netns);
        let stack = Stack::new(engine.docker().clone(), name);
        let secrets = Secrets::new(stack.name(), Master::random()?);
        // Created before anything is deployed, so that drop removes a partial deployment.
        let deployment = Self { stack, secrets, port, is_usable: AtomicBool::new(true), engine };
        deployment.deploy(&deployment.stack, FILES, &[HUBS])?;
        Ok(deployment)
    }

    fn deploy(&self, stack: &Stack, files: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        let settings = Settings {
            images: &self.engine.images()?,
            traefik: &self.engine.traefik_image()?,
            secrets: &self.secrets,
            port: self.port,
            variables,
        };
        let files: Vec<_> = files.iter().map(|file| root().join(file)).collect();
        stack.deploy(&files, &settings)?;
        stack.wait_running(SETTLE_TIMEOUT).inspect_err(|_| stack.print_state())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let removed = self.stack.remove(SETTLE_TIMEOUT);
        let removed = removed.and_then(|()| secrets::remove(self.engine.docker(), self.stack.name()));
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}

impl SwarmStack {
    /// Waits for its turn with the demo, deploys it if necessary, and waits until it runs.
    pub fn deploy() -> Result<Self> {
        // The handle keeps the stack while this test waits for its turn.
        let mut deployment = Deployment::get()?;
        let turn = TURN.lock().unwrap_or_else(|poisoned| {
            TURN.clear_poison();
            poisoned.into_inner()
        });
        if !deployment.is_usable.load(Ordering::Relaxed) {
            drop(deployment);
            deployment = Deployment::get()?;
        }
        let netns = deployment.engine.enter()?;
        deployment.stack.wait_running(SETTLE_TIMEOUT)?;
        Ok(Self { joined: Vec::new(), _netns: netns, deployment, _turn: turn })
    }

    /// Has the next test deploy the demo again. For tests that change more than they restore.
    pub fn discard(&self) {
        self.deployment.is_usable.store(false, Ordering::Relaxed);
    }

    /// Deploys the stack again, with `file` added to it, and waits until it runs. The next test deploys it without.
    pub fn extend(&self, file: &str, variables: &[(&str, &str)]) -> Result<()> {
        self.discard();
        let variables = [&[HUBS], variables].concat();
        self.deployment.deploy(self.stack(), &[FILES, &[file]].concat(), &variables)
    }

    /// Deploys another stack file on this stack's network, and waits until it runs.
    pub fn join(&mut self, file: &str) -> Result<()> {
        self.join_with(file, &[]).map(drop)
    }

    /// As [`Self::join`], with variables of the stack file.
    pub fn join_with(&mut self, file: &str, variables: &[(&str, &str)]) -> Result<Stack> {
        let stack = self.stack();
        let joined = Stack::new(self.docker().clone(), format!("{}-{}", stack.name(), self.joined.len()));
        let network = stack.service("apps");
        self.joined.push(joined.clone());
        let variables = [variables, &[("SWARMLINGS_NETWORK", network.as_str())]].concat();
        self.deployment.deploy(&joined, &[file], &variables)?;
        Ok(joined)
    }

    /// The joined stack with a service of this name.
    pub fn joined_stack_with(&self, service: &str) -> Result<Stack> {
        for stack in &self.joined {
            if !stack.containers_of(service)?.is_empty() {
                return Ok(stack.clone());
            }
        }
        bail!("no stack on the network of {} has a task of {service}", self.stack().name())
    }

    /// Sends `GET path` until the status is 200, and returns the body.
    pub fn wait_body(&self, path: &str) -> Result<String> {
        http::wait_ok(&self.url(path), SETTLE_TIMEOUT).map(|response| response.body)
    }

    /// URL of `path` on Traefik's published port.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.deployment.port)
    }

    /// Client for the engine.
    pub fn docker(&self) -> &Docker {
        self.deployment.engine.docker()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.deployment.engine
    }

    /// The hub's master token.
    pub fn master(&self) -> &Master {
        self.deployment.secrets.master()
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.deployment.stack
    }
}

impl Drop for SwarmStack {
    fn drop(&mut self) {
        if thread::panicking() {
            self.joined.iter().chain([self.stack()]).for_each(Stack::print_state);
            self.discard();
        }
        if let Err(error) = self.joined.iter().try_for_each(|stack| stack.remove(SETTLE_TIMEOUT)) {
            eprintln!("{error:#}");
            self.discard();
        }
    }
}
