//! PID 1's duties, and the only place that waits for processes: two would steal each other's exit status.

use std::fs;
use std::io;
use std::time::Duration;

use cli::Failure;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::args::RunArgs;
use crate::child::{Child, Ended, Group};
use crate::signals::{self, Signals};
use crate::terminal::{self, Terminal};

/// How long leftover processes may take to die of SIGKILL.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(1);

/// The service's process together with the signals that are meant for it.
pub(crate) struct Process {
    child: Child,
    signals: Signals,
    terminal: Option<Terminal>,
}

/// What the sidecar has to decide upon; all other signals are dealt with here.
#[derive(Debug)]
pub(crate) enum Event {
    /// TERM, INT or QUIT came.
    Stop(Signal),
    /// The service has ended.
    Ended(Ended),
}

/// What has become of the service.
enum Change {
    Ended(Ended),
    Stopped(Signal),
}

impl Process {
    /// Listens for signals, makes orphans come to the sidecar, and only then starts the service.
    pub(crate) fn start(args: &RunArgs) -> Result<Self, Failure> {
        let signals =
            Signals::install().map_err(|error| Failure::new(format!("listening for signals: {error}")))?;
        if !is_init() {
            // PID 1 is given orphans anyhow. Without this nothing is lost but the sweep.
            if let Err(error) = set_child_subreaper(Some(getpid())) {
                debug!(%error, "orphans go to PID 1");
            }
        }
        let terminal = Terminal::controlling();
        let group = match &terminal {
            _ if args.group => Group::Whole,
            Some(_) => Group::Job,
            None => Group::Shared,
        };
        Ok(Self { child: Child::spawn(&args.command, group)?, signals, terminal })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// The next event. Passes other signals on and reaps orphans while it waits. None is lost when the caller stops
    /// waiting.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match self.signals.next().await {
                Signal::CHILD => match reap(self.child.pid()) {
                    Some(Change::Ended(ended)) => {
                        if let Some(terminal) = &self.terminal {
                            terminal.take_back(self.child.pid());
                        }
                        return Event::Ended(ended);
                    }
                    Some(Change::Stopped(signal)) => {
                        debug!(signal = signals::name(signal), "the service was stopped");
                        if let Some(terminal) = &self.terminal {
                            terminal.stopped(self.child, signal);
                        }
                    }
                    None => {}
                },
                signal if signals::is_stopping(signal) => return Event::Stop(signal),
                signal => {
                    self.child.signal(signal);
                    if signal == Signal::TSTP && self.terminal.is_some() {
                        terminal::follow(self.child);
                    }
                }
            }
        }
    }

    /// Kills what the ended service has left behind, so that nothing outlives the task. For PID 1 the kernel does
    /// so. Leftovers are this process's children by now: theirs become so as they are reaped, round by round.
    pub(crate) async fn sweep(mut self) {
        if is_init() {
            return;
        }
        let all = async {
            loop {
                reap(self.child.pid());
                let leftovers = children().unwrap_or_default();
                if leftovers.is_empty() {
                    return;
                }
                for pid in leftovers {
                    debug!(pid = pid.as_raw_nonzero(), "leftover process killed");
                    // It fails only for one that is dead already.
                    let _ = kill_process(pid, Signal::KILL);
                }
                while self.signals.next().await != Signal::CHILD {}
            }
        };
        if timeout(SWEEP_TIMEOUT, all).await.is_err() {
            warn!("leftover processes did not die in time");
        }
    }
}

/// Reaps whatever has ended, and says what has become of the service.
fn reap(service: Pid) -> Option<Change> {
    let mut change = None;
    // Not `waitpid(None, …)`, which misses those in other process groups. It fails when no child is left at all.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        if pid == service {
            let stopped = || status.stopping_signal().and_then(Signal::from_named_raw).map(Change::Stopped);
            // Nothing comes after the end.
            change = Ended::of(status).map(Change::Ended).or_else(stopped);
        } else if !status.stopped() {
            debug!(pid = pid.as_raw_nonzero(), "orphan reaped");
        }
    }
    change
}

/// The children of all threads of this process.
fn children() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread that has ended since has none.
        let list = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        pids.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    Ok(pids)
}

fn is_init() -> bool {
    getpid().is_init()
}
