//! `SERVICE healthcheck`: a service's own probe, for images that hold nothing else to probe with.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use swarmlings_cli::{Failure, ProbeError, probe, probe_unix};

use crate::About;
use crate::args::ServerArgs;

/// Within which each step of the answer must come.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the running service what its orchestrator would ask it.
pub(crate) fn healthcheck(about: About, args: &ServerArgs) -> Result<ExitCode, Failure> {
    let path = about.probe;
    let asking = |place: &dyn Display, error: ProbeError| {
        Failure::new(format_args!("asking {place} for {path}: {error}"))
    };
    if let (Some(socket), false) = (&args.socket, about.admin_port) {
        probe_unix(socket, path, TIMEOUT).map_err(|error| asking(&socket.display(), error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let address = if about.admin_port { args.admin_address() } else { args.service_address() };
    if address.port() == 0 {
        return Err(Failure::usage("healthcheck needs the port that was chosen, not 0"));
    }
    let address = reachable(address);
    probe(address, path, TIMEOUT).map_err(|error| asking(&address, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Who listens on every address is reached by the loopback one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_by_loopback_and_one_by_itself() {
        for (listening, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("192.168.2.1:9090", "192.168.2.1:9090"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
