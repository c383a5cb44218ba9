//! Several hosts on one machine: Docker engines, each in its own network namespace, joined to a swarm.
//!
//! ```text
//!    the machine .253 ──┐  (only where a link is asked for)
//!   ┌ the lab's network ┴───────────────────────────┐
//!   │ registry .254 ──── bridge                     │
//!   │              port-1 │ port-2 │ port-3 │       │
//!   └─────────────────────┼────────┼────────┼───────┘
//!                 leader .1        │        │
//!                       worker-1 .2         │
//!                                worker-2 .3
//! ```
//!
//! All processes of a lab descend from one process, the init of a PID namespace. When it exits, the kernel kills the others,
//! and network links, mounts and firewall rules disappear with the namespaces. Only files and control groups remain.
//! Processes are found by their environment, and no state is kept elsewhere, so any process can take down a lab, even one
//! whose creator was killed.

mod leftovers;
mod node;
mod options;
mod processes;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

pub use leftovers::Leftovers;
pub use node::Node;
pub use options::{LabOptions, MAX_NODES, PROGRAMS, Subnet};

use options::{REGISTRY, REGISTRY_PORT};
use processes::{component, init_of, log_tail, nsenter, spawn};

use crate::docker::eventually_on_engine;
use crate::netns::NetnsGuard;
use crate::proc::ProcessHandle;
use crate::process::run_ok;
use crate::{Binaries, Container, Docker, Images, Stack, eventually, images};

/// Component with the init process and the lab's network.
const NETWORK: &str = "network";

/// Network link to the machine: its end in the lab, and the machine's.
const LINK: [&str; 2] = ["machine", "swarmlings0"];

/// File in the lab's directory with its subnet and number of nodes.
const DESCRIPTION: &str = "lab.json";

/// Time limit for a component to start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs the init process of a lab, and cleans up when it exits, since its owner may be dead by then.
const OUTER: &str = r#"
unshare --net --pid --fork --kill-child sh -c "$1" init "$2" "$3"
if [ "$3" = owned ]; then
    rm -rf "$4"
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$4")*" -exec rmdir {} ';'
fi
"#;

/// The init process. In an owned lab it exits when its stdin is closed, which the kernel does if the owner dies. It reaps
/// orphans.
const INIT: &str = r#"
ip link set lo up &&
ip link add bridge type bridge &&
ip address add "$1" dev bridge &&
ip link set bridge up || exit
if [ "$2" = owned ]; then cat >/dev/null; else sleep infinity; fi
"#;

/// A running lab. Drop removes it if it is owned.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    subnet: Subnet,
    init: ProcessHandle,
    nodes: Vec<Node>,
    owner: Option<Child>,
}

impl Lab {
    /// Creates a lab: network, registry, engines and swarm, as far as `options` ask for them. Leaves nothing behind if that fails.
    pub fn create(options: &LabOptions) -> Result<Self> {
        options.check_requirements()?;
        let directory = &options.directory;
        let leftovers = Leftovers::of(directory);
        ensure!(leftovers.is_empty(), "a lab or leftovers of a lab exist: {leftovers}");
        create_directory(directory).with_context(|| format!("creating {}", directory.display()))?;
        let started = Self::start(options);
        if started.is_err() {
            let leftovers = Leftovers::remove(directory);
            if !leftovers.is_empty() {
                eprintln!("could not remove: {leftovers}");
            }
        }
        started.with_context(|| format!("creating a lab in {}", directory.display()))
    }

    fn start(options: &LabOptions) -> Result<Self> {
        let LabOptions { directory, nodes, subnet, registry, swarm, link, owned } = options;
        let description = json!({"subnet": subnet.to_string(), "nodes": nodes});
        fs::write(directory.join(DESCRIPTION), description.to_string()).context("describing the lab")?;

        let mut command = Command::new("sh");
        let address = Subnet::with_length(subnet.registry());
        let owner = if *owned { "owned" } else { "free" };
        command.args(["-c", OUTER, "outer", INIT, &address, owner]).arg(directory);
        command.stdin(if *owned { Stdio::piped() } else { Stdio::null() });
        let mut child = component(command, directory, NETWORK)?.spawn().context("starting sh")?;
        let init = eventually(START_TIMEOUT, || -> Result<Result<ProcessHandle>> {
            if let Some(status) = child.try_wait()? {
                return Ok(Err(anyhow!("exited ({status}): {}", log_tail(directory, NETWORK))));
            }
            let init = init_of(directory, NETWORK).context("not started yet")?;
            // The script sets the address last.
            let bridge = NetnsGuard::enter(init.pid())?.with(|| ip(&["-4", "address", "show", "bridge"]))?;
            ensure!(bridge.contains(&address), "the bridge has no address yet");
            Ok(Ok(init))
        });
        let init = init.and_then(|init| init).context("starting the lab's network")?;

        let nodes = (1..=*nodes).map(|number| Node::new(directory, *subnet, number));
        let nodes = nodes.collect::<Result<_>>()?;
        let owner = owned.then_some(child);
        let lab = Self { directory: directory.clone(), subnet: *subnet, init, nodes, owner };
        if *registry {
            lab.start_registry()?;
        }
        if *link {
            lab.link()?;
        }
        thread::scope(|scope| {
            let starting: Vec<_> =
                lab.nodes.iter().map(|node| scope.spawn(|| node.start(&lab.init))).collect();
            starting.into_iter().try_for_each(|node| node.join().expect("starting a node does not panic"))
        })?;
        if *swarm {
            lab.form_swarm()?;
        }
        Ok(lab)
    }

    /// Finds the lab in `directory`.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        let leftovers = Leftovers::of(directory);
        if leftovers.is_empty() {
            return Ok(None);
        }
        let read = || -> Result<(Subnet, u8)> {
            let text = fs::read_to_string(directory.join(DESCRIPTION))?;
            let description: Value = serde_json::from_str(&text)?;
            let subnet = description["subnet"].as_str().context("no subnet")?;
            let nodes = description["nodes"].as_u64().context("no nodes")?;
            Ok((subnet.parse().map_err(anyhow::Error::msg)?, u8::try_from(nodes)?))
        };
        let (subnet, nodes) =
            read().with_context(|| format!("reading {}", directory.join(DESCRIPTION).display()))?;
        let init = init_of(directory, NETWORK);
        let init = init.with_context(|| format!("the lab has ended and left {leftovers}"))?;
        let nodes = (1..=nodes).map(|number| Node::new(directory, subnet, number)).collect::<Result<_>>()?;
        Ok(Some(Self { directory: directory.to_owned(), subnet, init, nodes, owner: None }))
    }

    /// Directory with all its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Addresses of its hosts.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Hosts of the lab. The first one is the swarm's manager.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The host with this name, number or address.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let found = self.nodes.iter().find(|node| node.is_called(name));
        let names: Vec<_> = self.nodes.iter().map(Node::name).collect();
        found.with_context(|| format!("no node {name:?} in the lab, expected one of {}", names.join(", ")))
    }

    /// Client for the swarm's manager.
    pub fn docker(&self) -> &Docker {
        self.nodes[0].docker()
    }

    /// Address of its registry, the first part of image names: `192.168.2.254:5000` by default.
    pub fn registry(&self) -> String {
        format!("{}:{}", self.subnet.registry(), REGISTRY_PORT)
    }

    /// The project's images in the registry, which has them after [`Lab::provide_images`].
    pub fn images(&self) -> Images {
        Images::new(format!("{}/swarmlings", self.registry()), env!("CARGO_PKG_VERSION"))
    }

    /// Builds the project's images and Traefik's from binaries, and pushes them to the registry. Returns the project's images
    /// and the name of Traefik's.
    pub fn provide_images(&self, binaries: &Binaries, traefik: &Path) -> Result<(Images, String)> {
        let docker = self.docker();
        let images = self.images();
        for image in images.build(docker, &docker.architecture()?, binaries)? {
            images::push(docker, &image.name)?;
        }
        let traefik = images::build_traefik(docker, images.prefix(), traefik)?;
        images::push(docker, &traefik)?;
        Ok((images, traefik))
    }

    /// Variables of stack files, such as `SWARMLINGS_PREFIX`, that name the images in the registry. `traefik` is Traefik's
    /// program.
    pub fn image_variables(&self, traefik: &Path) -> Result<[(&'static str, String); 3]> {
        let images = self.images();
        Ok(images.variables(&images::traefik(images.prefix(), traefik)?))
    }

    /// The stack `name` on its swarm. Does not deploy it.
    pub fn stack(&self, name: &str) -> Stack {
        let workers = self.nodes[1..].iter().map(|node| node.docker().clone());
        Stack::new(self.docker().clone(), name).with_workers(workers)
    }

    /// Moves the calling thread, and the threads that it starts meanwhile, to the lab's network namespace, from which all
    /// hosts can be reached.
    pub fn enter(&self) -> Result<NetnsGuard> {
        NetnsGuard::enter(self.init.pid())
    }

    /// The host of a container.
    pub fn node_of(&self, container: &Container) -> Result<&Node> {
        let host = container.docker().host();
        let node = self.nodes.iter().find(|node| node.docker().host() == host);
        node.with_context(|| format!("container {} is on no node of the lab", container.id()))
    }

    /// The container of a stack's `service` on `node`.
    pub fn container_on(&self, stack: &Stack, service: &str, node: &Node) -> Result<Option<Container>> {
        let host = node.docker().host();
        Ok(stack.containers_of(service)?.into_iter().find(|container| container.docker().host() == host))
    }

    /// Moves the only task of a stack's `service` to `node`. Swarm may move it again later.
    pub fn move_to(&self, stack: &Stack, service: &str, node: &Node) -> Result<()> {
        let is_only_there = || -> Result<()> {
            let all = stack.containers_of(service)?;
            let there = self.container_on(stack, service, node)?;
            ensure!(all.len() == 1 && there.is_some(), "{service} is not only on {}", node.name());
            Ok(())
        };
        if is_only_there().is_err() {
            let constraint = format!("node.hostname=={}", node.name());
            stack.add_constraint(service, &constraint)?;
            eventually_on_engine(START_TIMEOUT, is_only_there)?;
            stack.remove_constraint(service, &constraint)?;
        }
        Ok(())
    }

    /// Moves the calling thread, and the threads that it starts meanwhile, to a container's network namespace.
    pub fn enter_container(&self, container: &Container) -> Result<NetnsGuard> {
        let init = self.node_of(container)?.init()?;
        // The path is in the host's mount namespace, where /var/run is a link to /run.
        let network = container.inspect("{{.NetworkSettings.SandboxKey}}")?;
        let network = network.strip_prefix("/var").unwrap_or(&network);
        NetnsGuard::enter_at(&format!("/proc/{}/root{network}", init.pid()))
    }

    /// Number of Traefiks that poll the running hubs of a stack.
    pub fn polling_routers(&self, stack: &Stack) -> Result<usize> {
        stack.containers_of("hub")?.iter().map(|hub| self.routers_of(hub)).sum()
    }

    /// Number of Traefiks that poll a hub.
    pub fn routers_of(&self, hub: &Container) -> Result<usize> {
        let metrics =
            self.enter_container(hub)?.with(|| crate::http::get("http://127.0.0.1:8080/metrics"))?;
        let mut lines = metrics.body.lines().filter(|line| !line.starts_with('#'));
        let line = lines.find(|line| line.contains("hub_routers ")).context("no metric hub_routers")?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }

    /// Disconnects a host from the network. Packets from and to it are dropped.
    pub fn disconnect(&self, node: &Node) -> Result<()> {
        node.init()?;
        self.enter()?.with(|| ip(&["link", "set", &node.port(), "nomaster"])).map(drop)
    }

    /// Reconnects a host, or restarts it and waits for its engine if it was killed.
    pub fn reconnect(&self, node: &Node) -> Result<()> {
        if node.init().is_err() {
            return node.start(&self.init);
        }
        self.enter()?.with(|| ip(&["link", "set", &node.port(), "master", "bridge"])).map(drop)
    }

    /// Whether a host is connected to the network.
    pub fn is_connected(&self, node: &Node) -> Result<bool> {
        let port = Path::new("/sys/class/net").join(node.port());
        let shown = self.enter()?.with(|| ip(&["link", "show", "master", "bridge"]))?;
        let name = port.file_name().unwrap_or_default().to_string_lossy();
        Ok(shown.contains(&*name))
    }

    /// Waits until the manager shows each host as ready if it is running and connected, and as down otherwise.
    pub fn wait_ready(&self, timeout: Duration) -> Result<()> {
        eventually_on_engine(timeout, || {
            let listed = self.docker().list(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"])?;
            for node in &self.nodes {
                let ready = node.init().is_ok() && self.is_connected(node)?;
                let line = format!("{} {}", node.name(), if ready { "Ready" } else { "Down" });
                ensure!(listed.contains(&line), "{line:?} is not in {listed:?}");
            }
            Ok(())
        })
        .context("waiting for the swarm's nodes")
    }

    fn start_registry(&self) -> Result<()> {
        let storage = self.directory.join("registry");
        let address = self.registry();
        let configuration = json!({
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": storage}},
            "http": {"addr": address},
        });
        let file = self.directory.join("registry.json");
        fs::write(&file, configuration.to_string()).context("writing the registry's configuration")?;
        let mut command = nsenter(&self.init, &["--net", "--pid"]);
        command.args([REGISTRY, "serve"]).arg(file).stdin(Stdio::null());
        spawn(component(command, &self.directory, "registry")?)?;
        let url = format!("http://{address}/v2/");
        let answered = self.enter()?.with(|| eventually(START_TIMEOUT, || crate::http::get_ok(&url)));
        answered.map(drop).with_context(|| {
            format!("waiting for the registry, last lines:\n{}", log_tail(&self.directory, "registry"))
        })
    }

    /// Connects the machine to the lab's network, with an address there.
    fn link(&self) -> Result<()> {
        let ([inner, outer], init) = (LINK, self.init.pid().to_string());
        let link = || -> Result<()> {
            ip(&["link", "add", outer, "type", "veth", "peer", "name", inner, "netns", &init])?;
            ip(&["link", "set", outer, "alias", &self.directory.to_string_lossy()])?;
            let address = Subnet::with_length(self.subnet.machine());
            ip(&["address", "add", &address, "dev", outer])?;
            ip(&["link", "set", outer, "up"])?;
            self.enter()?.with(|| ip(&["link", "set", inner, "master", "bridge", "up"]))?;
            Ok(())
        };
        link().with_context(|| format!("linking this machine to the lab through {outer}"))
    }

    fn form_swarm(&self) -> Result<()> {
        let [leader, workers @ ..] = &self.nodes[..] else { return Ok(()) };
        let address = leader.address().to_string();
        leader.docker().run(&["swarm", "init", "--advertise-addr", &address])?;
        let token = leader.docker().run(&["swarm", "join-token", "--quiet", "worker"])?;
        for worker in workers {
            let own = worker.address().to_string();
            let flags = ["swarm", "join", "--token", &token, "--advertise-addr", &own, &address];
            worker.docker().run(&flags).with_context(|| format!("joining {} to the swarm", worker.name()))?;
        }
        self.wait_ready(START_TIMEOUT)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let Some(mut owner) = self.owner.take() else { return };
        if thread::panicking() {
            for node in &self.nodes {
                eprint!("--- {}, last lines:\n{}", node.name(), log_tail(&self.directory, node.name()));
            }
        }
        let leftovers = Leftovers::remove(&self.directory);
        let _ = owner.wait();
        if !leftovers.is_empty() {
            eprintln!("could not remove all of a lab: {leftovers}");
        }
    }
}

/// Creates a directory that only its owner can read. Accepts an empty one, which a crash may leave.
fn create_directory(directory: &Path) -> io::Result<()> {
    let is_empty = || Ok::<_, io::Error>(fs::read_dir(directory)?.next().is_none());
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_empty()? => Ok(()),
        outcome => outcome,
    }
}

/// Runs `ip ARGUMENTS` in the calling thread's network namespace.
fn ip(arguments: &[&str]) -> Result<String> {
    run_ok(Command::new("ip").args(arguments))
}

#[cfg(test)]
mod tests;
