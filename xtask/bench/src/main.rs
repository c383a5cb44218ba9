//! `cargo xtask bench`: what a test would be no place for.
//!
//! A program of its own, so that whoever does not measure need not wait until load's engine is compiled.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod agent;
mod cores;
mod idle;
mod load;
mod plan;
mod rollout;
mod routing;
mod section;
mod services;
mod statistics;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    about = "Measures what a test would be no place for"
)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// How long until a container without a sidecar gets requests, and what its agent costs; takes root
    Agent(agent::Args),
    /// What a task, its sidecar and the hub cost while nobody asks for anything
    Idle(idle::Args),
    /// How long until a healthy task gets requests, and until a killed one gets none
    Routing(routing::Args),
    /// How much load `load` sends, and what it measures, beside oha, hey and wrk
    Load(plan::Args),
    /// How fast ping is and what it takes, beside nginx, Go, Python and the practical limit
    Services(plan::Args),
    /// What rolling updates and losses cost, beside Traefik's own swarm provider, on a lab of three hosts; takes root
    Rollout(rollout::Args),
}

fn main() -> ExitCode {
    match run(&Args::parse().bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Agent(args) => agent::run(args),
        Bench::Idle(args) => idle::run(args),
        Bench::Load(args) => load::run(args),
        Bench::Routing(args) => routing::run(args),
        Bench::Services(args) => services::run(args),
        Bench::Rollout(args) => rollout::run(args),
    }
}

/// The least, the median and the largest of `figures`, in milliseconds.
fn print(what: &str, mut figures: Vec<Duration>) {
    figures.sort();
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let [min, median, max] = [0, figures.len() / 2, figures.len() - 1].map(|index| millis(figures[index]));
    println!("{what:34}{min:>8.1}{median:>8.1}{max:>8.1}");
}
