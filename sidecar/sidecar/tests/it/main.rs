//! The real `sidecar` binary, with shell scripts as services and a scripted hub.

/// A hub that records and answers as told, a service to probe, the sidecar's process, and others as the kernel sees them.
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

/// How the service starts and how it ends.
mod child;
/// Signals for a whole process group.
mod group;
/// `sidecar healthcheck`.
mod healthcheck;
/// What wakes a sidecar that has nothing to do.
mod idle;
/// As PID 1 of a namespace of its own.
mod init;
/// How the registration is kept.
mod lease;
/// What the service leaves behind.
mod orphans;
/// Every signal that a process can hear of.
mod signals;
/// What the service reads and writes, and what it has open.
mod streams;
/// With a controlling terminal.
mod terminal;
/// Wrong flags, wrong input.
mod usage;
/// How the registration is withdrawn.
mod withdrawal;
