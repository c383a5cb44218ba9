//! Real Traefik, configured as the demo's stack configures it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::TraefikView;
use crate::http;
use crate::process::{Process, SpawnOptions};

/// How long Traefik may take to start: its binary is large, and the first start reads all of it from the disk.
const START: Duration = Duration::from_secs(30);

/// How Traefik is started. The times are those of `stacks/demo.yml`.
#[derive(Clone, Debug)]
pub struct TraefikOptions {
    /// Its binary.
    pub program: PathBuf,
    /// Where clients come in.
    pub entry: SocketAddr,
    /// Where API, dashboard and ping are.
    pub api: SocketAddr,
    /// The hub, such as `http://127.0.0.1:8080`.
    pub hub: String,
    /// The name under which it confirms to the hub.
    pub router: String,
    /// For how long the hub may hold a poll.
    pub wait: Duration,
    /// Pause between two polls.
    pub poll_interval: Duration,
    /// The least time between two configurations that are put to use.
    pub throttle: Duration,
    /// The least of what it logs: with `DEBUG`, each configuration that it gets, too.
    pub log_level: &'static str,
}

impl TraefikOptions {
    /// The demo's settings.
    pub fn new(program: PathBuf, entry: SocketAddr, api: SocketAddr, hub: String) -> Self {
        Self {
            program,
            entry,
            api,
            hub,
            router: "traefik".to_owned(),
            wait: Duration::from_secs(4),
            poll_interval: Duration::from_millis(100),
            throttle: Duration::from_millis(100),
            log_level: "INFO",
        }
    }

    /// A file, and not flags: with one given, Traefik looks for no other in the user's home.
    fn file(&self) -> String {
        let (entry, api, hub, router) = (self.entry, self.api, &self.hub, &self.router);
        let level = self.log_level;
        let [wait, poll, throttle] =
            [self.wait, self.poll_interval, self.throttle].map(|time| time.as_millis());
        format!(
            "global: {{checkNewVersion: false, sendAnonymousUsage: false}}\n\
             entryPoints:\n  web: {{address: '{entry}'}}\n  traefik: {{address: '{api}'}}\n\
             api: {{insecure: true, dashboard: true}}\n\
             ping: {{}}\n\
             log: {{level: {level}, noColor: true}}\n\
             providers:\n  providersThrottleDuration: {throttle}ms\n  http:\n    \
             endpoint: '{hub}/traefik?wait={wait}ms&throttle={throttle}ms&router={router}'\n    \
             pollInterval: {poll}ms\n    pollTimeout: 10s\n"
        )
    }
}

/// A running Traefik, or one that was killed and can be restarted.
pub struct Traefik {
    options: TraefikOptions,
    spawn: SpawnOptions,
    directory: TempDir,
    process: Process,
}

impl Traefik {
    /// Starts it without waiting for it.
    pub fn spawn(options: TraefikOptions, spawn: SpawnOptions) -> Result<Self> {
        let directory = tempfile::tempdir().context("creating a directory for Traefik")?;
        fs::write(directory.path().join("traefik.yaml"), options.file())
            .context("writing Traefik's configuration")?;
        let process = Self::process_of(&options, &directory, spawn)?;
        Ok(Self { options, spawn, directory, process })
    }

    fn process_of(options: &TraefikOptions, directory: &TempDir, spawn: SpawnOptions) -> Result<Process> {
        let mut command = Command::new(&options.program);
        command.arg("--configFile=traefik.yaml").current_dir(directory.path());
        Process::spawn("traefik", &mut command, spawn)
    }

    /// Waits until its API answers; fails at once if it has ended.
    pub fn wait_ready(&mut self) -> Result<()> {
        let url = format!("{}/ping", self.api_url());
        self.process.wait_until(START, || http::well(&url)).map(drop)
    }

    /// Where clients come in: `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.options.entry)
    }

    /// Where API and dashboard are: `http://IP:PORT`.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.options.api)
    }

    /// How it is started.
    pub fn options(&self) -> &TraefikOptions {
        &self.options
    }

    /// The running program.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has in use.
    pub fn view(&self) -> TraefikView {
        TraefikView::new(self.api_url(), "http")
    }

    /// The API's answer to `GET /api/PATH`.
    pub fn api(&self, path: &str) -> Result<Value> {
        self.view().get(path)
    }

    /// The routers that come from the hub, by name (such as `ping@http`), as the API shows them.
    pub fn routers(&self) -> Result<BTreeMap<String, Value>> {
        self.view().routers()
    }

    /// The services that come from the hub, by name (such as `ping@http`), as the API shows them.
    pub fn services(&self) -> Result<BTreeMap<String, Value>> {
        self.view().services()
    }

    /// The URLs of all servers that requests may be sent to, of all services from the hub.
    pub fn servers(&self) -> Result<BTreeSet<String>> {
        self.view().servers()
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Kills it if it still runs, starts it anew on the same ports, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = Self::process_of(&self.options, &self.directory, self.spawn)?;
        self.wait_ready()
    }
}
