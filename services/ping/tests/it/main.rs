//! The program `ping`, on behalf of every service: what these tests see comes from the runtime.

mod process;

/// Flags, environment, `--help` and `--version`.
mod command_line;
/// Shutdown and drain.
mod drain;
/// Fault injection by flags, and `ping faults`.
mod faults;
/// Access log and log level.
mod log;
/// Responses, admin port, `healthcheck` and unix sockets.
mod service;
/// Out of file descriptors.
mod shortage;
