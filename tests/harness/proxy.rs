//! A proxy that lets through what an agent asks of an engine, and nothing else: haproxy, with the configuration that the
//! project's users have.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::images::root;
use crate::{Docker, Loopback, Process, SpawnOptions, http, tools};

/// The program, and Debian's package that has it.
pub const PROGRAM: (&str, &str) = ("haproxy", "haproxy");

/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// A running proxy.
pub struct SocketProxy {
    address: SocketAddr,
    process: Process,
}

impl SocketProxy {
    /// Starts one for the engine of `docker`, which must be at a socket, and waits until it answers.
    pub fn start(docker: &Docker) -> Result<Self> {
        let program = tools::on_path(PROGRAM.0)
            .with_context(|| format!("no haproxy on PATH: apt-get install {}", PROGRAM.1))?;
        let socket = docker.host().unwrap_or("unix:///var/run/docker.sock");
        let socket = socket.strip_prefix("unix://").with_context(|| format!("{socket} is no socket"))?;
        let address = Loopback::new().free()?;
        let mut command = Command::new(program);
        // One process, which stays where it was started.
        command.arg("-db").arg("-f").arg(root().join("stacks/socket-proxy.cfg"));
        command.env("BIND", address.to_string()).env("SOCKET", socket);
        let process = Process::spawn("haproxy", &mut command, SpawnOptions::default())?;
        let mut proxy = Self { address, process };
        let url = format!("{}/_ping", proxy.url());
        proxy.process.wait_until(START, || http::get_ok(&url))?;
        Ok(proxy)
    }

    /// Where it answers: `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as an engine's address: `tcp://IP:PORT`.
    pub fn docker(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// The running program.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
