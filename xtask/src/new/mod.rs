//! `cargo xtask new`: a service of one's own, and the way back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build::{self, cargo_in, check};
use change::Change;
use name::Name;

mod change;
mod dockerfile;
mod name;
mod own;
mod removal;
mod taken;
mod template;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The service's name, such as `weather`
    name: String,
    /// Make a repository of its own, instead of services/NAME in this one
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where that gets the runtime from, instead of this checkout
    #[arg(long, value_name = "URL", requires = "out")]
    git: Option<String>,
    /// Which revision of that
    #[arg(long, value_name = "REV", requires = "git")]
    rev: Option<String>,
    /// Remove services/NAME and what belongs to it, unless something would be lost that git does not have
    #[arg(long, conflicts_with = "out")]
    remove: bool,
    /// Another checkout than this one, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    checkout: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name: Name = args.name.parse()?;
    let root = args.checkout.as_deref().unwrap_or(build::root());
    match &args.out {
        Some(directory) => {
            taken::ensure_free(root, &name)?;
            own::make(root, &name, directory, args)?;
            let shown = directory.display();
            println!("made {shown}; its README.md says how it is run, tested, and made an image");
            println!(
                "`cargo test` there tests it, `cargo xtask up --with {shown}` here routes it at /{name}"
            );
        }
        None if args.remove => {
            removal::remove(root, &name)?;
            update_lock(root)?;
            println!("removed services/{name}, stacks/{name}.yml, and the stage {name} of the Dockerfile");
        }
        None => {
            taken::ensure_free(root, &name)?;
            make_member(root, &name)?;
            update_lock(root)?;
            println!("made services/{name} and stacks/{name}.yml, and the stage {name} of the Dockerfile");
            println!(
                "`cargo test --package {name}` tests it, `cargo xtask up --with {name}` routes it at /{name}"
            );
        }
    }
    Ok(())
}

/// Makes a service of the workspace at `root`. Its members are all that is in `services`.
fn make_member(root: &Path, name: &Name) -> Result<()> {
    let file = root.join("Dockerfile");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut change = Change::new(root)?;
    change.make(&root.join(format!("services/{name}")), &template::member(name))?;
    change.write(&root.join(format!("stacks/{name}.yml")), &template::member_stack(name))?;
    change.rewrite(&file, &dockerfile::with(&text, &template::stage(name))?)?;
    change.make_it()
}

/// Has Cargo.lock know the workspace's members, and changes nothing else in it: images are built of what it names.
fn update_lock(root: &Path) -> Result<()> {
    check(cargo_in(root, "update").args(["--workspace", "--offline", "--quiet"]))
        .context("updating Cargo.lock; the next build will do it")
}
