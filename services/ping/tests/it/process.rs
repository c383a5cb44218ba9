//! Starts `ping`.

use std::process::{Command, Output};

use harness::ServiceProcess;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ping");

/// Starts `ping` on free ports.
pub(crate) fn start(args: &[&str]) -> ServiceProcess {
    ServiceProcess::start(PROGRAM, args)
}

/// Returns a command for `ping` that inherits no settings.
pub(crate) fn command() -> Command {
    harness::process::command(PROGRAM)
}

/// Runs `ping` with these arguments until it exits by itself.
pub(crate) fn run(args: &[&str]) -> Output {
    harness::process::run(command().args(args)).unwrap()
}
