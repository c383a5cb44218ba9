//! `cargo xtask bench services`: how fast ping is, and what it takes, beside others that answer the same.

use anyhow::Result;

use super::section;

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

use measure::Plan;
use programs::Programs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// For how many seconds load is sent each time
    #[arg(long = "for", value_name = "TIME", default_value = "3s", value_parser = seconds)]
    time: u16,
    /// Put the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::provide()?;
    let plan = Plan { rounds: args.rounds, seconds: args.time };
    let measured = measure::all(&programs, plan)?;
    let scaling = scaling::measure(&programs, plan)?;
    let text = document::section(&machine::describe(&programs)?, plan, &measured, scaling.as_ref());
    print!("{text}");
    if args.write { section::write("services", &text) } else { Ok(()) }
}

/// Whole seconds, as wrk counts them.
pub(super) fn seconds(text: &str) -> Result<u16, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.filter(|seconds| *seconds > 0).ok_or_else(|| "whole seconds are expected, such as 3s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_lasts_whole_seconds() {
        assert_eq!(seconds("3s"), Ok(3));
        for bad in ["3", "0s", "1.5s", "1m", "-1s", ""] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
