//! `cargo xtask bench services`: speed and memory of ping, compared with other servers that give the same response.

use anyhow::Result;

use crate::section::Args;

mod measure;
mod programs;
mod report;
mod server;

use programs::Programs;

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::prepare()?;
    let results = measure::all(&programs, args)?;
    let scaling = measure::scaling(&programs, args)?;
    let machine = programs.description()?;
    args.publish("services", &report::section(&machine, args, &results, scaling.as_ref()))
}
