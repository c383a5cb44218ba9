//! A server that runs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::proc::{Task, descendants, resident_kib, usage};
use harness::{Loopback, Process, SpawnOptions, http};
use tempfile::TempDir;

use super::peer::Peer;
use super::programs::Programs;
use crate::cores::{Apart, Core};

/// Nothing here takes that long unless something is wrong.
const SOON: Duration = Duration::from_secs(10);

/// A running server. Dropped, it ends with all its processes.
pub(super) struct Server {
    pub(super) peer: Peer,
    address: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Server {
    /// Starts it with `arguments` more, and returns when it has answered.
    pub(super) fn start(peer: Peer, programs: &Programs, core: Core, arguments: &[&str]) -> Result<Self> {
        let (mut server, began) = Self::spawn(peer, programs, core, arguments)?;
        server.wait_for_answer(began)?;
        Ok(server)
    }

    /// How long it takes from its start to its first answer. Whoever asks again and again does so on another core: it
    /// would otherwise take the server's time, and not the same from all.
    pub(super) fn time_start(peer: Peer, programs: &Programs) -> Result<Duration> {
        let (mut server, began) = Self::spawn(peer, programs, Core::ANY, &[])?;
        let _apart = Apart::keep(server.process.pid())?;
        server.wait_for_answer(began)?;
        Ok(began.elapsed())
    }

    /// Starts it, and says when that was.
    fn spawn(peer: Peer, programs: &Programs, core: Core, arguments: &[&str]) -> Result<(Self, Instant)> {
        let directory = tempfile::tempdir().context("creating a directory for a server")?;
        let address = Loopback::new().free()?;
        let mut command = peer.command(programs, core, address, directory.path())?;
        command.args(arguments);
        let began = Instant::now();
        let process = Process::spawn(peer.name(), &mut command, SpawnOptions::default())?;
        Ok((Self { peer, address, process, _directory: directory }, began))
    }

    /// Asks again and again: a pause would be part of what is measured.
    fn wait_for_answer(&mut self, began: Instant) -> Result<()> {
        while ask(self.address).is_err() {
            let shown = self.peer.name();
            if let Some(status) = self.process.try_wait()? {
                bail!("{shown} has ended ({status})\n{}", self.process.tail());
            }
            ensure!(began.elapsed() < SOON, "{shown} does not answer\n{}", self.process.tail());
        }
        Ok(())
    }

    /// Fails unless it answers what all of them do.
    pub(super) fn check(&self, host: &str) -> Result<()> {
        let answer = http::well(&self.url())?;
        let expected = format!("Pong from {host}\n");
        ensure!(answer.body == expected, "{} answers {:?}, not {expected:?}", self.peer.name(), answer.body);
        Ok(())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The processor time that all its processes have used.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        self.pids().into_iter().map(|pid| Ok(usage(pid)?.cpu)).sum()
    }

    /// The memory of its largest process, in KiB: what several have in common would count twice in a sum.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let sizes = self.pids().into_iter().map(resident_kib).collect::<Result<Vec<_>>>()?;
        sizes.into_iter().max().context("a server has a process")
    }

    fn pids(&self) -> Vec<u32> {
        let pid = self.process.pid();
        [pid].into_iter().chain(descendants(pid).iter().map(Task::pid)).collect()
    }
}

/// A worker may not show by its environment, as others do, whom it belongs to: its parent is asked to end it.
impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.terminate(SOON) {
            eprintln!("ending {}: {error:#}", self.peer.name());
        }
    }
}

/// Sends a request and waits for the first bytes of its answer.
fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    if line.ends_with(b" 200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
