//! A host of a lab.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use super::options::{REGISTRY_PORT, Subnet};
use super::processes::{component, init_of, log_tail, nsenter, spawn};
use super::{START_TIMEOUT, ip, leftovers};
use crate::docker::eventually_on_engine;
use crate::netns::NetnsGuard;
use crate::proc::ProcessHandle;
use crate::{Docker, Signal, eventually};

/// Init process of a host: runs an engine until it exits.
///
/// sysfs shows the network namespace in which it was mounted, so the host mounts its own and moves the control groups there.
/// An empty /run hides the machine's containerd, and is lost in a restart as on a real host. runc's temporary files go there too.
/// The lab adds the link `eth0`.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run && mkdir /run/groups && mount --rbind /sys/fs/cgroup /run/groups &&
mount -t sysfs sysfs /sys && mount --rbind /run/groups /sys/fs/cgroup && umount -l /run/groups &&
echo "$2" >/proc/sys/kernel/hostname && ip link set lo up || exit
until ip link set eth0 up 2>/dev/null; do sleep 0.05; done
ip address add "$3" dev eth0 || exit
TMPDIR=/run dockerd --config-file "$1" &
wait $!
"#;

/// Address of a host's engine on the host itself.
const ENGINE: &str = "unix:///run/docker.sock";

/// A host, running or killed.
#[derive(Debug)]
pub struct Node {
    /// Directory of the lab.
    directory: PathBuf,
    subnet: Subnet,
    number: u8,
    name: String,
    docker: Docker,
}

impl Node {
    pub(super) fn new(directory: &Path, subnet: Subnet, number: u8) -> Result<Self> {
        let name = if number == 1 { "leader".to_owned() } else { format!("worker-{}", number - 1) };
        let socket = directory.join(format!("{name}.sock"));
        let docker = Docker::at(format!("unix://{}", socket.display()))?;
        Ok(Self { directory: directory.to_owned(), subnet, number, name, docker })
    }

    /// Host name: `leader`, `worker-1` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// IP address in the lab's network.
    pub fn address(&self) -> Ipv4Addr {
        self.subnet.node(self.number)
    }

    /// Client for its engine.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Init process of the host. Fails if the host is not running.
    pub fn init(&self) -> Result<ProcessHandle> {
        init_of(&self.directory, &self.name).with_context(|| format!("{} is not running", self.name))
    }

    /// Moves the calling thread, and the threads that it starts meanwhile, to the host's network namespace.
    pub fn enter(&self) -> Result<NetnsGuard> {
        NetnsGuard::enter(self.init()?.pid())
    }

    /// A command that runs `program` on this host as its user would: with its network, name, processes and engine.
    pub fn command(&self, program: &OsStr) -> Result<Command> {
        let mut command = nsenter(&self.init()?, &["--mount", "--net", "--uts", "--pid"]);
        let directory = env::current_dir().context("finding the current directory")?;
        // A process that enters a mount namespace is in its root directory.
        command.args(["sh", "-c", r#"cd "$0" && exec "$@""#]).arg(directory).arg(program);
        command.env("DOCKER_HOST", ENGINE).env_remove("DOCKER_CONTEXT");
        Ok(command)
    }

    /// Kills its engine and all its containers at once, as a power failure does.
    pub fn kill(&self) -> Result<()> {
        let init = self.init()?;
        init.signal(Signal::KILL);
        eventually(START_TIMEOUT, || self.init().is_err() && !init.is_alive())
            .with_context(|| format!("killing {}", self.name))
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        name == self.name || name == self.number.to_string() || name == self.address().to_string()
    }

    /// Name of the bridge's end of its link.
    pub(super) fn port(&self) -> String {
        format!("port-{}", self.number)
    }

    /// Starts it in the namespaces of the lab's init process, and waits for its engine. Its disk survives a kill.
    pub(super) fn start(&self, lab: &ProcessHandle) -> Result<()> {
        let configuration = self.write_configuration()?;
        let mut command = nsenter(lab, &["--net", "--pid"]);
        command.args([
            "unshare",
            "--mount",
            "--net",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command.args(["sh", "-c", HOST, "host"]).arg(configuration).arg(&self.name);
        command.arg(Subnet::with_length(self.address())).stdin(Stdio::null());
        spawn(component(command, &self.directory, &self.name)?)?;
        let init = eventually(START_TIMEOUT, || self.init())?;
        self.connect(lab, &init).with_context(|| format!("connecting {}", self.name))?;
        let ready = eventually_on_engine(START_TIMEOUT, || -> Result<Result<()>> {
            if !init.is_alive() {
                return Ok(Err(anyhow!("exited")));
            }
            self.docker.architecture().map(|_| Ok(()))
        });
        ready.and_then(|outcome| outcome).with_context(|| {
            format!("waiting for {}, last lines:\n{}", self.name, log_tail(&self.directory, &self.name))
        })
    }

    fn connect(&self, lab: &ProcessHandle, init: &ProcessHandle) -> Result<()> {
        let (port, pid) = (self.port(), init.pid().to_string());
        NetnsGuard::enter(lab.pid())?.with(|| {
            // The kernel removes the link of a killed host only some time later.
            let add = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid];
            eventually(START_TIMEOUT, || ip(&add))?;
            ip(&["link", "set", &port, "master", "bridge", "up"])
        })?;
        Ok(())
    }

    fn write_configuration(&self) -> Result<PathBuf> {
        let path = |suffix: &str| self.directory.join(format!("{}{suffix}", self.name));
        let socket = path(".sock");
        // The kernel's limit, which includes a zero byte.
        ensure!(socket.as_os_str().len() < 108, "{} is too long for a socket path", socket.display());
        let configuration = json!({
            // Programs on this host use the second one.
            "hosts": [format!("unix://{}", socket.display()), ENGINE],
            "data-root": path(""),
            "exec-root": "/run/docker",
            "pidfile": "/run/docker.pid",
            "deprecated-key-path": path(".key"),
            "cgroup-parent": format!("/{}", leftovers::control_group(&self.directory)),
            "insecure-registries": [format!("{}:{REGISTRY_PORT}", self.subnet.registry())],
            // The embedded DNS server answers at once that a name is unknown, such as the hub's before it is healthy.
            "dns": ["127.0.0.1"],
            "dns-opts": ["ndots:1"],
            // Works without systemd.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "log-level": "warn",
        });
        let file = path(".json");
        fs::write(&file, configuration.to_string()).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}
