//! How much is measured where programs are compared under load, and what becomes of it.

use anyhow::Result;

use crate::section;

/// What such a bench is told.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) plan: Plan,
    /// Put the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

impl Args {
    /// Shows the section of `cargo xtask bench NAME`, and puts it where it belongs if that is wanted.
    pub(super) fn put(&self, name: &str, section: &str) -> Result<()> {
        print!("{section}");
        if self.write { section::write(name, section) } else { Ok(()) }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Plan {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) rounds: u16,
    /// For how many seconds load is sent each time
    #[arg(long = "for", value_name = "TIME", default_value = "3s", value_parser = seconds)]
    pub(super) seconds: u16,
}

/// Whole seconds, as wrk counts them.
fn seconds(text: &str) -> Result<u16, String> {
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
