//! `stacks/demo.yml` on an engine, for one test.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Result, bail};

use crate::engine::{Engine, SharedEngine};
use crate::images::root;
use crate::network::Inside;
use crate::stack::{SETTLED, Settings, Stack, ensure_token};
use crate::{Docker, Loopback, http};

/// The demo's stack with a name, a token and ports of its own. Dropped, it is removed.
///
/// For so long the thread that has deployed it is [where](Engine::enter) its ports answer on loopback.
pub struct SwarmStack {
    stack: Stack,
    /// Stacks that have joined it.
    guests: Vec<Stack>,
    token: String,
    port: u16,
    dashboard_port: u16,
    _inside: Option<Inside>,
    engine: SharedEngine,
}

impl SwarmStack {
    /// Deploys `stacks/demo.yml`, with `tests/stacks/plain.yml` on top, and waits until it runs.
    pub fn deploy() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::shared()?;
        let inside = engine.enter()?;
        let name = format!("test-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let ports = Loopback::at(Ipv4Addr::UNSPECIFIED.into());
        let (port, dashboard_port) = (ports.free()?.port(), ports.free()?.port());
        let stack = Stack::new(engine.docker().clone(), name);
        // From here on there is something to be removed, whatever fails.
        let token = stack.service("token");
        let stack = Self { stack, guests: Vec::new(), token, port, dashboard_port, _inside: inside, engine };

        ensure_token(stack.docker(), &stack.token)?;
        stack.run(&stack.stack, &["stacks/demo.yml", "tests/stacks/plain.yml"], &[])?;
        Ok(stack)
    }

    /// Deploys another stack's file, which is to join this one's network, and waits until it runs.
    pub fn join(&mut self, file: &str) -> Result<()> {
        self.join_with(file, &[]).map(drop)
    }

    /// The same with what it takes from the environment.
    pub fn join_with(&mut self, file: &str, variables: &[(&str, &str)]) -> Result<Stack> {
        let guest = Stack::new(self.docker().clone(), format!("{}-{}", self.stack.name(), self.guests.len()));
        self.guests.push(guest.clone());
        let network = self.stack.service("apps");
        self.run(&guest, &[file], &[variables, &[("SWARMLINGS_NETWORK", network.as_str())]].concat())?;
        Ok(guest)
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
        stack.wait_running(SETTLED).inspect_err(|_| stack.show())
    }

    /// The stack that has joined it with a service of this name.
    pub fn guest_of(&self, service: &str) -> Result<Stack> {
        for guest in &self.guests {
            if !guest.containers_of(service)?.is_empty() {
                return Ok(guest.clone());
            }
        }
        bail!("no stack that has joined {} has a task of {service}", self.stack.name())
    }

    /// Waits until `path` is answered with 200, and returns the body.
    pub fn wait_answer(&self, path: &str) -> Result<String> {
        http::wait_well(&self.url(path), SETTLED).map(|answer| answer.body)
    }

    /// A path on Traefik's published port.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A client for the engine.
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
            self.guests.iter().chain([&self.stack]).for_each(Stack::show);
        }
        // Guests ask this one's hub to take them out.
        let mut all = self.guests.iter().chain([&self.stack]);
        let removed = all.try_for_each(|stack| stack.remove(SETTLED));
        let removed = removed.and_then(|()| self.docker().run(&["secret", "rm", &self.token]));
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}
