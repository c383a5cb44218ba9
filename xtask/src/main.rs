//! The project's own commands; `cargo xtask --help` lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{build, needs};

mod bench;
mod date;
mod dist;
mod fields;
mod images;
mod lab;
mod new;
mod release;
mod stack;
mod swarm;
mod test;
mod up;

const HELP: &str = "\
Examples:
  cargo xtask up                        the demo on this machine, on port 8000
  cargo xtask swarm up                  the demo on a Docker Swarm
  cargo xtask new weather               a service of your own
  cargo xtask images --output layout    images for all platforms
  cargo xtask test                      the checks of CI

`cargo xtask COMMAND --help` describes each command.";

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = HELP)]
#[command(about = "Runs, builds and tests Swarmlings")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the demo on this machine, without containers
    Up(up::Args),
    /// Run the demo on a Docker Swarm
    Swarm(swarm::Args),
    /// Run a swarm of several hosts on this machine
    Lab(lab::Args),
    /// Create a service of your own
    New(new::Args),
    /// Build the images
    Images(images::Args),
    /// Set the version, date the changelog, commit and tag
    Release(release::Args),
    /// Push the images of a release, and write the files that it publishes
    Dist(dist::Args),
    /// Run benchmarks
    Bench(bench::Args),
    /// List the options that Traefik accepts in labels, from its source code
    Fields(fields::Args),
    /// Run the checks of CI: format, lints and tests
    Test(test::Args),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Swarm(args) => swarm::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::New(args) => new::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Dist(args) => dist::run(&args),
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
