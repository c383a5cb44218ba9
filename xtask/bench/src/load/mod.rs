//! `cargo xtask bench load`: how much load `load` sends from one core, and what it measures, beside others that do.

use anyhow::Result;

mod document;
mod generator;
mod measure;
mod programs;

use crate::plan::Args;
use programs::Programs;

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::provide()?;
    let plan = args.plan;
    let measured = measure::all(&programs, plan)?;
    let text = document::section(&programs, plan, &measured)?;
    args.put("load", &text)
}
