//! Traefik, configured as in `stacks/demo.yml`, and its API.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::http;
use crate::process::{Process, SpawnOptions};

/// Time limit for the start. The binary is large, and the first start reads all of it from the disk.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Prefix of the routers and services that the hub adds for itself to the configuration.
const OWN: &str = "swarmlings-";

/// Options of Traefik. [`TraefikOptions::new`] takes the times from `stacks/demo.yml`.
#[derive(Clone, Debug)]
pub struct TraefikOptions {
    /// Binary of Traefik.
    pub program: PathBuf,
    /// Address of the entry point for clients.
    pub entry: SocketAddr,
    /// Address of the internal entry point `traefik`: API, dashboard and ping.
    pub api: SocketAddr,
    /// Whether the API is open to every client. Otherwise only the hub can use it, and [`Traefik::api`] cannot.
    pub is_api_insecure: bool,
    /// Port of the API, as the polls tell it to the hub.
    pub told_api_port: Option<u16>,
    /// Directory of Traefik's file provider.
    pub files: Option<PathBuf>,
    /// Middleware of the entry point for clients.
    pub entry_middleware: Option<&'static str>,
    /// URL of the hub, such as `http://127.0.0.1:8080`.
    pub hub: String,
    /// File with the CA of the hub's certificate, if it has one.
    pub hub_ca: Option<String>,
    /// Token for the hub.
    pub token: Option<String>,
    /// Name of this router at the hub.
    pub router: String,
    /// Maximum time for which the hub holds a poll.
    pub wait: Duration,
    /// Pause between two polls.
    pub poll_interval: Duration,
    /// Minimum time between two configurations that Traefik applies.
    pub throttle: Duration,
    /// Log level. At `DEBUG` Traefik also logs each configuration.
    pub log_level: &'static str,
}

impl TraefikOptions {
    /// Options of the demo.
    pub fn new(program: PathBuf, entry: SocketAddr, api: SocketAddr, hub: String) -> Self {
        Self {
            program,
            entry,
            api,
            is_api_insecure: true,
            told_api_port: Some(api.port()),
            files: None,
            entry_middleware: None,
            hub,
            hub_ca: None,
            token: None,
            router: "traefik".to_owned(),
            wait: Duration::from_secs(4),
            poll_interval: Duration::from_millis(100),
            throttle: Duration::from_millis(100),
            log_level: "INFO",
        }
    }

    /// Configuration file. With `--configFile` Traefik reads no other file from the user's home.
    fn file(&self) -> String {
        let (entry, api, hub, router) = (self.entry, self.api, &self.hub, &self.router);
        let (level, insecure) = (self.log_level, self.is_api_insecure);
        let told = self.told_api_port.map(|port| format!("&api={port}")).unwrap_or_default();
        let files =
            self.files.as_ref().map(|files| format!("  file: {{directory: '{}'}}\n", files.display()));
        let files = files.unwrap_or_default();
        let headers = self.token.as_ref();
        let headers = headers.map(|token| format!("    headers: {{Authorization: 'Bearer {token}'}}\n"));
        let headers = headers.unwrap_or_default();
        let tls = self.hub_ca.as_ref().map(|ca| format!("    tls: {{ca: '{ca}'}}\n")).unwrap_or_default();
        let middleware = self.entry_middleware.map(|name| format!(", http: {{middlewares: ['{name}']}}"));
        let middleware = middleware.unwrap_or_default();
        let [wait, poll, throttle] =
            [self.wait, self.poll_interval, self.throttle].map(|time| time.as_millis());
        format!(
            "global: {{checkNewVersion: false, sendAnonymousUsage: false}}\n\
             entryPoints:\n  web: {{address: '{entry}'{middleware}}}\n  traefik: {{address: '{api}'}}\n\
             api: {{insecure: {insecure}, dashboard: true}}\n\
             ping: {{}}\n\
             log: {{level: {level}, noColor: true}}\n\
             providers:\n  providersThrottleDuration: {throttle}ms\n  http:\n    \
             endpoint: '{hub}/traefik?wait={wait}ms&throttle={throttle}ms&router={router}{told}'\n    \
             pollInterval: {poll}ms\n    pollTimeout: 10s\n{headers}{tls}{files}"
        )
    }
}

/// Traefik, running or killed.
pub struct Traefik {
    options: TraefikOptions,
    spawn: SpawnOptions,
    directory: TempDir,
    process: Process,
}

impl Traefik {
    /// Starts Traefik without waiting for it.
    pub fn spawn(options: TraefikOptions, spawn: SpawnOptions) -> Result<Self> {
        let directory = tempfile::tempdir().context("creating a directory for Traefik")?;
        fs::write(directory.path().join("traefik.yaml"), options.file())
            .context("writing Traefik's configuration")?;
        let process = Self::start_process(&options, &directory, spawn)?;
        Ok(Self { options, spawn, directory, process })
    }

    fn start_process(options: &TraefikOptions, directory: &TempDir, spawn: SpawnOptions) -> Result<Process> {
        let mut command = Command::new(&options.program);
        command.arg("--configFile=traefik.yaml").current_dir(directory.path());
        Process::spawn("traefik", &mut command, spawn)
    }

    /// Waits until Traefik answers `/ping`. Fails at once if it exits.
    pub fn wait_ready(&mut self) -> Result<()> {
        let url = format!("{}/ping", self.api_url());
        self.process.wait_until(START_TIMEOUT, || http::get_ok(&url)).map(drop)
    }

    /// URL of the entry point for clients: `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.options.entry)
    }

    /// URL of API and dashboard: `http://IP:PORT`.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.options.api)
    }

    /// Options that Traefik was started with.
    pub fn options(&self) -> &TraefikOptions {
        &self.options
    }

    /// Process of Traefik.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The API, for routers and services from the hub. It has to be insecure.
    pub fn api(&self) -> TraefikApi {
        TraefikApi::new(self.api_url(), "http")
    }

    /// Kills Traefik.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Kills Traefik if it is running, starts it with the same options, and waits until it is ready.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = Self::start_process(&self.options, &self.directory, self.spawn)?;
        self.wait_ready()
    }
}

/// Stack file that opens Traefik's API to [`DASHBOARD_USER`].
pub const DASHBOARD: &str = "stacks/dashboard.yml";

/// Variable with a user of the API, as `openssl passwd -apr1` prints the hash.
pub const DASHBOARD_USER: (&str, &str) = ("DASHBOARD_USER", "admin:$apr1$dashbord$fTmCv/lHZMAvW3UBlyuwV/");

/// Header with the password of [`DASHBOARD_USER`], which an insecure API ignores.
const AUTHORIZATION: (&str, &str) = ("authorization", "Basic YWRtaW46ZGFzaGJvYXJk");

/// API of a Traefik: the routers and services of one provider that are in use.
#[derive(Clone, Debug)]
pub struct TraefikApi {
    url: String,
    provider: &'static str,
}

impl TraefikApi {
    /// API at `url`, `http://IP:PORT`, for a provider such as `http`, which is the hub's.
    pub fn new(url: impl Into<String>, provider: &'static str) -> Self {
        Self { url: url.into(), provider }
    }

    /// Returns the response to `GET /api/PATH`.
    pub fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}/api/{path}", self.url);
        http::request("GET", &url, &[AUTHORIZATION])?.json().with_context(|| format!("GET {url}"))
    }

    /// Routers by name, such as `ping@http`.
    pub fn routers(&self) -> Result<BTreeMap<String, Value>> {
        self.entries("http/routers")
    }

    /// Services by name, such as `ping@http`.
    pub fn services(&self) -> Result<BTreeMap<String, Value>> {
        self.entries("http/services")
    }

    /// Server URLs of all services, without a trailing slash. A server of two services occurs twice.
    pub fn server_list(&self) -> Result<Vec<String>> {
        let services = self.services()?;
        let lists = services.values().filter_map(|service| service["loadBalancer"]["servers"].as_array());
        Ok(lists
            .flatten()
            .filter_map(|server| Some(server["url"].as_str()?.trim_end_matches('/').to_owned()))
            .collect())
    }

    /// Server URLs of all services, without duplicates.
    pub fn servers(&self) -> Result<BTreeSet<String>> {
        Ok(self.server_list()?.into_iter().collect())
    }

    fn entries(&self, path: &str) -> Result<BTreeMap<String, Value>> {
        // The default page size is 100.
        let list = self.get(&format!("{path}?per_page=100000"))?;
        let list = list.as_array().with_context(|| format!("reading Traefik's API, {path}: not a list"))?;
        let wanted = list.iter().filter(|entry| entry["provider"] == self.provider);
        let named = wanted.filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), entry.clone())));
        Ok(named.filter(|(name, _)| !name.starts_with(OWN)).collect())
    }
}
