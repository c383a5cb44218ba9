//! The service's process: started, signalled, and how it ended.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use cli::{Failure, reason};
use rustix::process::{Pid, Signal, WaitStatus, kill_process, kill_process_group};
use tracing::{debug, info};

use crate::signals;

/// The shells' exit codes for a command that cannot be executed, and for one that is not there.
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// The service's process, which has not been waited for: its PID is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pid: Pid,
    group: Group,
}

/// How the service's process stands to its process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// It is in the sidecar's.
    Shared,
    /// It leads one, which is stopped and continued as a whole, as a terminal's jobs are. All other signals are for
    /// the process alone.
    Job,
    /// It leads one that gets all signals.
    Whole,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
}

impl Child {
    /// Starts `command`, with no signal blocked and none ignored, whoever had started the sidecar in what way.
    #[allow(unsafe_code)]
    pub(crate) fn spawn(command: &[OsString], group: Group) -> Result<Self, Failure> {
        let mut service = build(command);
        if group != Group::Shared {
            service.process_group(0);
        }
        // SAFETY: between fork and exec `clean` makes system calls, and nothing else.
        unsafe { service.pre_exec(signals::clean) };
        let child = service.spawn().map_err(|error| failure(command, &error))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        pid.map(|pid| Self { pid, group })
            .ok_or_else(|| Failure::new("starting the service: it has no process ID"))
    }

    pub(crate) fn pid(self) -> Pid {
        self.pid
    }

    /// Passes a signal on.
    pub(crate) fn signal(self, signal: Signal) {
        let to_all = match self.group {
            Group::Shared => false,
            Group::Job => signals::is_job_control(signal),
            Group::Whole => true,
        };
        let sent = if to_all { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
        match sent {
            Ok(()) if signal == Signal::WINCH || signals::is_job_control(signal) => {
                debug!(signal = signals::name(signal), "signal passed on");
            }
            Ok(()) => info!(signal = signals::name(signal), "signal passed on"),
            Err(error) => debug!(signal = signals::name(signal), %error, "signal not passed on"),
        }
    }
}

impl Ended {
    pub(crate) fn of(status: WaitStatus) -> Option<Self> {
        status.exit_status().map(Self::Exited).or_else(|| status.terminating_signal().map(Self::Killed))
    }

    /// The code that the sidecar exits with in turn.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// Replaces this process by `command`. It returns only when that fails.
pub(crate) fn replace(command: &[OsString]) -> Result<ExitCode, Failure> {
    Err(failure(command, &build(command).exec()))
}

fn build(command: &[OsString]) -> Command {
    let mut built = Command::new(&command[0]);
    built.args(&command[1..]);
    built
}

fn failure(command: &[OsString], error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_NOT_EXECUTABLE,
    };
    Failure::with_code(code, format!("starting {}: {}", command[0].display(), reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_process_gives_the_shells_exit_code() {
        assert_eq!(Ended::Exited(0).code(), 0);
        assert_eq!(Ended::Exited(255).code(), 255);
        assert_eq!(Ended::Killed(15).code(), 143);
        assert_eq!(Ended::Killed(9).code(), 137);
    }
}
