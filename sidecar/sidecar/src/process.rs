//! Duties of PID 1: start the service, forward signals to it, and reap every process that ends. Only this module
//! waits for processes; a second place would steal exit statuses.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use cli::{Failure, reason};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, wait,
};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::args::RunArgs;
use crate::signals::{self, Signals};
use crate::terminal::{self, Terminal};

/// Exit codes of a shell for a command that cannot be executed, and for one that does not exist.
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// Time for orphans to end after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The service's process and the signals that are sent to the sidecar.
pub(crate) struct Process {
    pub(crate) child: Child,
    signals: Signals,
    terminal: Option<Terminal>,
}

/// Event that the sidecar has to act on. All others are handled here.
#[derive(Debug)]
pub(crate) enum Event {
    /// TERM, INT or QUIT arrived.
    Stop(Signal),
    /// The service ended.
    Exited(ExitStatus),
}

/// The service's child process. It has not been waited for, so its PID cannot have been reused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    group: Group,
}

/// Process group of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// The sidecar's group.
    Shared,
    /// Its own group. Stopping and continuing affects the whole group, like a shell's job; other signals go to the process
    /// alone.
    Job,
    /// Its own group, which gets all signals.
    Whole,
}

impl Process {
    /// Starts the service, after catching signals and becoming the parent of orphans.
    pub(crate) fn start(args: &RunArgs) -> Result<Self, Failure> {
        let signals = Signals::catch().map_err(|error| Failure::new(format!("catching signals: {error}")))?;
        // PID 1 adopts orphans anyway.
        if !getpid().is_init()
            && let Err(error) = set_child_subreaper(Some(getpid()))
        {
            debug!(%error, "orphans are adopted by PID 1 instead of the sidecar");
        }
        let terminal = Terminal::controlling();
        let group = match &terminal {
            _ if args.group => Group::Whole,
            Some(_) => Group::Job,
            None => Group::Shared,
        };
        Ok(Self { child: Child::spawn(&args.command, group)?, signals, terminal })
    }

    /// Waits for the next event. Meanwhile it forwards other signals and reaps orphans. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match self.signals.next().await {
                Signal::CHILD => {
                    let Some(status) = reap(self.child.pid) else { continue };
                    let Some(number) = status.stopped_signal() else {
                        if let Some(terminal) = &self.terminal {
                            terminal.take_back(self.child);
                        }
                        return Event::Exited(status);
                    };
                    let Some(signal) = Signal::from_named_raw(number) else { continue };
                    debug!(signal = signals::name(signal), "service stopped");
                    if let Some(terminal) = &self.terminal {
                        terminal.service_stopped(self.child, signal);
                    }
                }
                signal if signals::ends_service(signal) => return Event::Stop(signal),
                signal => {
                    self.child.signal(signal);
                    if signal == Signal::TSTP && self.terminal.is_some() {
                        terminal::suspend_with(self.child);
                    }
                }
            }
        }
    }

    /// Kills all processes that the service left behind, so that none outlives the task. As PID 1 there is nothing to
    /// do: the kernel kills them. Orphans are children of this process; killing one may bring its own children here,
    /// so it repeats.
    pub(crate) async fn kill_orphans(mut self) {
        if getpid().is_init() {
            return;
        }
        let all = async {
            loop {
                reap(self.child.pid);
                let orphans = children().unwrap_or_default();
                if orphans.is_empty() {
                    return;
                }
                for pid in orphans {
                    debug!(pid = pid.as_raw_nonzero(), "orphan killed");
                    // It fails only for a process that has ended already.
                    let _ = kill_process(pid, Signal::KILL);
                }
                while self.signals.next().await != Signal::CHILD {}
            }
        };
        if timeout(KILL_TIMEOUT, all).await.is_err() {
            warn!("orphans still running after SIGKILL");
        }
    }
}

impl Child {
    /// Starts `command` with no signal blocked or ignored, whatever the sidecar inherited.
    #[allow(unsafe_code)]
    fn spawn(command: &[OsString], group: Group) -> Result<Self, Failure> {
        let mut service = build(command);
        if group != Group::Shared {
            service.process_group(0);
        }
        // SAFETY: between fork and exec `reset_all` only makes system calls.
        unsafe { service.pre_exec(signals::reset_all) };
        let child = service.spawn().map_err(|error| start_failure(command, &error))?;
        Ok(Self { pid: Pid::from_child(&child), group })
    }

    /// Sends a signal to the service, and to its process group where that is asked for.
    pub(crate) fn signal(self, signal: Signal) {
        let to_group = match self.group {
            Group::Shared => false,
            Group::Job => signals::is_job_control(signal),
            Group::Whole => true,
        };
        let sent =
            if to_group { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
        let name = signals::name(signal);
        match sent {
            Ok(()) if signal == Signal::WINCH || signals::is_job_control(signal) => {
                debug!(signal = name, "signal forwarded");
            }
            Ok(()) => info!(signal = name, "signal forwarded"),
            Err(error) => debug!(signal = name, %error, "signal not forwarded"),
        }
    }
}

/// Replaces this process by `command`. Returns only on failure.
pub(crate) fn exec(command: &[OsString]) -> Result<ExitCode, Failure> {
    Err(start_failure(command, &build(command).exec()))
}

/// Returns the sidecar's exit code for the service's exit status, as a shell does: 128+N for signal N.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn build(command: &[OsString]) -> Command {
    let mut built = Command::new(&command[0]);
    built.args(&command[1..]);
    built
}

fn start_failure(command: &[OsString], error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_NOT_EXECUTABLE,
    };
    Failure::with_code(code, format!("starting {}: {}", command[0].display(), reason(error)))
}

/// Reaps every process that has ended. Returns the status of the service if it ended or stopped.
fn reap(service: Pid) -> Option<ExitStatus> {
    let mut latest = None;
    // Not `waitpid(None, …)`, which leaves out other process groups. It fails if there are no children at all.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        if pid == service {
            latest = Some(ExitStatus::from_raw(status.as_raw()));
        } else if !status.stopped() {
            debug!(pid = pid.as_raw_nonzero(), "orphan reaped");
        }
    }
    latest
}

/// Returns the children of all threads of this process.
fn children() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread that has ended meanwhile has no children.
        let list = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        pids.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_a_shell() {
        let code = |raw| exit_code(ExitStatus::from_raw(raw));
        assert_eq!(code(0), 0);
        assert_eq!(code(255 << 8), 255);
        assert_eq!(code(15), 143);
        assert_eq!(code(9), 137);
    }
}
