//! Whether routers reach the service at the address that the sidecar registers.
//!
//! The sidecar registers the local address of its connection to the hub: an address of the network that it shares with
//! hub and routers. That address can be of a family in which the service does not listen: a hub on `::` is reached over
//! IPv6, while the service listens on `0.0.0.0`. So before the first registration as healthy the sidecar connects to the
//! service at the address, as a router would. If that is refused while the service accepts at a loopback address, it
//! listens, but not there. Then the sidecar does not register, prefers addresses of the hub of the other family, and the
//! health check names the reason.
//!
//! A port that refuses connections everywhere proves nothing: the service may use UDP, or another port. With `--address`
//! there is no check, since that address may be one outside of the container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use std::{fmt, io};

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum time for a connection within this host.
const LIMIT: Duration = Duration::from_millis(500);

const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Returns an error if the service accepts connections to one of `ports`, but not at `address`.
pub(crate) async fn check(address: IpAddr, ports: &[u16]) -> Result<(), String> {
    for &port in ports {
        let registered = SocketAddr::from((address, port));
        if !matches!(connect(registered).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        {
            continue;
        }
        for loopback in LOOPBACKS.map(|loopback| SocketAddr::from((loopback, port))) {
            if connect(loopback).await.is_ok() {
                return Err(message(registered, loopback));
            }
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    timeout(LIMIT, TcpStream::connect(address)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

fn message(registered: impl fmt::Display, loopback: impl fmt::Display) -> String {
    format!(
        "the service refuses connections at {registered}, where routers would reach it, but accepts them at {loopback}; \
         let it listen on all addresses, or set --address"
    )
}
