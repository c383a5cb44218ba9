//! A proxy that allows only the agent's requests to the engine: haproxy with `stacks/socket-proxy.cfg`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::images::root;
use crate::{Docker, Loopback, Process, SpawnOptions, http, tools};

/// The program and its Debian package.
pub const PROGRAM: (&str, &str) = ("haproxy", "haproxy");

/// Time for the start.
const START: Duration = Duration::from_secs(10);

/// A running proxy.
pub struct SocketProxy {
    address: SocketAddr,
    process: Process,
}

impl SocketProxy {
    /// Starts a proxy for the engine of `docker`, which must have a socket, and waits until it responds.
    pub fn start(docker: &Docker) -> Result<Self> {
        let program = tools::on_path(PROGRAM.0)
            .with_context(|| format!("no haproxy on PATH: apt-get install {}", PROGRAM.1))?;
        let socket = docker.host().unwrap_or("unix:///var/run/docker.sock");
        let socket =
            socket.strip_prefix("unix://").with_context(|| format!("{socket} is not a Unix socket"))?;
        let address = Loopback::new().free()?;
        let mut command = Command::new(program);
        // One process in the foreground.
        command.arg("-db").arg("-f").arg(root().join("stacks/socket-proxy.cfg"));
        command.env("BIND", address.to_string()).env("SOCKET", socket);
        let process = Process::spawn("haproxy", &mut command, SpawnOptions::default())?;
        let mut proxy = Self { address, process };
        let url = format!("{}/_ping", proxy.url());
        proxy.process.wait_until(START, || http::get_ok(&url))?;
        Ok(proxy)
    }

    /// Returns `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address for clients of the engine: `tcp://IP:PORT`.
    pub fn docker(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
