//! `cargo xtask bench`: measurements that are too slow or too noisy for a test.
//!
//! A package of its own, so that the other commands of `cargo xtask` compile without the load tester.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agent;
mod checks;
mod hub;
mod idle;
mod load;
mod machine;
mod programs;
mod rollout;
mod routing;
mod section;
mod services;
mod statistics;
mod table;
mod wrk;

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench services --rounds 7 --duration 1s --write
  cargo xtask bench rollout --setup ours --rounds 3
  cargo xtask bench agent --containers 500
  cargo xtask bench checks --cases 30000 --seed 7";

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    about = "Measures speed, memory and routing delays, and compares them with other programs",
    after_help = EXAMPLES
)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Routing delay of containers without a sidecar, and the agent's idle cost (needs root)
    Agent(agent::Args),
    /// Verdicts of the hub on generated labels, compared with those of a real Traefik
    Checks(checks::Args),
    /// Cost and delays of a hub with up to 10,000 instances
    Hub(hub::Args),
    /// Memory, processor time and wake-ups of idle ping, sidecar and hub
    Idle(idle::Args),
    /// Delay until a healthy task gets its first request, and until a killed task gets its last
    Routing(routing::Args),
    /// Throughput and accuracy of `load`, compared with oha, hey and wrk
    Load(section::Args),
    /// Speed and memory of ping, compared with nginx, Go, Python and a C epoll loop
    Services(section::Args),
    /// Failed requests and delays during updates and losses of instances, compared with Traefik's provider (needs root)
    Rollout(rollout::Args),
}

fn main() -> ExitCode {
    let args: Args = match cli::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let outcome = match &args.bench {
        Bench::Agent(args) => agent::run(args),
        Bench::Checks(args) => checks::run(args),
        Bench::Hub(args) => hub::run(args),
        Bench::Idle(args) => idle::run(args),
        Bench::Load(args) => load::run(args),
        Bench::Routing(args) => routing::run(args),
        Bench::Services(args) => services::run(args),
        Bench::Rollout(args) => rollout::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
