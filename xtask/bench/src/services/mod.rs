//! `cargo xtask bench services`: how fast ping is, and what it takes, beside others that answer the same.

use anyhow::Result;

use crate::plan::Args;

mod bars;
mod document;
pub(super) mod machine;
mod measure;
mod peer;
pub(super) mod programs;
mod scaling;
mod server;
mod table;
pub(super) mod wrk;

use programs::Programs;

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::provide()?;
    let plan = args.plan;
    let measured = measure::all(&programs, plan)?;
    let scaling = scaling::measure(&programs, plan)?;
    let text = document::section(&machine::describe(&programs)?, plan, &measured, scaling.as_ref());
    args.put("services", &text)
}
