//! Who is measured.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::programs::{Programs, source};
use crate::cores::Core;

/// A server that answers `Pong from HOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// Ours, with all that the runtime does.
    Ping,
    /// One worker, `return 200`.
    Nginx,
    /// Go's net/http.
    Go,
    /// An epoll loop in C that parses nothing.
    Loop,
    /// The article's.
    Python,
}

impl Peer {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Ping, Self::Nginx, Self::Go, Self::Loop, Self::Python];

    /// What it is called in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Nginx => "nginx `return 200`",
            Self::Go => "Go net/http",
            Self::Loop => "C epoll loop",
            Self::Python => "the article's Python",
        }
    }

    /// The command that has it listen on `address`, with its files in `directory`.
    pub(super) fn command(
        self,
        programs: &Programs,
        core: Core,
        address: SocketAddr,
        directory: &Path,
    ) -> Result<Command> {
        let (ip, port, host) = (address.ip().to_string(), address.port().to_string(), &programs.host);
        let mut command = match self {
            Self::Ping => {
                let mut command = core.command(&programs.ping);
                command.args(["--address", &ip, "--port", &port, "--admin-port", "0", "--host", host]);
                command
            }
            Self::Nginx => {
                let file = directory.join("nginx.conf");
                fs::write(&file, nginx_conf(address, host, directory)?)
                    .with_context(|| format!("writing {}", file.display()))?;
                let mut command = core.command(&programs.nginx);
                command.arg("-p").arg(directory).arg("-c").arg(&file).args(["-e", "stderr"]);
                command
            }
            Self::Go => {
                let mut command = core.command(&programs.go);
                command.args([&address.to_string(), host]);
                command
            }
            Self::Loop => {
                let mut command = core.command(&programs.epoll_loop);
                command.args([&ip, &port, host]);
                command
            }
            Self::Python => {
                // It writes a line about each request, which would have to be read by someone who also takes time.
                let mut command = core.command("sh");
                command.args(["-c", r#"exec "$@" 2>/dev/null"#, "sh", "python3"]);
                command.arg(source("pong.py")).args([&ip, &port]);
                command
            }
        };
        command.current_dir(directory);
        Ok(command)
    }
}

fn nginx_conf(address: SocketAddr, host: &str, directory: &Path) -> Result<String> {
    let template = source("nginx.conf");
    let template =
        fs::read_to_string(&template).with_context(|| format!("reading {}", template.display()))?;
    let directory = directory.to_str().context("nginx can have only a directory whose name is UTF-8")?;
    Ok(template.replace("PREFIX", directory).replace("ADDRESS", &address.to_string()).replace("HOST", host))
}
