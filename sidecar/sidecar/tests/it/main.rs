//! Tests of the `sidecar` binary, with shell scripts as services and a scripted hub.

/// A scripted hub, a service to probe, and the processes.
mod support {
    pub(crate) mod hub;
    pub(crate) mod proc;
    pub(crate) mod service;
    pub(crate) mod sidecar;

    /// Waits until `condition` returns a value. Fails the test, naming `what`, if it never does.
    #[track_caller]
    pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
        harness::eventually(harness::TIMEOUT, condition).unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

/// `--after`: what the service waits for before it starts.
mod after;
/// Start and exit code of the service.
mod child;
/// Signals to a process group.
mod group;
/// `sidecar healthcheck`.
mod healthcheck;
/// Several hubs behind one name.
mod hubs;
/// Wake-ups of an idle sidecar.
mod idle;
/// PID 1 in a PID namespace.
mod init;
/// Registration and renewal of the lease.
mod lease;
/// Names and addresses of the hub.
mod network;
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
