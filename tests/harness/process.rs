//! A program that was started here, and does not outlive its owner.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

use crate::eventually::{Outcome, eventually};
use crate::log::Log;
use crate::proc;

pub use rustix::process::Signal;

/// Lines of a log that a failing test shows.
const TAIL: usize = 60;

/// How long the kernel may take to end what was killed.
const GONE: Duration = Duration::from_secs(5);

/// Set to a value of its own for each [`Process`], and inherited by what that starts, which can so be found even after
/// its parent has gone.
const MARK: &str = "SWARMLINGS_STARTED_BY";

/// How a [`Process`] stands to the terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpawnOptions {
    /// Copy each line of the log to stderr, behind the process's name.
    pub echo: bool,
    /// Keep the terminal's Ctrl-C away from it, for an owner that ends it in order. Without one, Ctrl-C is what ends
    /// the process with its owner.
    pub own_group: bool,
}

/// A command for one of the project's programs. They take settings from the environment; those of the user's shell are
/// not for them.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let is_setting = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        ["AGENT_", "HUB_", "LOAD_", "SERVICE_", "SIDECAR_"]
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command
}

/// A running program with its log. Dropped, it is killed along with whatever it started.
pub struct Process {
    name: String,
    mark: String,
    own_group: bool,
    child: Child,
    status: Option<ExitStatus>,
    log: Log,
}

impl Process {
    /// Starts `command` without input; what it writes to stdout and stderr goes to the log.
    pub fn spawn(name: &str, command: &mut Command, options: SpawnOptions) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let program = command.get_program().to_owned();
        let mark = format!("{}.{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut spawn = || -> io::Result<(Child, io::PipeReader)> {
            let (reader, writer) = io::pipe()?;
            command.env(MARK, &mark).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
            if options.own_group {
                command.process_group(0);
            }
            let child = command.spawn();
            // The command keeps its ends of the pipe, and the log would never end.
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Ok((child?, reader))
        };
        let (child, output) = spawn().with_context(|| format!("starting {name} ({})", program.display()))?;
        let log = Log::read(output, options.echo.then(|| name.to_owned()));
        Ok(Self { name: name.to_owned(), mark, own_group: options.own_group, child, status: None, log })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Sends `signal`; nothing happens if it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        // Not reaped yet, so the number is still its own.
        proc::send(self.pid(), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Sends `signal` to it and all others of its group, as a terminal does. It must have [`SpawnOptions::own_group`].
    pub fn signal_group(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.own_group, "signalling {} and its group: it shares this process's own", self.name);
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        proc::send_to_group(self.pid(), signal)
            .with_context(|| format!("signalling {} and its group", self.name))
    }

    /// How it has ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?;
        }
        Ok(self.status)
    }

    /// Waits for its end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        eventually(timeout, || self.try_wait()?.with_context(|| format!("{name} still runs")))
    }

    /// Waits for `condition`, and no longer once the process has ended: that is an error with the log's tail.
    pub fn wait_until<O: Outcome>(
        &mut self,
        timeout: Duration,
        mut condition: impl FnMut() -> O,
    ) -> Result<O::Value> {
        let look = || -> Result<Option<O::Value>> {
            if self.try_wait()?.is_some() {
                return Ok(None);
            }
            condition().settle().map(Some).map_err(Error::msg)
        };
        let value = eventually(timeout, look).with_context(|| format!("waiting for {}", self.name))?;
        match (value, self.status) {
            (Some(value), _) => Ok(value),
            (None, Some(status)) => bail!("{} has ended ({status})\n{}", self.name, self.tail()),
            (None, None) => unreachable!("without a value there is a status"),
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(timeout)
    }

    /// Kills it and whatever it started, and returns when all are gone. If it has ended by itself, what it left
    /// behind is killed.
    pub fn kill(&mut self) -> Result<()> {
        let started = proc::with_environment(MARK, &self.mark);
        if self.try_wait()?.is_none() {
            self.child.kill().with_context(|| format!("killing {}", self.name))?;
        }
        for task in started {
            task.signal(Signal::KILL);
        }
        self.wait(GONE)?;
        // Looked for again, as it may have started more in between.
        eventually(GONE, || {
            let left = proc::with_environment(MARK, &self.mark);
            for task in &left {
                task.signal(Signal::KILL);
            }
            left.is_empty()
        })
        .with_context(|| format!("killing what {} had started", self.name))
    }

    /// The log's tail under a heading, for a message about a failure.
    pub fn tail(&self) -> String {
        format!("--- {} (pid {}), its last lines:\n{}", self.name, self.pid(), self.log.tail(TAIL))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
        if thread::panicking() {
            eprint!("{}", self.tail());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        let options = SpawnOptions::default();
        Process::spawn("shell", Command::new("sh").args(["-c", script]), options).unwrap()
    }

    #[test]
    fn both_outputs_are_kept_and_the_log_ends_with_the_process() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        assert_eq!(process.wait(LONG).unwrap().code(), Some(3));
        process.log().wait_for_end(LONG).unwrap();
        assert_eq!(process.log().lines(), ["out", "err"]);
    }

    #[test]
    fn what_a_dropped_process_had_started_is_gone_too() {
        let process = shell("sleep 60 & echo started; wait");
        process.log().wait_for("started", LONG).unwrap();
        let child = proc::children(process.pid())[0];
        assert!(child.is_alive());
        drop(process);
        assert!(!child.is_alive());
    }

    #[test]
    fn what_outlives_a_process_is_gone_once_that_is_dropped() {
        let mut process = shell("sleep 60 & echo $!");
        process.wait(LONG).unwrap();
        let orphans = proc::with_environment(MARK, &process.mark);
        assert_eq!(orphans.len(), 1);
        drop(process);
        assert!(!orphans[0].is_alive());
    }

    #[test]
    fn a_process_that_does_not_end_is_named() {
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        process.log().wait_for("ready", LONG).unwrap();
        let error = process.terminate(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "after 50ms: shell still runs");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error =
            Process::spawn("hub", &mut Command::new("/nowhere/hub"), SpawnOptions::default()).err().unwrap();
        assert_eq!(error.to_string(), "starting hub (/nowhere/hub)");
    }
}
