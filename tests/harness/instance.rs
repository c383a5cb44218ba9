//! One task of a service: a sidecar, and the service that it started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually;
use crate::labels::LabelList;
use crate::proc::{self, Task};
use crate::process::{self, Process, SpawnOptions};

/// How long an instance may take to stop: longer than any of the sidecar's own limits together.
pub const STOP: Duration = Duration::from_secs(40);

/// How an instance is started; [`crate::Fleet::spec`] fills it in.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// The sidecar's binary.
    pub sidecar: PathBuf,
    /// The service's name at the hub.
    pub service: String,
    /// The name of the host that it shows.
    pub host: String,
    /// Where the service listens.
    pub address: SocketAddr,
    /// Where its admin port is.
    pub admin: SocketAddr,
    /// What the sidecar probes.
    pub probe: String,
    /// Its labels.
    pub labels: LabelList,
    /// Where the hub is.
    pub hub: String,
    /// The file that holds the token.
    pub token_file: PathBuf,
    /// Further flags for the sidecar.
    pub sidecar_arguments: Vec<String>,
    /// The service and its flags.
    pub command: Vec<OsString>,
    /// Further variables for both.
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

/// A running instance, or one that has ended and can be restarted.
pub struct Instance {
    spec: InstanceSpec,
    spawn: SpawnOptions,
    sidecar: Process,
}

impl Instance {
    /// Starts it without waiting for it.
    pub fn spawn(spec: InstanceSpec, spawn: SpawnOptions) -> Result<Self> {
        let sidecar = spec.spawn(spawn)?;
        Ok(Self { spec, spawn, sidecar })
    }

    /// How it was started.
    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    /// The name that it shows, as in the header `x-served-by`.
    pub fn host(&self) -> &str {
        &self.spec.host
    }

    /// Where the service itself answers, past Traefik: `http://IP:PORT`, as Traefik lists it.
    pub fn url(&self) -> String {
        format!("http://{}", self.spec.address)
    }

    /// Where its admin port answers: `http://IP:PORT`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.spec.admin)
    }

    /// The sidecar, whose log is also the service's.
    pub fn sidecar(&mut self) -> &mut Process {
        &mut self.sidecar
    }

    /// The service: the sidecar's child, waited for if it is not there yet.
    pub fn service(&self) -> Result<Task> {
        let sidecar = self.sidecar.pid();
        eventually(Duration::from_secs(5), || proc::children(sidecar).first().copied())
            .with_context(|| format!("looking for the service that {}'s sidecar started", self.host()))
    }

    /// Stops it in order: SIGTERM to the sidecar, then its end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.sidecar.terminate(STOP).with_context(|| format!("stopping {}", self.host()))
    }

    /// Kills sidecar and service without a warning, as a container vanishes.
    pub fn kill(&mut self) -> Result<()> {
        self.sidecar.kill()
    }

    /// Starts it once more, as it was started before; it must have ended.
    pub fn start_again(&mut self) -> Result<()> {
        self.sidecar = self.spec.spawn(self.spawn)?;
        Ok(())
    }
}
