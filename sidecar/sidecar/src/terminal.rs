//! The terminal that a task may have: `docker run -it`, or a try in a shell.
//!
//! Two things are wanted of it that contradict each other. Ctrl-C has to reach a server only after the withdrawal, so
//! it must come to the sidecar, to whose group the terminal's foreground must belong. A shell has to read, and to
//! hand the foreground to its jobs, for which it must be the shell's own. tini and dumb-init give the foreground to
//! every service, and never hear of a Ctrl-C.
//!
//! Here the service says which it is. It starts in a group of its own, in the background, where a server that only
//! writes may stay for good. The kernel stops whatever reads or sets the terminal from there (TTIN, TTOU); the sidecar
//! sees that, gives the foreground to the service's group, and continues it. From then on keys are the service's
//! affair: Ctrl-C goes to it, or to a job of its own, and to nobody else.
//!
//! Ctrl-Z stops service and sidecar as one job of the shell that has started them, and `fg` continues both. Where no
//! such shell is, as in a container, it has no effect, just as on any other PID 1.

use std::fs::{File, OpenOptions};

use rustix::io;
use rustix::process::{Pid, Signal};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use tracing::{debug, warn};

use crate::child::Child;
use crate::signals;

/// The controlling terminal.
pub(crate) struct Terminal {
    file: File,
    /// The sidecar's own group, which is to have the foreground when the service has not.
    own: Pid,
}

impl Terminal {
    /// The one that Ctrl-C comes from, if there is one; stdin may be something else. A sidecar whose group belongs to
    /// another PID namespace goes without, since there it has no number: `unshare --pid` in a shell makes such.
    pub(crate) fn controlling() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        Some(Self { file, own: own_group()? })
    }

    /// Sees to a service that `signal` has stopped.
    pub(crate) fn stopped(&self, service: Child, signal: Signal) {
        let Ok(foreground) = tcgetpgrp(&self.file) else { return };
        let wants_it = [Signal::TTIN, Signal::TTOU].contains(&signal);
        if wants_it && [self.own, service.pid()].contains(&foreground) {
            match self.give(service.pid()) {
                Ok(()) => service.signal(Signal::CONT),
                // Continued without it, it would be stopped again, and so on.
                Err(error) => warn!(%error, "the service cannot be given the terminal"),
            }
        } else if wants_it {
            // The sidecar is in the background itself. When its shell continues it, CONT comes, and is passed on.
            suspend();
        } else if signal == Signal::TSTP && foreground == service.pid() {
            // The sidecar was not asked: Ctrl-Z went to the service alone.
            follow(service);
        }
    }

    /// Takes back what the ended service has left.
    pub(crate) fn take_back(&self, service: Pid) {
        if tcgetpgrp(&self.file) == Ok(service) {
            // It fails when the terminal is gone, and then nobody needs it.
            let _ = self.give(self.own);
        }
    }

    /// Makes `group` the terminal's foreground. From the background that is allowed as long as TTOU is blocked.
    fn give(&self, group: Pid) -> io::Result<()> {
        debug!(group = group.as_raw_nonzero(), "the terminal is given away");
        tcsetpgrp(&self.file, group)
    }
}

/// Stops the sidecar too, after its service; and continues that afterwards.
pub(crate) fn follow(service: Child) {
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
    // SAFETY: it returns a number, and does nothing else. rustix' call must not return 0, which this one may.
    Pid::from_raw(unsafe { libc::getpgrp() })
}
