//! The real `sidecar` binary, with shell scripts as services and a scripted hub.

/// A hub that records and answers as told, a service to probe, and the sidecar's process.
mod support {
    pub(crate) mod hub;
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

/// Exit codes, the child's signals and what it leaves behind.
mod child;
/// `sidecar healthcheck`.
mod healthcheck;
/// As PID 1 of a namespace of its own.
mod init;
/// How the registration is kept.
mod lease;
/// Wrong flags, wrong input.
mod usage;
/// How the registration is withdrawn.
mod withdrawal;
