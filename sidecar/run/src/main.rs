//! PID 1 of a task: starts the service, probes it, tells the hub, and withdraws it before it stops.
//!
//! | module | what it holds |
//! |---|---|
//! | [`args`], [`url`] | flags and environment |
//! | [`lifecycle`] | `sidecar run`, from the spawn to the exit code |
//! | [`signals`], [`child`], [`process`] | PID 1's duties: handlers, the only `waitpid`, orphans |
//! | [`probe`], [`health`] | asking the service, and what its answers amount to |
//! | [`lease`], [`hub`], [`connection`], [`backoff`] | the registration, kept and withdrawn |
//! | [`status`], [`healthcheck`] | what the sidecar knows, and `sidecar healthcheck`, which asks it |

use std::process::ExitCode;

use args::{Cli, Command};

mod args;
mod backoff;
mod child;
mod connection;
mod health;
mod healthcheck;
mod hub;
mod lease;
mod lifecycle;
mod probe;
mod process;
mod runtime;
mod signals;
mod status;
mod url;

fn main() -> ExitCode {
    match swarmlings_cli::parse::<Cli>() {
        Ok(cli) => swarmlings_cli::exit_with(
            "sidecar",
            match cli.command {
                Command::Run(args) => lifecycle::run(&args),
                Command::Healthcheck(args) => healthcheck::run(&args),
            },
        ),
        Err(code) => code,
    }
}
