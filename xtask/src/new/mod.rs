//! `cargo xtask new`: creates a service from the template, and removes it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build::{self, cargo_in, check};
use crate::images::Names;
use change::Change;
use name::Name;

mod change;
mod dockerfile;
mod name;
mod removal;
mod repository;
mod template;

const HELP: &str = "\
By default the service becomes part of this repository: a program with tests in services/NAME, a target \
of the Dockerfile, and stacks/NAME.yml with its Traefik labels. docs/YOUR-SERVICE.md explains each step \
from here to a rolling update.

Examples:
  cargo xtask new weather
  cargo xtask new weather --remove
  cargo xtask new weather --out ../weather
  cargo xtask new weather --out ../weather \\
    --git https://example.org/swarmlings.git \\
    --prefix registry.lan:5000/swarmlings";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Name of the service: a-z, 0-9 and hyphens
    name: String,
    /// Create a separate repository in DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Git repository that provides the runtime [default: this checkout, by its path]
    #[arg(long, value_name = "URL", requires = "out")]
    git: Option<String>,
    /// Revision of the git repository: a commit, tag or branch
    #[arg(long, value_name = "REV", requires = "git", default_value = concat!("v", env!("CARGO_PKG_VERSION")))]
    rev: String,
    /// Where the separate repository gets the sidecar and the hub
    #[command(flatten)]
    images: Names,
    /// Remove the service from this repository, unless that would lose changes that are not committed
    #[arg(long, conflicts_with = "out")]
    remove: bool,
    /// Checkout to use instead of this one, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    checkout: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name: Name = args.name.parse()?;
    let root = args.checkout.as_deref().unwrap_or(build::root());
    if args.remove {
        removal::remove(root, &name)?;
        update_lock(root)?;
        println!("removed services/{name}, stacks/{name}.yml and target {name} of the Dockerfile");
        return Ok(());
    }
    name.ensure_free(root)?;
    if let Some(directory) = &args.out {
        repository::create(root, &name, directory, args)?;
        let shown = directory.display();
        println!("created {shown}; its README.md describes how to run it, test it and build its image");
        println!(
            "test it there with `cargo test`; route it at /{name} here with `cargo xtask up --with {shown}`"
        );
    } else {
        create_member(root, &name)?;
        update_lock(root)?;
        println!("created services/{name}, stacks/{name}.yml and target {name} of the Dockerfile");
        println!(
            "test it with `cargo test --package {name}`; route it at /{name} with `cargo xtask up --with {name}`"
        );
    }
    Ok(())
}

/// Creates a service in the workspace at `root`, whose members are all directories in `services`.
fn create_member(root: &Path, name: &Name) -> Result<()> {
    let file = root.join("Dockerfile");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut change = Change::new(root)?;
    change.create_directory(&root.join(format!("services/{name}")), &template::member(name))?;
    change.create_file(&root.join(format!("stacks/{name}.yml")), &template::member_stack(name))?;
    change.replace_file(&file, &dockerfile::with(&text, &template::stage(name))?)?;
    change.apply()
}

/// Updates the workspace's members in Cargo.lock, and nothing else: builds of images use it as it is.
fn update_lock(root: &Path) -> Result<()> {
    check(cargo_in(root, "update").args(["--workspace", "--offline", "--quiet"]))
        .context("updating Cargo.lock; the next build will update it")
}
