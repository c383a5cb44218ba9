//! PID 1 of a task: starts the service, probes it, registers it with the hub, and withdraws it before it stops.
//!
//! - [`args`]: flags and environment
//! - [`run`]: `sidecar run`, from the start of the service to the exit code
//! - [`after`]: conditions for the start of the service
//! - [`process`], [`signals`], [`terminal`], [`interpreter`]: duties of PID 1
//! - [`probe`]: health of the service
//! - [`leases`]: registration with all [hubs](client), one [`lease`] with each; [`answers`]: the route that follows
//! - [`reach`]: whether routers reach the service at the address that is registered
//! - [`status`], [`healthcheck`]: `sidecar healthcheck` asks the running sidecar for its status

use std::process::ExitCode;

mod after;
mod answers;
mod args;
mod healthcheck;
mod interpreter;
mod lease;
mod leases;
mod probe;
mod process;
mod reach;
mod run;
mod signals;
mod status;
mod terminal;

fn main() -> ExitCode {
    let result = match cli::parse::<args::Cli>().map(|cli| cli.command) {
        Ok(args::Command::Run(args)) => run::run(&args),
        Ok(args::Command::Healthcheck(args)) => healthcheck::run(&args),
        Err(code) => return code,
    };
    cli::exit_with("sidecar", result)
}
