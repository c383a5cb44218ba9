//! `cargo xtask bench load`: how much load `load` sends from one core, and what it measures, beside others that do.

use anyhow::Result;

mod document;
mod generator;
mod measure;
mod programs;

use super::section;
use measure::Plan;
use programs::Programs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// For how many seconds each load is sent
    #[arg(long = "for", value_name = "TIME", default_value = "3s", value_parser = super::services::seconds)]
    time: u16,
    /// Put the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::provide()?;
    let plan = Plan { rounds: args.rounds, seconds: args.time };
    let measured = measure::all(&programs, plan)?;
    let text = document::section(&programs, plan, &measured)?;
    print!("{text}");
    if args.write { section::write("load", &text) } else { Ok(()) }
}
