//! The servers that are measured.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::proc::{ProcessHandle, descendants, resident_kib, usage};
use harness::{Loopback, Process, SpawnOptions, http};
use tempfile::TempDir;

use super::programs::Programs;
use crate::machine::{Core, SeparateCores};
use crate::programs::source;

/// Limit for a start, an answer and an end; reaching it means an error.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server program that answers `Pong from HOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The service of this project.
    Ping,
    /// One worker with `return 200`.
    Nginx,
    /// Go's net/http.
    Go,
    /// An epoll loop in C that does not parse requests: the practical limit.
    Loop,
    /// The Python program of the article.
    Python,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Ping, Self::Nginx, Self::Go, Self::Loop, Self::Python];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Nginx => "nginx `return 200`",
            Self::Go => "Go net/http",
            Self::Loop => "C epoll loop",
            Self::Python => "the article's Python",
        }
    }

    /// Prepares the command that listens on `address`; configuration goes into `directory`.
    fn command(
        self,
        programs: &Programs,
        core: Core,
        address: SocketAddr,
        directory: &Path,
    ) -> Result<Command> {
        let (ip, port, listen) = (address.ip().to_string(), address.port().to_string(), address.to_string());
        let host = programs.host.as_str();
        let prefix = directory.to_str().context("the directory of a server is not UTF-8")?;
        let python = source("services/peers/pong.py").display().to_string();
        let (program, arguments) = match self {
            Self::Ping => {
                let flags = ["--address", &ip, "--port", &port, "--admin-port", "0", "--host", host];
                (programs.ping.as_path(), flags.to_vec())
            }
            Self::Nginx => {
                let template = source("services/peers/nginx.conf");
                let template = fs::read_to_string(template).context("reading nginx.conf")?;
                let file = [("PREFIX", prefix), ("ADDRESS", &listen), ("HOST", host)];
                let file = file.iter().fold(template, |file, (name, value)| file.replace(name, value));
                fs::write(directory.join("nginx.conf"), file).context("writing nginx.conf")?;
                (programs.nginx.as_path(), vec!["-p", prefix, "-c", "nginx.conf", "-e", "stderr"])
            }
            Self::Go => (programs.go_server.as_path(), vec![listen.as_str(), host]),
            Self::Loop => (programs.epoll_loop.as_path(), vec![ip.as_str(), &port, host]),
            // It logs each request; reading the log would take processor time from the benchmark.
            Self::Python => {
                let script = r#"exec "$@" 2>/dev/null"#;
                (Path::new("sh"), vec!["-c", script, "sh", "python3", &python, &ip, &port])
            }
        };
        let mut command = core.command(program);
        command.args(arguments).current_dir(directory);
        Ok(command)
    }
}

/// A running server. When dropped, it ends with all its processes.
pub(super) struct Server {
    pub(super) kind: Kind,
    address: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Server {
    /// Starts a server with additional `arguments`, and waits for its first answer.
    pub(super) fn start(kind: Kind, programs: &Programs, core: Core, arguments: &[&str]) -> Result<Self> {
        let (mut server, began) = Self::spawn(kind, programs, core, arguments)?;
        server.wait_for_answer(began)?;
        Ok(server)
    }

    /// Measures the time from start to first answer. The client polls on another core, so that it does not take the
    /// server's time.
    pub(super) fn time_start(kind: Kind, programs: &Programs) -> Result<Duration> {
        let (mut server, began) = Self::spawn(kind, programs, Core::ANY, &[])?;
        let _separate = SeparateCores::pin(&[server.process.pid()])?;
        server.wait_for_answer(began)?;
        Ok(began.elapsed())
    }

    /// Starts a server; the second value is the time of the start.
    fn spawn(kind: Kind, programs: &Programs, core: Core, arguments: &[&str]) -> Result<(Self, Instant)> {
        let directory = tempfile::tempdir().context("creating a directory for a server")?;
        let address = Loopback::new().free()?;
        let mut command = kind.command(programs, core, address, directory.path())?;
        command.args(arguments);
        let began = Instant::now();
        let process = Process::spawn(kind.name(), &mut command, SpawnOptions::default())?;
        Ok((Self { kind, address, process, _directory: directory }, began))
    }

    /// Polls without a pause, which would add to the measured time.
    fn wait_for_answer(&mut self, began: Instant) -> Result<()> {
        while get(self.address).is_err() {
            let name = self.kind.name();
            if let Some(status) = self.process.try_wait()? {
                bail!("{name} exited ({status})\n{}", self.process.tail());
            }
            ensure!(began.elapsed() < TIMEOUT, "no answer from {name}\n{}", self.process.tail());
        }
        Ok(())
    }

    /// Fails if the answer differs from that of the other servers.
    pub(super) fn check(&self, host: &str) -> Result<()> {
        let answer = http::get_ok(&self.url())?;
        let expected = format!("Pong from {host}\n");
        let name = self.kind.name();
        ensure!(answer.body == expected, "{name}: expected the answer {expected:?}, got {:?}", answer.body);
        Ok(())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Processor time of all its processes.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        self.pids().into_iter().map(|pid| Ok(usage(pid)?.cpu)).sum()
    }

    /// Resident memory of its largest process, in KiB. A sum would count shared pages twice.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let sizes = self.pids().into_iter().map(resident_kib).collect::<Result<Vec<_>>>()?;
        sizes.into_iter().max().context("a server has at least one process")
    }

    fn pids(&self) -> Vec<u32> {
        let pid = self.process.pid();
        [pid].into_iter().chain(descendants(pid).iter().map(ProcessHandle::pid)).collect()
    }
}

/// Ends the server through its main process, since workers may not carry the variable by which the harness finds
/// processes.
impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.terminate(TIMEOUT) {
            eprintln!("stopping {}: {error:#}", self.kind.name());
        }
    }
}

/// Sends a request and waits for the first bytes of the response, which must have status 200.
fn get(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    if line.ends_with(b" 200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
