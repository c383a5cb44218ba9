//! The controlling terminal of a task: `docker run -it`, or the sidecar in a shell.
//!
//! The service is in a process group of its own. If stdin is the terminal, that group gets the foreground at the start, so
//! Ctrl-C reaches all its processes and a shell has job control, as under tini. The sidecar does not see Ctrl-C, and
//! releases the lease when the service has exited.
//!
//! If stdin is something else, the service starts in the background: other programs of a pipeline, or a program that
//! starts several sidecars, may use the terminal. The kernel stops a background process that reads or configures the
//! terminal (TTIN, TTOU). The sidecar then gives the foreground to the service's group and continues it.
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
    /// The sidecar's own process group. `None` if it is in another PID namespace and so has no number here, as with
    /// `unshare --pid` in a shell.
    own_group: Option<Pid>,
}

impl Terminal {
    /// Opens the controlling terminal. Stdin may be something else.
    pub(crate) fn controlling() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        Some(Self { file, own_group: own_group() })
    }

    /// Gives the foreground to the service if the sidecar has it.
    pub(crate) fn give(&self, service: Child) {
        if self.foreground() == self.own_group
            && let Err(error) = self.set_foreground(service.pid)
        {
            warn!(%error, "giving the terminal to the service failed");
        }
    }

    /// Handles a service that `signal` stopped.
    pub(crate) fn service_stopped(&self, service: Child, signal: Signal) {
        let wants_terminal = [Signal::TTIN, Signal::TTOU].contains(&signal);
        if wants_terminal {
            self.give(service);
        }
        let has_foreground = self.foreground() == Some(service.pid);
        if wants_terminal && has_foreground {
            service.signal(Signal::CONT);
        } else if wants_terminal {
            // The sidecar itself is in the background. When its shell continues it, it gets and forwards CONT.
            suspend();
        } else if signal == Signal::TSTP && has_foreground {
            // Ctrl-Z went to the service alone.
            self.suspend_with(service);
        }
    }

    /// Suspends the sidecar after its stopped service, and continues the service afterwards.
    pub(crate) fn suspend_with(&self, service: Child) {
        let had_foreground = self.foreground() == Some(service.pid);
        suspend();
        if had_foreground {
            self.give(service);
        }
        service.signal(Signal::CONT);
    }

    /// Takes the foreground back from the service that has ended.
    pub(crate) fn take_back(&self, service: Child) {
        if let Some(own) = self.own_group
            && self.foreground() == Some(service.pid)
        {
            // It fails only if the terminal is gone.
            let _ = self.set_foreground(own);
        }
    }

    fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(&self.file).ok()
    }

    /// Makes `group` the foreground. The background may do so because it blocks TTOU.
    fn set_foreground(&self, group: Pid) -> io::Result<()> {
        debug!(group = group.as_raw_nonzero(), "terminal foreground changed");
        tcsetpgrp(&self.file, group)
    }
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
