//! `cargo xtask bench`: what a test would be no place for.

use anyhow::Result;
use clap::Subcommand;

mod idle;
mod rollout;
mod routing;
mod services;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What a task, its sidecar and the hub cost while nobody asks for anything
    Idle(idle::Args),
    /// How long until a healthy task gets requests, and until a killed one gets none
    Routing(routing::Args),
    /// How fast ping is and what it takes, beside nginx, Go, Python and the practical limit
    Services(services::Args),
    /// What rolling updates and losses cost, beside Traefik's own swarm provider, on a lab of three hosts; takes root
    Rollout(rollout::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.bench {
        Bench::Idle(args) => idle::run(args),
        Bench::Routing(args) => routing::run(args),
        Bench::Services(args) => services::run(args),
        Bench::Rollout(args) => rollout::run(args),
    }
}
