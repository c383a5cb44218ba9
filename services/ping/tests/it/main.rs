//! The program `ping` from outside, which stands for every service: what is seen here comes from the runtime.

mod process;

/// What it says when it does not start.
mod command_line;
/// How it ends.
mod end;
/// What it logs of requests.
mod log;
/// What goes wrong on purpose.
mod rehearsal;
/// What it answers, and `healthcheck`.
mod service;
/// What it does when the system is short of file descriptors.
mod shortage;
