//! Deploying stack files, for `cargo xtask swarm` and `cargo xtask lab`.

use std::path::PathBuf;

use anyhow::Result;
use harness::stack::{Settings, Stack, ensure_token};

/// The secret with the token; the default of `stacks/demo.yml`.
pub(crate) const TOKEN: &str = "swarmlings_token";

/// Creates the token if needed, and deploys `file`.
pub(crate) fn deploy(stack: &Stack, file: PathBuf, settings: &Settings<'_>) -> Result<()> {
    if ensure_token(stack.docker(), TOKEN)? {
        eprintln!("created secret {TOKEN} with a random token");
    }
    eprintln!("deploying stack {}", stack.name());
    stack.deploy(&[file], settings)
}

/// Updates services whose containers run an older image of the same name.
pub(crate) fn update_outdated(stack: &Stack) -> Result<()> {
    for service in stack.outdated()? {
        eprintln!("updating {} to its new image", stack.service(&service));
        stack.force_update(&service)?;
    }
    Ok(())
}
