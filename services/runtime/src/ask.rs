//! `SERVICE healthcheck` and `SERVICE faults`: requests to the running service, in images that hold nothing else to send
//! one.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use cli::{Failure, ProbeError, Token, probe, probe_unix, request};

use crate::AppInfo;
use crate::args::ServerArgs;

/// Within which each step of the answer must come.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the running service what its orchestrator would ask it.
pub(crate) fn healthcheck(about: AppInfo, args: &ServerArgs) -> Result<ExitCode, Failure> {
    let path = about.healthcheck_path;
    let asking = |place: &dyn Display, error: ProbeError| {
        Failure::new(format_args!("asking {place} for {path}: {error}"))
    };
    if let (Some(socket), false) = (&args.socket, about.admin_port) {
        probe_unix(socket, path, TIMEOUT).map_err(|error| asking(&socket.display(), error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let address = if about.admin_port { args.admin_address() } else { args.service_address() };
    let address = reachable(address)?;
    probe(address, path, TIMEOUT).map_err(|error| asking(&address, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the running service's fault; begins one, or ends it with "off". What the service refuses is a failure.
pub(crate) fn faults(order: Option<&str>, args: &ServerArgs) -> Result<ExitCode, Failure> {
    let address = reachable(args.admin_address())?;
    let (method, body) = match order {
        None => ("GET", ""),
        Some("off") => ("DELETE", ""),
        Some(order) => ("POST", order),
    };
    let authorization = match &args.admin_token_file.0 {
        Some(path) => format!("authorization: {}\r\n", Token::read(path)?.header()),
        None => String::new(),
    };
    let length = body.len();
    let message = format!(
        "{method} /faults HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n{body}"
    );
    match request(address, message.as_bytes(), TIMEOUT) {
        Ok((200, answer)) => {
            // Nothing is left to do when stdout is closed.
            let _ = io::stdout().write_all(answer.as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        Ok((_, refusal)) => Err(Failure::new(refusal.trim_end())),
        Err(error) => Err(Failure::new(format_args!("asking {address} for /faults: {error}"))),
    }
}

/// Who listens on every address is reached by the loopback one.
fn reachable(mut address: SocketAddr) -> Result<SocketAddr, Failure> {
    if address.port() == 0 {
        return Err(Failure::usage("the port that was chosen is needed, not 0"));
    }
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
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
            assert_eq!(reachable(listening.parse().unwrap()).unwrap(), asked.parse().unwrap());
        }
    }
}
