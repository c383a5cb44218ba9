//! What a lab is to be, and what it takes.

use std::env;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail, ensure};

use super::subnet::{self, Subnet};
use crate::tools;

/// The one that a lab without a registry can do without.
pub(super) const REGISTRY: &str = "docker-registry";

/// Programs that a lab is made of, and Debian's and Ubuntu's packages that have them.
pub const PROGRAMS: [(&str, &str); 6] = [
    ("dockerd", "docker.io"),
    (REGISTRY, "docker-registry"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// What a lab is to be.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Where all its files go: a directory that is not there yet. Its last component names the lab's control groups.
    pub directory: PathBuf,
    /// How many hosts, from 1 to [`MOST_NODES`].
    pub nodes: u8,
    /// Where they are.
    pub subnet: Subnet,
    /// Whether there is an image registry.
    pub registry: bool,
    /// Whether the machine itself can reach them. Otherwise only those can who [enter](Lab::enter) the lab.
    pub link: bool,
    /// Whether the lab ends with the value, or the process, that has made it.
    pub owned: bool,
}

impl LabOptions {
    /// A lab of `nodes` hosts that ends with its owner, in a directory of its own among the temporary ones.
    pub fn owned(nodes: u8) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("swarmlings-lab-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let (directory, subnet) = (env::temp_dir().join(name), Subnet::default());
        Self { directory, nodes, subnet, registry: nodes > 1, link: false, owned: true }
    }

    /// Fails, and says what to do, if this machine or this user cannot have such a lab.
    pub fn ensure_possible(&self) -> Result<()> {
        let wanted = PROGRAMS.into_iter().filter(|(program, _)| self.registry || *program != REGISTRY);
        let missing = wanted.filter(|(program, _)| tools::on_path(program).is_none());
        let (programs, mut packages): (Vec<_>, Vec<_>) = missing.unzip();
        packages.dedup();
        if !programs.is_empty() {
            bail!("no {} on PATH: apt-get install {}", programs.join(", "), packages.join(" "));
        }
        ensure!(
            rustix::process::geteuid().is_root(),
            "only root can make network namespaces and start engines in them: run this as root"
        );
        if self.link { subnet::ensure_unused(self.subnet) } else { Ok(()) }
    }
}
