//! Options of a lab: hosts, addresses, requirements.

use std::env;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail, ensure};

use super::ip;
use crate::tools;

/// Program of the registry, which is optional.
pub(super) const REGISTRY: &str = "docker-registry";

/// Port of the registry.
pub(super) const REGISTRY_PORT: u16 = 5000;

/// Maximum number of hosts.
pub const MAX_NODES: u8 = 9;

/// Programs that a lab requires, each with its Debian or Ubuntu package.
pub const PROGRAMS: [(&str, &str); 6] = [
    ("dockerd", "docker.io"),
    (REGISTRY, "docker-registry"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Options of a lab.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub struct LabOptions {
    /// Directory for all its files, which must not exist. Its last component names the lab's control groups.
    pub directory: PathBuf,
    /// Number of hosts, from 1 to [`MAX_NODES`].
    pub nodes: u8,
    /// Addresses of the hosts.
    pub subnet: Subnet,
    /// Whether the lab has an image registry.
    pub registry: bool,
    /// Whether the hosts are joined to a swarm.
    pub swarm: bool,
    /// Whether the machine itself can reach the hosts. Otherwise only threads that [enter](super::Lab::enter) the lab can.
    pub link: bool,
    /// Whether the lab ends with the value, or the process, that created it.
    pub owned: bool,
}

impl LabOptions {
    /// An owned lab of `nodes` hosts in a new temporary directory.
    pub fn owned(nodes: u8) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("swarmlings-lab-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let (directory, subnet) = (env::temp_dir().join(name), Subnet::default());
        Self { directory, nodes, subnet, registry: nodes > 1, swarm: true, link: false, owned: true }
    }

    /// Fails with a remedy if this machine or this user cannot run such a lab.
    pub fn check_requirements(&self) -> Result<()> {
        let required = PROGRAMS.into_iter().filter(|(program, _)| self.registry || *program != REGISTRY);
        let missing = required.filter(|(program, _)| tools::on_path(program).is_none());
        let (programs, mut packages): (Vec<_>, Vec<_>) = missing.unzip();
        packages.dedup();
        if !programs.is_empty() {
            bail!("not found on PATH: {}; run `apt-get install {}`", programs.join(", "), packages.join(" "));
        }
        ensure!(
            rustix::process::geteuid().is_root(),
            "creating network namespaces and starting engines in them requires root: run this as root"
        );
        if self.link { ensure_unused(self.subnet) } else { Ok(()) }
    }
}

/// Private IPv4 network of 256 addresses: hosts from .1, the machine that runs the lab at .253, the registry at .254.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet([u8; 3]);

impl Default for Subnet {
    /// The article's subnet.
    fn default() -> Self {
        Self([192, 168, 2])
    }
}

impl Subnet {
    /// Address of host `number`, which starts at 1.
    pub fn node(self, number: u8) -> Ipv4Addr {
        self.address(number)
    }

    /// Address of the registry.
    pub fn registry(self) -> Ipv4Addr {
        self.address(254)
    }

    /// Address of the machine that runs the lab.
    pub fn machine(self) -> Ipv4Addr {
        self.address(253)
    }

    /// `address` in the form that `ip address add` accepts.
    pub(super) fn with_length(address: Ipv4Addr) -> String {
        format!("{address}/24")
    }

    fn address(self, last: u8) -> Ipv4Addr {
        let Self([a, b, c]) = self;
        Ipv4Addr::new(a, b, c, last)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::with_length(self.address(0)))
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let address = text.strip_suffix("/24").and_then(|address| address.parse::<Ipv4Addr>().ok());
        match address.map(|address| (address, address.octets())) {
            Some((address, [a, b, c, 0])) if address.is_private() => Ok(Self([a, b, c])),
            _ => Err("expected a private network of 256 addresses such as 192.168.2.0/24".to_owned()),
        }
    }
}

/// Fails if this machine has a route to `subnet` other than its default route.
fn ensure_unused(subnet: Subnet) -> Result<()> {
    let subnet = subnet.to_string();
    for which in ["root", "match"] {
        let routes = ip(&["-4", "route", "show", which, &subnet])?;
        let conflict = routes.lines().find(|route| !route.starts_with("default"));
        let shown = conflict.unwrap_or_default().trim();
        ensure!(
            conflict.is_none(),
            "this machine already has a route to {subnet}: {shown}; choose another network with --subnet"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnet_is_a_private_network_of_256_addresses() {
        let subnet: Subnet = "10.9.8.0/24".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.9.8.0/24");
        assert_eq!(subnet.node(2).to_string(), "10.9.8.2");
        assert_eq!(Subnet::default().to_string(), "192.168.2.0/24");
        for invalid in ["10.9.8.0", "10.9.8.1/24", "10.9.8.0/16", "8.8.8.0/24", "fd00::/24", ""] {
            assert!(invalid.parse::<Subnet>().is_err(), "{invalid}");
        }
    }
}
