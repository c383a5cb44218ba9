//! The controlling terminal of a task: `docker run -it`, or the sidecar in a shell.
//!
//! There are two conflicting needs. Ctrl-C must reach a server only after the withdrawal, so it has to go to the
//! sidecar, and the sidecar's process group has to be in the foreground. A shell reads the terminal and gives
//! the foreground to its jobs, so its own group has to be in the foreground. tini and dumb-init always give the
//! foreground to the service, and do not see Ctrl-C.
//!
//! Here the behaviour of the service decides. It starts in a process group of its own in the background, where a
//! server that only writes can stay. The kernel stops a background process that reads or configures the terminal
//! (TTIN, TTOU). The sidecar then gives the foreground to the service's group and continues it. From then on Ctrl-C
//! goes to the service or its jobs only.
//!
//! Ctrl-Z stops service and sidecar as one job of the shell that started them, and `fg` continues both. Without such
//! a shell, as in a container, Ctrl-Z has no effect, as with any other PID 1.

use std::fs::{File, OpenOptions};

use rustix::io;
use rustix::process::{Pid, Signal};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use tracing::{debug, warn};

use crate::process::Child;
use crate::signals;

/// The controlling terminal.
pub(crate) struct Terminal {
    file: File,
    /// The sidecar's own process group.
    own_group: Pid,
}

impl Terminal {
    /// Opens the controlling terminal. Stdin may be something else. Returns `None` without a terminal, and if the
    /// sidecar's group is in another PID namespace and so has no number here, as with `unshare --pid` in a shell.
    pub(crate) fn controlling() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        Some(Self { file, own_group: own_group()? })
    }

    /// Handles a service that `signal` stopped.
    pub(crate) fn service_stopped(&self, service: Child, signal: Signal) {
        let Ok(foreground) = tcgetpgrp(&self.file) else { return };
        let wants_terminal = [Signal::TTIN, Signal::TTOU].contains(&signal);
        if wants_terminal && [self.own_group, service.pid].contains(&foreground) {
            match self.set_foreground(service.pid) {
                Ok(()) => service.signal(Signal::CONT),
                // Without the terminal it would only be stopped again.
                Err(error) => warn!(%error, "giving the terminal to the service failed"),
            }
        } else if wants_terminal {
            // The sidecar itself is in the background. When its shell continues it, it gets and forwards CONT.
            suspend();
        } else if signal == Signal::TSTP && foreground == service.pid {
            // Ctrl-Z went to the service alone.
            suspend_with(service);
        }
    }

    /// Takes the foreground back from the service that has ended.
    pub(crate) fn take_back(&self, service: Child) {
        if tcgetpgrp(&self.file) == Ok(service.pid) {
            // It fails only if the terminal is gone.
            let _ = self.set_foreground(self.own_group);
        }
    }

    /// Makes `group` the foreground. The background may do so because it blocks TTOU.
    fn set_foreground(&self, group: Pid) -> io::Result<()> {
        debug!(group = group.as_raw_nonzero(), "terminal foreground changed");
        tcsetpgrp(&self.file, group)
    }
}

/// Suspends the sidecar after its stopped service, and continues the service afterwards.
pub(crate) fn suspend_with(service: Child) {
    suspend();
    service.signal(Signal::CONT);
}

fn suspend() {
    debug!("suspended");
    if let Err(error) = signals::suspend() {
        debug!(%error, "not suspended");
    }
}

#[allow(unsafe_code)]
fn own_group() -> Option<Pid> {
    // SAFETY: it only returns a number. Not rustix's call, which must not return 0, as this one may.
    Pid::from_raw(unsafe { libc::getpgrp() })
}
