//! `cargo xtask bench`: runs the package `bench`.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Error, Result};

use crate::build::{cargo_in, root};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The benchmark and its flags
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "BENCH")]
    arguments: Vec<OsString>,
}

/// Replaces this process. It keeps the current directory, to which the paths in the arguments are relative.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = cargo_in(&env::current_dir().context("reading the current directory")?, "run");
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    command.args(["--quiet", "--package", "bench", "--"]).args(&args.arguments);
    Err(Error::new(command.exec()).context("running cargo"))
}
