//! The process driver: starts a program, keeps its log, and ends it with everything that it started.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};

use crate::eventually::{Outcome, TIMEOUT, eventually};
use crate::log::Log;
use crate::proc;

pub use rustix::process::Signal;

/// Number of log lines that a failing test shows.
const TAIL: usize = 60;

/// Maximum time for the kernel to end a killed process.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Environment variable with a value of its own for each [`Process`]. Descendants inherit it, so they are found even
/// after their parent has exited.
const MARK: &str = "SWARMLINGS_STARTED_BY";

/// Prefixes of the variables that the project's programs read.
const SETTINGS: [&str; 7] = ["AGENT_", "HUB_", "LOAD_", "LOG_", "SERVICE_", "SIDECAR_", "WHOAMI_"];

/// Terminal and log of a [`Process`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SpawnOptions {
    /// Copy each line of the log to stderr, prefixed with the name of the process.
    pub echo: bool,
    /// Use a process group of its own, so that Ctrl-C in the terminal does not reach the process. For owners that
    /// handle Ctrl-C and end the process themselves.
    pub own_group: bool,
    /// Keep stdout out of the log, in [`Process::stdout`].
    pub separate_stdout: bool,
}

/// Files that replace the default streams of a [`Process`].
#[derive(Debug, Default)]
pub struct Streams {
    /// Stdin; `/dev/null` by default.
    pub stdin: Option<OwnedFd>,
    /// Stdout; the log by default.
    pub stdout: Option<OwnedFd>,
    /// Stderr; the log by default.
    pub stderr: Option<OwnedFd>,
}

/// Returns a command for one of the project's programs that does not inherit settings from the user's shell.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let is_setting =
        |name: &OsStr| SETTINGS.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
    for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs `command` until it exits by itself, at most for [`TIMEOUT`].
pub fn run(command: &mut Command) -> Result<Output> {
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let streams = Streams {
        stdout: Some(stdout.try_clone()?.into()),
        stderr: Some(stderr.try_clone()?.into()),
        ..Streams::default()
    };
    let name = command.get_program().display().to_string();
    let status = Process::spawn_with(&name, command, SpawnOptions::default(), streams)?.wait(TIMEOUT)?;
    let read = |mut file: File| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(Output { status, stdout: read(stdout)?, stderr: read(stderr)? })
}

/// Runs `command` without a time limit and returns its stdout. Fails with its output if its exit code is not 0.
pub fn run_ok(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {}", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "running {command:?}: {}\n{stdout}{stderr}", output.status);
    Ok(stdout)
}

/// A running program with its log. Drop kills it and everything that it started, and during a panic shows its log.
pub struct Process {
    name: String,
    mark: String,
    own_group: bool,
    child: Child,
    status: Option<ExitStatus>,
    log: Log,
    stdout: Option<Log>,
}

impl Process {
    /// Starts `command` without input. Its stdout and stderr go to the log.
    pub fn spawn(name: &str, command: &mut Command, options: SpawnOptions) -> Result<Self> {
        Self::spawn_with(name, command, options, Streams::default())
    }

    /// Starts `command` with some of its streams replaced.
    pub fn spawn_with(
        name: &str,
        command: &mut Command,
        options: SpawnOptions,
        streams: Streams,
    ) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let program = command.get_program().to_owned();
        let mark = format!("{}.{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let or_clone = |file: Option<OwnedFd>, writer: &io::PipeWriter| {
            file.map_or_else(|| writer.try_clone().map(Stdio::from), |file| Ok(file.into()))
        };
        let spawn = || -> io::Result<_> {
            let (log, log_writer) = io::pipe()?;
            let stdout = options.separate_stdout.then(io::pipe).transpose()?;
            let stdout_writer = stdout.as_ref().map_or(&log_writer, |(_, writer)| writer);
            command.env(MARK, &mark).stdin(streams.stdin.map_or_else(Stdio::null, Stdio::from));
            command.stdout(or_clone(streams.stdout, stdout_writer)?);
            command.stderr(or_clone(streams.stderr, &log_writer)?);
            if options.own_group {
                command.process_group(0);
            }
            let child = command.spawn();
            // Closes the command's copies of the pipes: the log ends when the process and its descendants close theirs.
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Ok((child?, log, stdout.map(|(reader, _)| reader)))
        };
        let (child, log, stdout) =
            spawn().with_context(|| format!("starting {name} ({})", program.display()))?;
        let read = |pipe| Log::read(pipe, options.echo.then(|| name.to_owned()));
        let (log, stdout) = (read(log), stdout.map(read));
        Ok(Self {
            name: name.to_owned(),
            mark,
            own_group: options.own_group,
            child,
            status: None,
            log,
            stdout,
        })
    }

    /// Name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines written to stdout and stderr so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Lines written to stdout so far; the log without [`SpawnOptions::separate_stdout`].
    pub fn stdout(&self) -> &Log {
        self.stdout.as_ref().unwrap_or(&self.log)
    }

    /// Sends `signal`, unless the process has exited.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        // Not reaped yet, so no other process has this PID.
        proc::send(self.pid(), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Sends `signal` to its process group, as a terminal does. Requires [`SpawnOptions::own_group`].
    pub fn signal_group(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.own_group, "signalling the group of {}: it is this process's own group", self.name);
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        proc::send_to_group(self.pid(), signal)
            .with_context(|| format!("signalling the group of {}", self.name))
    }

    /// Exit status, once the process has exited.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().with_context(|| format!("waiting for {}", self.name))?;
        }
        Ok(self.status)
    }

    /// Waits until the process exits.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        eventually(timeout, || self.try_wait()?.with_context(|| format!("{name} is still running")))
    }

    /// Waits until `condition` holds. Fails at once, with the end of the log, if the process exits first.
    pub fn wait_until<O: Outcome>(
        &mut self,
        timeout: Duration,
        mut condition: impl FnMut() -> O,
    ) -> Result<O::Value> {
        let check = || -> Result<Option<O::Value>> {
            if self.try_wait()?.is_some() {
                return Ok(None);
            }
            condition().into_result().map(Some).map_err(Error::msg)
        };
        let value = eventually(timeout, check).with_context(|| format!("waiting for {}", self.name))?;
        match (value, self.status) {
            (Some(value), _) => Ok(value),
            (None, Some(status)) => bail!("{} has exited ({status})\n{}", self.name, self.tail()),
            (None, None) => unreachable!("without a value there is an exit status"),
        }
    }

    /// Sends SIGTERM and waits until the process exits.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(timeout)
    }

    /// Kills the process and everything that it started, and returns once all of them are gone.
    pub fn kill(&mut self) -> Result<()> {
        let started = proc::with_environment(MARK, &self.mark);
        if self.try_wait()?.is_none() {
            self.child.kill().with_context(|| format!("killing {}", self.name))?;
        }
        for task in started {
            task.signal(Signal::KILL);
        }
        self.wait(KILL_TIMEOUT)?;
        // Searches again: more may have been started in between.
        eventually(KILL_TIMEOUT, || {
            let left = proc::with_environment(MARK, &self.mark);
            for task in &left {
                task.signal(Signal::KILL);
            }
            left.is_empty()
        })
        .with_context(|| format!("killing the descendants of {}", self.name))
    }

    /// The end of the log under a heading, for a message about a failure.
    pub fn tail(&self) -> String {
        let stdout = self.stdout.as_ref().map(|stdout| format!("stdout:\n{}stderr:\n", stdout.tail(TAIL)));
        let (name, pid, log) = (&self.name, self.pid(), self.log.tail(TAIL));
        format!("--- {name} (pid {pid}), last lines:\n{}{log}", stdout.unwrap_or_default())
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

    fn shell(script: &str) -> Process {
        let options = SpawnOptions::default();
        Process::spawn("shell", Command::new("sh").args(["-c", script]), options).unwrap()
    }

    #[test]
    fn log_has_both_outputs_and_ends_with_the_process() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        assert_eq!(process.wait(TIMEOUT).unwrap().code(), Some(3));
        process.log().wait_for_end(TIMEOUT).unwrap();
        assert_eq!(process.log().lines(), ["out", "err"]);
    }

    #[test]
    fn separate_stdout_is_not_in_the_log() {
        let options = SpawnOptions { separate_stdout: true, ..SpawnOptions::default() };
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2"]);
        let mut process = Process::spawn("shell", &mut command, options).unwrap();
        process.wait(TIMEOUT).unwrap();
        process.stdout().wait_for_end(TIMEOUT).unwrap();
        process.log().wait_for_end(TIMEOUT).unwrap();
        assert_eq!(
            (process.stdout().lines(), process.log().lines()),
            (vec!["out".into()], vec!["err".into()])
        );
    }

    #[test]
    fn run_returns_code_and_both_outputs() {
        let output = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn drop_kills_children() {
        let process = shell("sleep 60 & echo started; wait");
        process.log().wait_for("started", TIMEOUT).unwrap();
        let child = proc::children(process.pid())[0];
        assert!(child.is_alive());
        drop(process);
        assert!(!child.is_alive());
    }

    #[test]
    fn drop_kills_children_that_outlived_their_parent() {
        let mut process = shell("sleep 60 & echo $!");
        process.wait(TIMEOUT).unwrap();
        let orphans = proc::with_environment(MARK, &process.mark);
        assert_eq!(orphans.len(), 1);
        drop(process);
        assert!(!orphans[0].is_alive());
    }

    #[test]
    fn timeout_names_the_process() {
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        process.log().wait_for("ready", TIMEOUT).unwrap();
        let error = process.terminate(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "after 50ms: shell is still running");
    }

    #[test]
    fn missing_program_is_named() {
        let error =
            Process::spawn("hub", &mut Command::new("/nowhere/hub"), SpawnOptions::default()).err().unwrap();
        assert_eq!(error.to_string(), "starting hub (/nowhere/hub)");
    }
}
