//! `stacks/demo.yml` on one engine, for one test.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Result, bail};

use crate::engine::{Engine, SharedEngine};
use crate::images::root;
use crate::netns::NetnsGuard;
use crate::stack::{SETTLE_TIMEOUT, Settings, Stack, ensure_token};
use crate::{Docker, Loopback, http};

/// The demo's stack with a name, a token and ports of its own. Drop removes it.
///
/// Meanwhile the calling thread is in the network namespace of its [ports](Engine::enter).
pub struct SwarmStack {
    stack: Stack,
    /// Stacks on the network of this one.
    joined: Vec<Stack>,
    token: String,
    port: u16,
    dashboard_port: u16,
    _netns: Option<NetnsGuard>,
    engine: SharedEngine,
}

impl SwarmStack {
    /// Deploys `stacks/demo.yml`, with `tests/stacks/plain.yml` on top, and waits until it runs.
    pub fn deploy() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::shared()?;
        let netns = engine.enter()?;
        let name = format!("test-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let ports = Loopback::at(Ipv4Addr::UNSPECIFIED.into());
        let (port, dashboard_port) = (ports.free()?.port(), ports.free()?.port());
        let stack = Stack::new(engine.docker().clone(), name);
        // Created before anything is deployed, so that drop removes a partial deployment.
        let token = stack.service("token");
        let stack = Self { stack, joined: Vec::new(), token, port, dashboard_port, _netns: netns, engine };

        ensure_token(stack.docker(), &stack.token)?;
        stack.run(&stack.stack, &["stacks/demo.yml", "tests/stacks/plain.yml"], &[])?;
        Ok(stack)
    }

    /// Deploys another stack file on this stack's network, and waits until it runs.
    pub fn join(&mut self, file: &str) -> Result<()> {
        self.join_with(file, &[]).map(drop)
    }

    /// As [`Self::join`], with variables of the stack file.
    pub fn join_with(&mut self, file: &str, variables: &[(&str, &str)]) -> Result<Stack> {
        let joined =
            Stack::new(self.docker().clone(), format!("{}-{}", self.stack.name(), self.joined.len()));
        self.joined.push(joined.clone());
        let network = self.stack.service("apps");
        self.run(&joined, &[file], &[variables, &[("SWARMLINGS_NETWORK", network.as_str())]].concat())?;
        Ok(joined)
    }

    fn run(&self, stack: &Stack, files: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        let settings = Settings {
            images: &self.engine.images()?,
            traefik: &self.engine.traefik_image()?,
            token: &self.token,
            port: self.port,
            dashboard_port: self.dashboard_port,
            variables,
        };
        let files: Vec<_> = files.iter().map(|file| root().join(file)).collect();
        stack.deploy(&files, &settings)?;
        stack.wait_running(SETTLE_TIMEOUT).inspect_err(|_| stack.print_state())
    }

    /// The joined stack with a service of this name.
    pub fn joined_stack_with(&self, service: &str) -> Result<Stack> {
        for stack in &self.joined {
            if !stack.containers_of(service)?.is_empty() {
                return Ok(stack.clone());
            }
        }
        bail!("no stack on the network of {} has a task of {service}", self.stack.name())
    }

    /// Sends `GET path` until the status is 200, and returns the body.
    pub fn wait_body(&self, path: &str) -> Result<String> {
        http::wait_ok(&self.url(path), SETTLE_TIMEOUT).map(|response| response.body)
    }

    /// URL of `path` on Traefik's published port.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Client for the engine.
    pub fn docker(&self) -> &Docker {
        self.engine.docker()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The stack.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }
}

impl Drop for SwarmStack {
    fn drop(&mut self) {
        if thread::panicking() {
            self.joined.iter().chain([&self.stack]).for_each(Stack::print_state);
        }
        // Joined stacks first: they withdraw at this stack's hub.
        let mut all = self.joined.iter().chain([&self.stack]);
        let removed = all.try_for_each(|stack| stack.remove(SETTLE_TIMEOUT));
        let removed = removed.and_then(|()| self.docker().run(&["secret", "rm", &self.token]));
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}
