//! An instance: a sidecar with the service that it has started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually;
use crate::labels::LabelList;
use crate::proc::{self, ProcessHandle};
use crate::process::{self, Process, SpawnOptions};

/// Time limit for an instance to stop: more than the sum of the sidecar's own time limits.
pub const STOP: Duration = Duration::from_secs(40);

/// Options of an instance. [`crate::Fleet::spec`] creates them.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// Binary of the sidecar.
    pub sidecar: PathBuf,
    /// Name of the service at the hub.
    pub service: String,
    /// Host name, for the header `x-served-by`.
    pub host: String,
    /// Address that the service listens on.
    pub address: SocketAddr,
    /// Address of its admin port.
    pub admin: SocketAddr,
    /// URL that the sidecar probes.
    pub probe: String,
    /// Labels.
    pub labels: LabelList,
    /// URL of the hub.
    pub hub: String,
    /// File with the token.
    pub token_file: PathBuf,
    /// Further flags for the sidecar.
    pub sidecar_arguments: Vec<String>,
    /// The service's binary and flags.
    pub command: Vec<OsString>,
    /// Further environment variables of both.
    pub environment: Vec<(String, String)>,
}

impl InstanceSpec {
    fn spawn(&self, options: SpawnOptions) -> Result<Process> {
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let mut command = process::command(&self.sidecar);
        command.args(["run", "--hub", &self.hub]).arg("--token-file").arg(&self.token_file);
        command.args(["--service", &self.service, "--host", &self.host]);
        command.args(["--address", &ip, "--port", &port, "--probe", &self.probe]);
        for (key, value) in &self.labels {
            command.args(["--label", &format!("{key}={value}")]);
        }
        command.args(&self.sidecar_arguments).arg("--").args(&self.command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::spawn(&self.host, &mut command, options)
    }
}

/// An instance, running or stopped.
pub struct Instance {
    spec: InstanceSpec,
    spawn: SpawnOptions,
    sidecar: Process,
}

impl Instance {
    /// Starts an instance without waiting for it.
    pub fn spawn(spec: InstanceSpec, spawn: SpawnOptions) -> Result<Self> {
        let sidecar = spec.spawn(spawn)?;
        Ok(Self { spec, spawn, sidecar })
    }

    /// Options that it was started with.
    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    /// Host name, as in the header `x-served-by`.
    pub fn host(&self) -> &str {
        &self.spec.host
    }

    /// URL of the service itself, as Traefik lists it: `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.spec.address)
    }

    /// URL of its admin port: `http://IP:PORT`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.spec.admin)
    }

    /// Process of the sidecar. Its log includes the service's.
    pub fn sidecar(&mut self) -> &mut Process {
        &mut self.sidecar
    }

    /// Process of the service: the sidecar's child. Waits for it to start.
    pub fn service(&self) -> Result<ProcessHandle> {
        let sidecar = self.sidecar.pid();
        eventually(Duration::from_secs(5), || proc::children(sidecar).first().copied())
            .with_context(|| format!("waiting for the service of {}", self.host()))
    }

    /// Sends SIGTERM to the sidecar, and waits until it exits.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.sidecar.terminate(STOP).with_context(|| format!("stopping {}", self.host()))
    }

    /// Kills sidecar and service, as the loss of a container does.
    pub fn kill(&mut self) -> Result<()> {
        self.sidecar.kill()
    }

    /// Starts a stopped instance with the same options.
    pub fn restart(&mut self) -> Result<()> {
        self.sidecar = self.spec.spawn(self.spawn)?;
        Ok(())
    }
}
