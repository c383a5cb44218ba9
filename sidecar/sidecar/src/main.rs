//! PID 1 of a task: starts the service, probes it, tells the hub, and withdraws it before it stops.
//!
//! - `sidecar run`: [`lifecycle`], from the spawn to the exit code; [`args`] and [`url`] are its flags
//! - PID 1's duties: [`signals`], [`child`], [`terminal`], and [`process`], which alone waits for processes
//! - the service's health: [`probe`] asks, [`health`] counts
//! - the registration: [`lease`] keeps it at the [hub](client)
//! - [`descriptor`]: kernel events as file descriptors
//! - `sidecar healthcheck`: [`healthcheck`] asks the running sidecar for its [`status`]

use std::process::ExitCode;

mod args;
mod child;
mod descriptor;
mod health;
mod healthcheck;
mod lease;
mod lifecycle;
mod probe;
mod process;
mod runtime;
mod signals;
mod status;
mod terminal;

fn main() -> ExitCode {
    let outcome = match cli::parse::<args::Cli>().map(|cli| cli.command) {
        Ok(args::Command::Run(args)) => lifecycle::run(&args),
        Ok(args::Command::Healthcheck(args)) => healthcheck::run(&args),
        Err(code) => return code,
    };
    cli::exit_with("sidecar", outcome)
}
