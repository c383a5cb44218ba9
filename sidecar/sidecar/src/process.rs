//! Duties of PID 1: start the service, forward signals to it, and reap every process that ends. Only this module
//! waits for processes; a second place would steal exit statuses.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use cli::{Failure, reason};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, wait,
};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::after;
use crate::args::RunArgs;
use crate::interpreter;
use crate::signals::{self, Signals};
use crate::status::SharedStatus;
use crate::terminal::Terminal;

/// Exit codes of a shell for a command that cannot be executed, and for one that does not exist.
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// Time for leftover processes to end after SIGTERM.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// Time for leftover processes to end after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The service's process and the signals that are sent to the sidecar.
pub(crate) struct Process {
    pub(crate) child: Child,
    signals: Signals,
    terminal: Option<Terminal>,
    stop_signal: Option<Signal>,
}

/// Event that the sidecar has to act on. All others are handled here.
#[derive(Debug)]
pub(crate) enum Event {
    /// A stop signal arrived; the service has to get this one.
    Stop(Signal),
    /// The service ended.
    Exited(ExitStatus),
}

/// The service's child process, which leads a process group of its own. It has not been waited for, so its PID cannot
/// have been reused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// The whole group gets all signals, not only those of job control.
    signals_to_group: bool,
    /// The whole group gets INT and QUIT, as from the keyboard.
    pub(crate) on_terminal: bool,
}

impl Process {
    /// Starts the service, after becoming the parent of orphans.
    pub(crate) fn start(args: &RunArgs, signals: Signals) -> Result<Self, Failure> {
        // PID 1 adopts orphans anyway.
        if !getpid().is_init()
            && let Err(error) = set_child_subreaper(Some(getpid()))
        {
            debug!(%error, "orphans are adopted by PID 1 instead of the sidecar");
        }
        let terminal = Terminal::controlling();
        let child = Child::spawn(&args.command, args.group, terminal.is_some())?;
        if let Some(terminal) = terminal.as_ref().filter(|_| io::stdin().is_terminal()) {
            terminal.give(child);
        }
        Ok(Self { child, signals, terminal, stop_signal: args.stop_signal })
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
                signal if self.is_stop(signal) => return Event::Stop(self.stop_signal.unwrap_or(signal)),
                signal => {
                    self.child.signal(signal);
                    if signal == Signal::TSTP
                        && let Some(terminal) = &self.terminal
                    {
                        terminal.suspend_with(self.child);
                    }
                }
            }
        }
    }

    fn is_stop(&self, signal: Signal) -> bool {
        is_stop(signal, self.stop_signal, || self.terminal.is_some())
    }

    /// Ends all processes that the service left behind, so that none outlives the task: with TERM, and after
    /// [`LEFTOVER_GRACE`] or at a stop signal with KILL.
    pub(crate) async fn end_leftovers(mut self) {
        if !self.end_children(Signal::TERM, LEFTOVER_GRACE).await
            && !self.end_children(Signal::KILL, KILL_TIMEOUT).await
        {
            warn!("processes that the service left behind are still running after SIGKILL");
        }
    }

    /// Sends `signal` once to each child, and returns whether all have ended within `limit`. A child that ends may bring
    /// its own children here, so it repeats.
    async fn end_children(&mut self, signal: Signal, limit: Duration) -> bool {
        let all = async {
            let mut signalled = Vec::new();
            loop {
                reap(self.child.pid);
                let leftovers = children().unwrap_or_default();
                if leftovers.is_empty() {
                    return true;
                }
                for pid in leftovers.iter().filter(|pid| !signalled.contains(*pid)) {
                    debug!(pid = pid.as_raw_nonzero(), signal = signals::name(signal), "leftover process");
                    // It fails only for a process that has ended already, or that belongs to another user.
                    let _ = kill_process(*pid, signal);
                }
                signalled = leftovers;
                loop {
                    match self.signals.next().await {
                        Signal::CHILD => break,
                        stop if signal != Signal::KILL && self.is_stop(stop) => return false,
                        _ => {}
                    }
                }
            }
        };
        timeout(limit, all).await.unwrap_or(false)
    }
}

impl Child {
    /// Starts `command` in a process group of its own, with no signal blocked or ignored, whatever the sidecar inherited;
    /// only HUP stays ignored, as `nohup` asks.
    #[allow(unsafe_code)]
    fn spawn(command: &[OsString], signals_to_group: bool, on_terminal: bool) -> Result<Self, Failure> {
        let mut service = build(command);
        service.process_group(0);
        // SAFETY: between fork and exec `reset_all` only makes system calls.
        unsafe { service.pre_exec(signals::reset_all) };
        let child = service.spawn().map_err(|error| start_failure(command, &error))?;
        Ok(Self { pid: Pid::from_child(&child), signals_to_group, on_terminal })
    }

    /// Sends a signal to the service, or to its process group: job control, the keyboard's signals on a terminal, and
    /// with --group all signals.
    pub(crate) fn signal(self, signal: Signal) {
        let to_group = self.signals_to_group
            || signals::is_job_control(signal)
            || self.on_terminal && [Signal::INT, Signal::QUIT].contains(&signal);
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

/// Returns whether the signal asks the service to end. WINCH does so for Apache, and on a terminal it only tells of another
/// size.
pub(crate) fn is_stop(signal: Signal, stop_signal: Option<Signal>, on_terminal: impl Fn() -> bool) -> bool {
    let is_default = || signal == Signal::WINCH && !on_terminal();
    signals::ends_process(signal) || stop_signal.map_or_else(is_default, |stop| stop == signal)
}

/// Runs the service without a hub, as an init: forwards signals, reaps processes, and ends those that are left.
pub(crate) async fn run_as_init(args: &RunArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::catch()?;
    if let Some(signal) = after::wait(args, None, &SharedStatus::default(), &mut signals).await? {
        return Ok(ExitCode::from(signal_code(signal)));
    }
    let mut process = Process::start(args, signals)?;
    let status = loop {
        match process.next().await {
            Event::Exited(status) => break status,
            Event::Stop(signal) => process.child.signal(signal),
        }
    };
    process.end_leftovers().await;
    Ok(ExitCode::from(exit_code(status)))
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

/// Returns the exit code for a signal that arrived before the service started: that of a service that it ends.
pub(crate) fn signal_code(signal: Signal) -> u8 {
    exit_code(ExitStatus::from_raw(signal.as_raw()))
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
    let cause = match interpreter::missing(&command[0]).filter(|_| code == EXIT_NOT_FOUND) {
        Some(interpreter) => format!("its interpreter {interpreter:?} does not exist; add it to the image"),
        None if code == EXIT_NOT_FOUND && !command[0].as_bytes().contains(&b'/') => {
            "no such program in the directories of PATH".to_owned()
        }
        None if error.kind() == io::ErrorKind::PermissionDenied => {
            "permission denied; it has to be a file that this user may execute".to_owned()
        }
        None => reason(error),
    };
    Failure::with_code(code, format!("starting {}: {cause}", command[0].display()))
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
