//! A host that can be cut off: a network namespace, joined to this one by a pair of virtual interfaces.

use std::process::{Command, id};

use anyhow::Result;

use super::connection::Network;
use crate::programs::stdout;

/// Address of this host on the link.
pub(super) const GATEWAY: [u8; 4] = [169, 254, 217, 1];

/// A network namespace. Dropping it removes the link too.
pub(super) struct Host {
    name: String,
    /// Name of this side's interface.
    link: String,
}

impl Host {
    /// Needs root.
    pub(super) fn new() -> Result<Self> {
        let host = Self { name: format!("bench-{}", id()), link: format!("bench{}", id()) };
        let Self { name, link } = &host;
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {link} type veth peer name eth0 netns {name}"))?;
        ip(&format!("address add 169.254.217.1/24 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("-n {name} address add 169.254.217.2/24 dev eth0"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        Ok(host)
    }

    pub(super) fn network(&self) -> Network {
        Network::namespace(&format!("/run/netns/{}", self.name))
    }

    /// Takes its end of the link down. No packet arrives at either side any more.
    pub(super) fn cut_off(&self) -> Result<()> {
        ip(&format!("-n {} link set eth0 down", self.name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The namespace exists while a socket is open in it, and the link with it.
        for arguments in [format!("link delete {}", self.link), format!("netns delete {}", self.name)] {
            if let Err(error) = ip(&arguments) {
                eprintln!("removing a network namespace: {error:#}");
            }
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    stdout(Command::new("ip").args(arguments.split(' '))).map(drop)
}
