//! Several hosts on one machine: Docker engines in network namespaces of their own, joined to a swarm.
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
//! All of it hangs on one process, the first one of a PID namespace. When that ends, the kernel ends every process of the
//! lab, and with them go links, mounts and firewall rules, since none of these is the machine's own. What is left are
//! files and control groups. Processes are found by their environment and nothing is remembered elsewhere, so that a lab
//! can be taken down by another process than the one that has made it, also if that was killed half-way.

mod node;
mod options;
mod part;
mod subnet;
mod traces;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

pub use node::Node;
pub use options::{LabOptions, PROGRAMS};
pub use subnet::{MOST_NODES, Subnet};
pub use traces::Traces;

use options::REGISTRY;
use part::{first_process, nsenter, part, said, spawn};

use crate::docker::settled;
use crate::network::Inside;
use crate::proc::Task;
use crate::stack::Container;
use crate::{Binaries, Docker, Images, Stack, eventually, images};

/// The part that all others hang on.
const NETWORK: &str = "network";

/// The link to the machine: its end in the lab, and the machine's.
const LINK: [&str; 2] = ["machine", "swarmlings0"];

/// What a lab consists of, in its directory.
const DESCRIPTION: &str = "lab.json";

/// How long a part may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Starts the first process of a lab, and tidies up when it has ended, however that came about: its owner may be dead.
const OUTER: &str = r#"
unshare --net --pid --fork --kill-child sh -c "$1" init "$2" "$3"
if [ "$3" = owned ]; then
    rm -rf "$4"
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$4")*" -exec rmdir {} ';'
fi
"#;

/// The first process. One with an owner ends when that closes its input, or dies. It reaps those that others leave.
const INIT: &str = r#"
ip link set lo up &&
ip link add bridge type bridge &&
ip address add "$1" dev bridge &&
ip link set bridge up || exit
if [ "$2" = owned ]; then cat >/dev/null; else sleep infinity; fi
"#;

/// A lab that runs.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    subnet: Subnet,
    init: Task,
    nodes: Vec<Node>,
    owner: Option<Child>,
}

impl Lab {
    /// Makes a lab: network, registry, engines, swarm. If any of it fails, nothing is left.
    pub fn create(options: &LabOptions) -> Result<Self> {
        options.ensure_possible()?;
        let directory = &options.directory;
        let traces = Traces::of(directory);
        ensure!(traces.is_empty(), "there is a lab, or what is left of one: {traces}");
        create_directory(directory).with_context(|| format!("creating {}", directory.display()))?;
        let started = Self::start(options);
        if started.is_err() {
            let left = Traces::remove(directory);
            if !left.is_empty() {
                eprintln!("could not remove: {left}");
            }
        }
        started.with_context(|| format!("making a lab in {}", directory.display()))
    }

    fn start(options: &LabOptions) -> Result<Self> {
        let LabOptions { directory, nodes, subnet, registry, link, owned } = options;
        let description = json!({"subnet": subnet.to_string(), "nodes": nodes});
        fs::write(directory.join(DESCRIPTION), description.to_string()).context("describing the lab")?;

        let mut command = Command::new("sh");
        let address = Subnet::with_length(subnet.registry());
        let owner = if *owned { "owned" } else { "free" };
        command.args(["-c", OUTER, "outer", INIT, &address, owner]).arg(directory);
        command.stdin(if *owned { Stdio::piped() } else { Stdio::null() });
        let mut child = part(command, directory, NETWORK)?.spawn().context("starting sh")?;
        let init = eventually(START, || -> Result<Result<Task>> {
            if let Some(status) = child.try_wait()? {
                return Ok(Err(anyhow!("it has ended ({status}): {}", said(directory, NETWORK))));
            }
            let init = first_process(directory, NETWORK).context("it has not started")?;
            // The address is there last.
            let bridge = Inside::enter(init.pid())?.with(|| ip(&["-4", "address", "show", "bridge"]))?;
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
        lab.form_swarm()?;
        Ok(lab)
    }

    /// The lab in `directory`, if there is one.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        let traces = Traces::of(directory);
        if traces.is_empty() {
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
        let init = first_process(directory, NETWORK);
        let init = init.with_context(|| format!("the lab has ended, of which there is left: {traces}"))?;
        let nodes = (1..=nodes).map(|number| Node::new(directory, subnet, number)).collect::<Result<_>>()?;
        Ok(Some(Self { directory: directory.to_owned(), subnet, init, nodes, owner: None }))
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its addresses.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Its hosts. The first one is the swarm's manager.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The host with this name, number or address.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let found = self.nodes.iter().find(|node| node.is_called(name));
        let names: Vec<_> = self.nodes.iter().map(Node::name).collect();
        found.with_context(|| format!("no node {name:?} in the lab: there are {}", names.join(", ")))
    }

    /// A client for the swarm's manager.
    pub fn docker(&self) -> &Docker {
        self.nodes[0].docker()
    }

    /// What images are called that are to be pushed to its registry, `192.168.2.254:5000` by default.
    pub fn registry(&self) -> String {
        format!("{}:{}", self.subnet.registry(), subnet::REGISTRY_PORT)
    }

    /// Builds the project's images and Traefik's of binaries, and pushes them to its registry. Returns the project's, and
    /// the name of Traefik's.
    pub fn provide_images(&self, binaries: &Binaries, traefik: &Path) -> Result<(Images, String)> {
        let docker = self.docker();
        let images = Images::new(format!("{}/swarmlings", self.registry()), "latest");
        for image in images.build(docker, &docker.architecture()?, binaries)? {
            images::push(docker, &image.name)?;
        }
        let traefik = images::build_traefik(docker, images.prefix(), traefik)?;
        images::push(docker, &traefik)?;
        Ok((images, traefik))
    }

    /// A stack on its swarm, deployed or not.
    pub fn stack(&self, name: &str) -> Stack {
        let workers = self.nodes[1..].iter().map(|node| node.docker().clone());
        Stack::new(self.docker().clone(), name).with_workers(workers)
    }

    /// Takes the calling thread, and those that it starts from then on, to the lab's network, where all hosts can be
    /// reached at their addresses.
    pub fn enter(&self) -> Result<Inside> {
        Inside::enter(self.init.pid())
    }

    /// The host that a container is on.
    pub fn node_of(&self, container: &Container) -> Result<&Node> {
        let host = container.docker().host();
        let node = self.nodes.iter().find(|node| node.docker().host() == host);
        node.with_context(|| format!("container {} is on none of the lab's nodes", container.id()))
    }

    /// The container of a stack's `service` that is on `node`, if there is one.
    pub fn container_on(&self, stack: &Stack, service: &str, node: &Node) -> Result<Option<Container>> {
        let host = node.docker().host();
        Ok(stack.containers_of(service)?.into_iter().find(|container| container.docker().host() == host))
    }

    /// Sees to it that the only task of a stack's `service` is on `node`, from where Swarm may move it again.
    pub fn move_to(&self, stack: &Stack, service: &str, node: &Node) -> Result<()> {
        let is_only_there = || -> Result<()> {
            let all = stack.containers_of(service)?;
            let there = self.container_on(stack, service, node)?;
            ensure!(all.len() == 1 && there.is_some(), "{service} is not, or not only, on {}", node.name());
            Ok(())
        };
        if is_only_there().is_err() {
            let constraint = format!("node.hostname=={}", node.name());
            stack.constrain(service, &constraint)?;
            settled(START, is_only_there)?;
            stack.release(service, &constraint)?;
        }
        Ok(())
    }

    /// Takes the calling thread, and those that it starts from then on, to a container's network.
    pub fn enter_container(&self, container: &Container) -> Result<Inside> {
        let first = self.node_of(container)?.running()?;
        // Its path, without the link /var/run, is one of the host's own.
        let network = container.inspect("{{.NetworkSettings.SandboxKey}}")?;
        let network = network.strip_prefix("/var").unwrap_or(&network);
        Inside::enter_at(&format!("/proc/{}/root{network}", first.pid()))
    }

    /// Takes a host off the network: what it sends is lost without a word, and so is what is sent to it.
    pub fn cut(&self, node: &Node) -> Result<()> {
        node.running()?;
        self.enter()?.with(|| ip(&["link", "set", &node.port(), "nomaster"])).map(drop)
    }

    /// Takes a host back, whether it was cut off or killed, and waits for its engine.
    pub fn heal(&self, node: &Node) -> Result<()> {
        if node.running().is_err() {
            return node.start(&self.init);
        }
        self.enter()?.with(|| ip(&["link", "set", &node.port(), "master", "bridge"])).map(drop)
    }

    /// Whether what is sent to the host arrives.
    pub fn is_connected(&self, node: &Node) -> Result<bool> {
        let port = Path::new("/sys/class/net").join(node.port());
        let shown = self.enter()?.with(|| ip(&["link", "show", "master", "bridge"]))?;
        let name = port.file_name().unwrap_or_default().to_string_lossy();
        Ok(shown.contains(&*name))
    }

    /// Waits until the swarm's manager takes exactly those hosts for ready that run and are connected.
    pub fn wait_ready(&self, timeout: Duration) -> Result<()> {
        settled(timeout, || {
            let listed = self.docker().list(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"])?;
            for node in &self.nodes {
                let ready = node.running().is_ok() && self.is_connected(node)?;
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
        spawn(part(command, &self.directory, "registry")?)?;
        let url = format!("http://{address}/v2/");
        let inside = self.enter()?;
        let answered = inside.with(|| eventually(START, || crate::http::well(&url)));
        answered.map(drop).with_context(|| {
            format!("waiting for the registry, which said\n{}", said(&self.directory, "registry"))
        })
    }

    /// Gives the machine an address in the lab's network.
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
        link().with_context(|| format!("linking this machine to the lab by {outer}"))
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
        self.wait_ready(START)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let Some(mut owner) = self.owner.take() else { return };
        if thread::panicking() {
            for node in &self.nodes {
                eprint!("--- {}, its last lines:\n{}", node.name(), said(&self.directory, node.name()));
            }
        }
        let left = Traces::remove(&self.directory);
        let _ = owner.wait();
        if !left.is_empty() {
            eprintln!("could not remove what is left of a lab: {left}");
        }
    }
}

/// Creates a directory for its owner alone. One that is there must be empty, as a crash may leave it.
fn create_directory(directory: &Path) -> io::Result<()> {
    let is_empty = || Ok::<_, io::Error>(fs::read_dir(directory)?.next().is_none());
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_empty()? => Ok(()),
        outcome => outcome,
    }
}

/// Runs `ip ARGUMENTS` in the network that the calling thread is in.
fn ip(arguments: &[&str]) -> Result<String> {
    let shown = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {}", shown()))?;
    ensure!(output.status.success(), "{}: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests;
