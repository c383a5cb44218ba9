//! `cargo xtask bench load`: how much load `load` sends from one core, and what it measures, beside others that do.

use anyhow::Result;

mod document;
mod generator;
mod measure;
mod programs;

use super::plan::Plan;
use super::section;
use programs::Programs;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: Plan,
    /// Put the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::provide()?;
    let plan = args.plan;
    let measured = measure::all(&programs, plan)?;
    let text = document::section(&programs, plan, &measured)?;
    print!("{text}");
    if args.write { section::write("load", &text) } else { Ok(()) }
}
