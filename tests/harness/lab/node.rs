//! One host of a lab.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use super::part::{first_process, nsenter, part, said, spawn};
use super::subnet::{REGISTRY_PORT, Subnet};
use super::{START, ip, traces};
use crate::docker::settled;
use crate::network::Inside;
use crate::proc::Task;
use crate::{Docker, Signal, eventually};

/// Runs an engine in namespaces of its own, as its first process, until the engine ends.
///
/// sysfs shows the network that it was mounted in, so there is a new one; the control groups below it move over. The
/// empty /run hides the machine's containerd, which knows nothing of these mounts, and is as new after a restart as a
/// real host's. The link comes from outside.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run && mkdir /run/groups && mount --rbind /sys/fs/cgroup /run/groups &&
mount -t sysfs sysfs /sys && mount --rbind /run/groups /sys/fs/cgroup && umount -l /run/groups &&
echo "$2" >/proc/sys/kernel/hostname && ip link set lo up || exit
until ip link set eth0 up 2>/dev/null; do sleep 0.05; done
ip address add "$3" dev eth0 || exit
dockerd --config-file "$1" &
wait $!
"#;

/// A host, running or not.
#[derive(Debug)]
pub struct Node {
    /// The lab's.
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

    /// Its host name: `leader`, `worker-1` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the other hosts find it.
    pub fn address(&self) -> Ipv4Addr {
        self.subnet.node(self.number)
    }

    /// A client for its engine.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The first of its processes; an error if it does not run.
    pub fn running(&self) -> Result<Task> {
        first_process(&self.directory, &self.name).with_context(|| format!("{} does not run", self.name))
    }

    /// Takes the calling thread, and those that it starts from then on, to the host's network.
    pub fn enter(&self) -> Result<Inside> {
        Inside::enter(self.running()?.pid())
    }

    /// Ends its engine and containers all at once, as if the power had failed.
    pub fn kill(&self) -> Result<()> {
        let first = self.running()?;
        first.signal(Signal::KILL);
        eventually(START, || self.running().is_err() && !first.is_alive())
            .with_context(|| format!("killing {}", self.name))
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        name == self.name || name == self.number.to_string() || name == self.address().to_string()
    }

    /// The bridge's end of its link.
    pub(super) fn port(&self) -> String {
        format!("port-{}", self.number)
    }

    /// Starts it in the network of `init`, and waits for its engine. It has what it had on its disk before.
    pub(super) fn start(&self, init: &Task) -> Result<()> {
        let configuration = self.write_configuration()?;
        let mut command = nsenter(init, &["--net", "--pid"]);
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
        spawn(part(command, &self.directory, &self.name)?)?;
        let first = eventually(START, || self.running())?;
        self.plug(init, &first).with_context(|| format!("connecting {}", self.name))?;
        let ready = settled(START, || -> Result<Result<()>> {
            if !first.is_alive() {
                return Ok(Err(anyhow!("it has ended")));
            }
            self.docker.architecture().map(|_| Ok(()))
        });
        ready.and_then(|outcome| outcome).with_context(|| {
            format!("waiting for {}, which said\n{}", self.name, said(&self.directory, &self.name))
        })
    }

    fn plug(&self, init: &Task, first: &Task) -> Result<()> {
        let (port, pid) = (self.port(), first.pid().to_string());
        Inside::enter(init.pid())?.with(|| {
            // The link of a host that was killed is there for as long as the kernel takes to remove its network.
            let add = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid];
            eventually(START, || ip(&add))?;
            ip(&["link", "set", &port, "master", "bridge", "up"])
        })?;
        Ok(())
    }

    fn write_configuration(&self) -> Result<PathBuf> {
        let place = |suffix: &str| self.directory.join(format!("{}{suffix}", self.name));
        let socket = place(".sock");
        // What the kernel has room for, with the zero byte at the end.
        ensure!(socket.as_os_str().len() < 108, "{} is too long for a socket", socket.display());
        let configuration = json!({
            // The second one is where containers look for it, on their own host.
            "hosts": [format!("unix://{}", socket.display()), "unix:///run/docker.sock"],
            "data-root": place(""),
            "exec-root": "/run/docker",
            "pidfile": "/run/docker.pid",
            "deprecated-key-path": place(".key"),
            "cgroup-parent": format!("/{}", traces::control_group(&self.directory)),
            "insecure-registries": [format!("{}:{REGISTRY_PORT}", self.subnet.registry())],
            // Names that are not the stack's own are asked of nobody, and those without a dot are known at once not to
            // be there: the hub's, before it is healthy.
            "dns": ["127.0.0.1"],
            "dns-opts": ["ndots:1"],
            // Needs no systemd.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "log-level": "warn",
        });
        let file = place(".json");
        fs::write(&file, configuration.to_string()).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}
