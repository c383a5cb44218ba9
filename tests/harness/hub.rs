//! A hub.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::fleet::ROUTED_TIMEOUT;
use crate::process::{self, Process, SpawnOptions};
use crate::tokens::{Master, write_token};
use crate::{eventually, http};

/// Time limit for the start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of a hub.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Binary of the hub.
    pub program: PathBuf,
    /// Address that it listens on.
    pub address: SocketAddr,
    /// File with its master token.
    pub token_file: PathBuf,
    /// File with the CA of its certificate, if it has one.
    pub ca: Option<String>,
    /// Further flags.
    pub arguments: Vec<String>,
}

/// A hub, running or killed.
pub struct Hub {
    options: HubOptions,
    spawn: SpawnOptions,
    process: Process,
}

impl Hub {
    /// Starts a hub and waits until it answers. `learn` is its warm-up for this start only: the default is needed only if
    /// routers use instances that have to register again.
    pub fn start(options: HubOptions, learn: Option<Duration>, spawn: SpawnOptions) -> Result<Self> {
        let process = start_process(&options, learn, spawn)?;
        let mut hub = Self { options, spawn, process };
        hub.wait_ready()?;
        Ok(hub)
    }

    /// URL of the hub: `http://IP:PORT`, or `https://IP:PORT` if it has a certificate.
    pub fn url(&self) -> String {
        let scheme = if self.options.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.options.address)
    }

    /// URL of the hub without TLS, for requests that need no token.
    pub fn plain_url(&self) -> String {
        format!("http://{}", self.options.address)
    }

    /// Flags with which a client trusts its certificate.
    pub fn ca_flags(&self) -> Vec<String> {
        self.options.ca.iter().flat_map(|ca| ["--hub-ca".to_owned(), ca.clone()]).collect()
    }

    /// Options that it was started with.
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// The master token, which has every role.
    pub fn token(&self) -> Result<String> {
        Ok(self.master()?.as_str().to_owned())
    }

    /// The master token, with those that derive from it.
    pub fn master(&self) -> Result<Master> {
        Master::read(&self.options.token_file)
    }

    /// Writes a token to a file beside that of the master token.
    pub fn token_file(&self, token: &str) -> Result<PathBuf> {
        let role = token.rsplit_once('.').map_or("master", |(role, _)| role);
        let path = self.options.token_file.with_extension(role);
        if !path.exists() {
            write_token(&path, token)?;
        }
        Ok(path)
    }

    /// Process of the hub.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns the list of instances: `GET /v1/instances`. The hub must not have a certificate.
    pub fn instances(&self) -> Result<Vec<Value>> {
        match http::json_as_reader(&self.master()?, &format!("{}/v1/instances", self.url()))? {
            Value::Array(instances) => Ok(instances),
            other => anyhow::bail!("reading the hub's instances: expected a list, got {other}"),
        }
    }

    /// Returns the entry of the instance on `host` in that list, or null.
    pub fn instance(&self, host: &str) -> Result<Value> {
        Ok(self.instances()?.into_iter().find(|entry| entry["host"] == host).unwrap_or_default())
    }

    /// Waits until the instance on `host` has this routing state. Returns the reason, which is empty unless it is refused.
    pub fn wait_routing(&self, host: &str, state: &str) -> Result<String> {
        eventually(ROUTED_TIMEOUT, || {
            let routing = self.instance(host)?["routing"].clone();
            ensure!(routing["state"] == state, "{host} is {routing}, not {state}");
            Ok(routing["reason"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Kills the hub, as the loss of its node does.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Kills the hub if it is running, starts it with the same options and the default warm-up, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = start_process(&self.options, None, self.spawn)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let url = format!("{}/healthz", self.plain_url());
        self.process.wait_until(START_TIMEOUT, || http::get_ok(&url)).map(drop)
    }
}

fn start_process(options: &HubOptions, learn: Option<Duration>, spawn: SpawnOptions) -> Result<Process> {
    let (ip, port) = (options.address.ip().to_string(), options.address.port().to_string());
    let mut command = process::command(&options.program);
    command.args(["--address", &ip, "--port", &port]).arg("--token-file").arg(&options.token_file);
    if let Some(learn) = learn {
        command.args(["--learn", &format!("{}ms", learn.as_millis())]);
    }
    Process::spawn("hub", command.args(&options.arguments), spawn)
}
