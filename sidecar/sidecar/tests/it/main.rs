//! Tests of the `sidecar` binary, with shell scripts as services and a scripted hub.

/// A scripted hub, a service to probe, and the processes.
mod support {
    pub(crate) mod hub;
    pub(crate) mod proc;
    pub(crate) mod service;
    pub(crate) mod sidecar;

    use std::time::{Duration, Instant};

    /// Longer than anything here takes on a busy machine: only a failing test waits so long.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Waits until `condition` is met; fails the test, naming `what`, if it never is.
    #[track_caller]
    pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(Instant::now() < deadline, "{what}: never within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Start and exit code of the service.
mod child;
/// Signals to a process group.
mod group;
/// `sidecar healthcheck`.
mod healthcheck;
/// Wake-ups of an idle sidecar.
mod idle;
/// PID 1 in a PID namespace.
mod init;
/// Registration and renewal of the lease.
mod lease;
/// Processes that the service leaves behind.
mod orphans;
/// Signal forwarding.
mod signals;
/// Standard streams and open files of the service.
mod streams;
/// Controlling terminal.
mod terminal;
/// Command line and environment.
mod usage;
/// Withdrawal when the sidecar stops.
mod withdrawal;
