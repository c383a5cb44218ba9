//! A docker-compose project for one test.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, thread};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::engine::{Engine, SharedEngine};
use crate::images::root;
use crate::netns::NetnsGuard;
use crate::process::run_ok;
use crate::stack::SETTLE_TIMEOUT;
use crate::tokens::{Master, write_token};
use crate::{Container, Docker, Loopback, http, tools};

/// Name of the program, and of its Debian package.
pub const PROGRAM: (&str, &str) = ("docker-compose", "docker-compose");

/// A project with its own name, token and ports. Drop removes it.
///
/// Meanwhile the calling thread is in the network namespace of its [ports](Engine::enter).
pub struct Compose {
    file: String,
    project: String,
    /// Directory of the token.
    directory: TempDir,
    master: Master,
    port: u16,
    _netns: Option<NetnsGuard>,
    engine: SharedEngine,
}

impl Compose {
    /// Starts the services in `file`.
    pub fn up(file: &str) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::shared()?;
        let netns = engine.enter()?;
        let ports = Loopback::at(Ipv4Addr::UNSPECIFIED.into());
        let compose = Self {
            file: root().join(file).to_string_lossy().into_owned(),
            project: format!("compose-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)),
            directory: tempfile::tempdir().context("creating a directory for a token")?,
            master: Master::random()?,
            port: ports.free()?.port(),
            _netns: netns,
            engine,
        };
        // Containers read the token as other users. The directory itself remains private; the engine is root.
        write_token(&compose.directory.path().join("token"), compose.master.as_str())?;
        let token = compose.directory.path().join("token");
        let readable = PermissionsExt::from_mode(0o644);
        fs::set_permissions(&token, readable)
            .with_context(|| format!("changing permissions of {}", token.display()))?;
        compose.run(&["up", "--detach", "--no-build"])?;
        Ok(compose)
    }

    /// Runs `docker-compose ARGUMENTS` for the project.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let program = tools::on_path(PROGRAM.0).with_context(|| {
            format!("docker-compose not found on PATH: run `apt-get install {}`", PROGRAM.1)
        })?;
        run_ok(self.command(&program)?.args(arguments))
    }

    /// A command with the project in its environment: `program` is docker-compose, or a script that runs it.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let images = self.engine.images()?;
        let mut command = Command::new(program);
        command
            .env("COMPOSE_FILE", &self.file)
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .envs(images.variables(&self.engine.traefik_image()?))
            .env("SWARMLINGS_TOKEN_FILE", self.directory.path().join("token"))
            .env("SWARMLINGS_ROUTER_TOKEN", self.master.role("router"))
            .env("HTTP_PORT", self.port.to_string());
        if let Some(host) = self.docker().host() {
            command.env("DOCKER_HOST", host);
        }
        Ok(command)
    }

    /// Sends `GET path` until the status is 200, and returns the body.
    pub fn wait_body(&self, path: &str) -> Result<String> {
        http::wait_ok(&self.url(path), SETTLE_TIMEOUT).map(|response| response.body)
    }

    /// URL of `path` on Traefik's published port.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Running containers of one of its services.
    pub fn containers_of(&self, service: &str) -> Result<Vec<Container>> {
        let ids = self.run(&["ps", "--quiet", service])?;
        Ok(ids.lines().map(|id| Container::new(self.docker(), id)).collect())
    }

    fn docker(&self) -> &Docker {
        self.engine.docker()
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.run(&["logs", "--no-color", "--tail", "50"]).unwrap_or_default());
        }
        // Services first: they withdraw at the hub.
        let stopped = self.run(&["stop", "ping", "hello"]);
        let removed = stopped.and_then(|_| self.run(&["down", "--volumes", "--timeout", "20"]));
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}
