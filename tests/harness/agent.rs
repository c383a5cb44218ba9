//! The agent, and an engine with containers for it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{self, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Container;
use crate::engine::{Engine, SharedEngine};
use crate::netns::NetnsGuard;
use crate::process::{Process, SpawnOptions, command};
use crate::{Binaries, Docker, Fleet, FleetOptions, Hub, Traefik, eventually, http, labels};

/// Time for an agent to stop.
const STOP: Duration = Duration::from_secs(10);
/// Time for a container to reach the expected state on a busy machine.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// An agent, running or stopped.
pub struct Agent {
    program: PathBuf,
    arguments: Vec<OsString>,
    process: Process,
}

impl Agent {
    /// Starts an agent with these flags.
    pub fn start(binaries: &Binaries, arguments: Vec<OsString>) -> Result<Self> {
        let program = binaries.path("agent");
        let process = spawn(&program, &arguments)?;
        Ok(Self { program, arguments, process })
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops it with SIGTERM.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate(STOP)
    }

    /// Starts it again with the same flags. It must have been stopped.
    pub fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.program, &self.arguments)?;
        Ok(())
    }

    /// Starts it again with these hubs, which have the same port, behind one name. It must have been stopped.
    pub fn restart_with(&mut self, hubs: &[&Hub]) -> Result<()> {
        let (first, _) = hubs.split_first().context("no hub")?;
        let lines: Vec<_> =
            hubs.iter().map(|hub| format!("{} hubs.test\n", hub.options().address.ip())).collect();
        let hosts = first.options().token_file.with_extension("hosts");
        fs::write(&hosts, lines.concat()).context("writing the names of hubs")?;
        let flag = self.arguments.iter().position(|argument| argument == "--hub").context("no flag --hub")?;
        self.arguments[flag + 1] = format!("http://hubs.test:{}", first.options().address.port()).into();
        let mut unshare = command("unshare");
        let script = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
        unshare.args(["--mount", "sh", "-c", script]).arg(hosts);
        unshare.arg(&self.program).args(&self.arguments);
        self.process = Process::spawn("agent", &mut unshare, SpawnOptions::default())?;
        Ok(())
    }
}

fn spawn(program: &PathBuf, arguments: &[OsString]) -> Result<Process> {
    Process::spawn("agent", command(program).args(arguments), SpawnOptions::default())
}

/// Options of [`WatchedEngine`].
#[derive(Clone, Debug, Default)]
pub struct WatchedEngineOptions {
    /// Address of the engine for the agent, instead of the engine's own.
    pub docker: Option<String>,
    /// Additional flags of the agent.
    pub agent_arguments: Vec<String>,
    /// Additional flags of the hub.
    pub hub_arguments: Vec<String>,
    /// Whether the hub has a certificate.
    pub has_tls: bool,
}

/// The shared engine with an agent, and the test's own hub and Traefik, as processes on this machine. Dropping it removes
/// its containers.
///
/// While it exists, its thread is [in the network namespace](Engine::enter) in which containers are reachable.
pub struct WatchedEngine {
    /// Agent.
    pub agent: Agent,
    /// Hub and Traefik.
    pub fleet: Fleet,
    name: String,
    _inside: Option<NetnsGuard>,
    engine: SharedEngine,
}

impl WatchedEngine {
    /// Starts it with default options.
    pub fn start() -> Result<Self> {
        Self::with(|_| Ok(WatchedEngineOptions::default()))
    }

    /// Starts it with options that may depend on the engine. The thread is already in its network namespace.
    pub fn with(options: impl FnOnce(&Engine) -> Result<WatchedEngineOptions>) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::shared()?;
        let inside = engine.enter()?;
        let options = options(&engine)?;
        let binaries = Binaries::find()?;
        let mut fleet = Fleet::spawn(FleetOptions {
            binaries: Some(binaries.clone()),
            hub_arguments: options.hub_arguments,
            has_tls: options.has_tls,
            ..FleetOptions::default()
        })?;
        fleet.traefik.wait_ready()?;
        let docker = options.docker.or_else(|| engine.docker().host().map(str::to_owned));
        let mut arguments = vec!["--hub".into(), fleet.hub.url().into(), "--token-file".into()];
        // The engine is a manager of its swarm.
        arguments.push(fleet.hub.token_file(&fleet.hub.master()?.role("manager"))?.into_os_string());
        arguments.extend(["--log-level".into(), "debug".into()]);
        arguments.extend(docker.into_iter().flat_map(|docker| ["--docker".into(), docker.into()]));
        arguments.extend(fleet.hub.ca_flags().into_iter().map(OsString::from));
        arguments.extend(options.agent_arguments.into_iter().map(OsString::from));
        let agent = Agent::start(&binaries, arguments)?;
        let name = format!("agent-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        Ok(Self { agent, fleet, name, _inside: inside, engine })
    }

    /// Returns a client for the engine.
    pub fn docker(&self) -> &Docker {
        self.engine.docker()
    }

    /// Returns a name that no other test uses.
    pub fn unique_name(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Starts a ping without a sidecar, routed at [`Self::url`] with `name`. `flags` are flags of `docker run`,
    /// `arguments` those of ping.
    pub fn ping(&self, name: &str, flags: &[&str], arguments: &[&str]) -> Result<Container> {
        let route = self.unique_name(name);
        let rule = format!("PathPrefix(`/{route}`)");
        // No port label: the image exposes the port.
        let mut labels = labels::routed(&route, &rule, Some(&format!("/{route}")), 0);
        labels.pop();
        let labels = labels.iter();
        let labels: Vec<_> = labels.map(|(key, value)| format!("--label={key}={value}")).collect();
        let labels = labels.iter().map(String::as_str);
        let flags: Vec<_> =
            ["--entrypoint=/ping"].into_iter().chain(labels).chain(flags.iter().copied()).collect();
        self.run("ping", &flags, arguments)
    }

    /// Starts a container of one of the project's images.
    pub fn run(&self, image: &str, flags: &[&str], arguments: &[&str]) -> Result<Container> {
        let (image, mark) = (self.engine.images()?.name(image), format!("--label={}", self.test_label()));
        let run = [&["run", "--detach", &mark], flags, &[&image], arguments].concat();
        Ok(Container::new(self.docker(), &self.docker().run(&run)?))
    }

    /// Creates a service with one of the project's images. It is removed with the containers.
    pub fn service(&self, name: &str, image: &str, flags: &[&str]) -> Result<()> {
        let (image, mark) = (self.engine.images()?.name(image), format!("--label={}", self.test_label()));
        let create =
            ["service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", name, &mark];
        self.docker().run(&[&create, flags, &[&image]].concat()).map(drop)
    }

    /// Creates a network. It is removed with the containers.
    pub fn network(&self, name: &str) -> Result<String> {
        let name = self.unique_name(name);
        self.docker().run(&["network", "create", &format!("--label={}", self.test_label()), &name])?;
        Ok(name)
    }

    /// Returns the URL of [`Self::ping`] with `name` through Traefik.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{}", self.fleet.traefik.url(), self.unique_name(name))
    }

    /// Waits until Traefik routes it. Returns the response body.
    pub fn wait_answer(&self, name: &str) -> Result<String> {
        let url = self.url(name);
        eventually(SETTLE_TIMEOUT, || http::get_ok(&url).map(|answer| answer.body))
            .with_context(|| format!("requesting {url}"))
    }

    /// Returns the hub's entry for a container, if there is one.
    pub fn instance(&self, container: &Container) -> Result<Option<Value>> {
        let short = container.id().get(..12).context("short container ID")?;
        let instances = self.fleet.hub.instances()?;
        Ok(instances
            .into_iter()
            .find(|instance| instance["id"].as_str().is_some_and(|id| id.ends_with(&format!("-{short}")))))
    }

    /// Waits until the hub has a container with this health. Returns its entry.
    pub fn wait_health(&self, container: &Container, health: &str) -> Result<Value> {
        eventually(SETTLE_TIMEOUT, || {
            let instance = self.instance(container)?.context("not in the hub")?;
            ensure!(instance["health"] == health, "its health is {}", instance["health"]);
            Ok(instance)
        })
        .with_context(|| format!("waiting for container {} to be {health}", container.id()))
    }

    /// Waits until the hub has no entry for a container.
    pub fn wait_withdrawn(&self, container: &Container) -> Result<()> {
        eventually(SETTLE_TIMEOUT, || {
            let instance = self.instance(container)?;
            ensure!(instance.is_none(), "still in the hub: {instance:?}");
            Ok(())
        })
    }

    /// Waits until Traefik has a server at the address of `instance`, or no longer has one.
    pub fn wait_served(&self, instance: &Value, expected: bool) -> Result<()> {
        self.wait_served_by(&self.fleet.traefik, instance, expected)
    }

    /// Waits as [`Self::wait_served`] does, for another Traefik.
    pub fn wait_served_by(&self, traefik: &Traefik, instance: &Value, expected: bool) -> Result<()> {
        let address = instance["address"].as_str().context("instance without an address")?;
        let url = format!("http://{address}:{}", instance["port"]);
        eventually(SETTLE_TIMEOUT, || {
            let servers = traefik.api().servers()?;
            ensure!(servers.contains(&url) == expected, "Traefik has {servers:?}");
            Ok(())
        })
        .with_context(|| format!("waiting for the server {url} (expected: {expected})"))
    }

    fn test_label(&self) -> String {
        format!("swarmlings.test={}", self.name)
    }
}

impl Drop for WatchedEngine {
    fn drop(&mut self) {
        let filter = format!("label={}", self.test_label());
        let remove = || -> Result<()> {
            for service in self.docker().list(&["service", "ls", "--quiet", "--filter", &filter])? {
                self.docker().run(&["service", "rm", &service])?;
            }
            let ids = self.docker().list(&["ps", "--all", "--quiet", "--filter", &filter])?;
            if thread::panicking() {
                for id in &ids {
                    eprintln!(
                        "--- {}",
                        self.docker().run(&["inspect", "--format", "{{.Name}} {{json .State}}", id])?
                    );
                }
            }
            let all: Vec<_> = ["rm", "--force"].into_iter().chain(ids.iter().map(String::as_str)).collect();
            if !ids.is_empty() {
                self.docker().run(&all)?;
            }
            for network in self.docker().list(&["network", "ls", "--quiet", "--filter", &filter])? {
                self.docker().run(&["network", "rm", &network])?;
            }
            Ok(())
        };
        if let Err(error) = remove() {
            eprintln!("{error:#}");
        }
    }
}
