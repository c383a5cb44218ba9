//! `cargo xtask bench`, which is a program of its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Error, Result};

use crate::build::cargo;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Which one, and its flags
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "BENCH")]
    arguments: Vec<OsString>,
}

/// Becomes that program.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = cargo("run");
    command.args(["--quiet", "--package", "swarmlings-bench", "--"]).args(&args.arguments);
    Err(Error::new(command.exec()).context("running cargo"))
}
