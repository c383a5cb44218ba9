//! The project's own commands; `cargo xtask --help` lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{build, needs};

mod bench;
mod demo;
mod fields;
mod guest;
mod images;
mod lab;
mod new;
mod swarm;
mod test;
mod up;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Swarmlings' own commands", version)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the demo on this machine: hub, Traefik, pings and hellos, each under a sidecar
    Up(up::Args),
    /// Run the demo on a Docker engine, in swarm mode
    Swarm(swarm::Args),
    /// Rehearse on a swarm of several hosts, made on this machine
    Lab(lab::Args),
    /// Make a service of your own: its program, tests, image and stack file
    New(new::Args),
    /// Build the images for this machine's architecture
    Images(images::Args),
    /// Measure what a test would be no place for
    Bench(bench::Args),
    /// Read off Traefik's source what it understands in labels: the text of sidecar/traefik/src/fields.txt
    Fields(fields::Args),
    /// Install what tests need, then format check, clippy, unit tests, fuzzing and integration tests
    Test(test::Args),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Swarm(args) => swarm::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::New(args) => new::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fields(args) => fields::run(&args),
        Command::Test(args) => test::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
