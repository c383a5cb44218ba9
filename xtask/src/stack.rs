//! Deploying stack files, for `cargo xtask swarm` and `cargo xtask lab`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use harness::stack::{Settings, Stack};
use harness::tokens::write_token;
use harness::{Docker, Master, Secrets};

/// Prefix of the names of secrets, as in the stack files.
const PREFIX: &str = "swarmlings";

/// Returns the secrets that derive from the master token in `file`. Creates the file if the swarm has no secrets yet.
pub(crate) fn secrets(docker: &Docker, file: &Path) -> Result<Secrets> {
    if file.exists() {
        return Ok(Secrets::new(PREFIX, Master::read(file)?));
    }
    let secrets = Secrets::new(PREFIX, Master::random()?);
    let existing = secrets.existing(docker)?;
    ensure!(
        existing.is_empty(),
        "the swarm has secrets ({}), but the file {} with the master token is missing; restore it, or remove the secrets \
         with `docker secret rm`",
        existing.join(", "),
        file.display()
    );
    write_token(file, secrets.master().as_str())?;
    eprintln!("created {} with a random master token", file.display());
    Ok(secrets)
}

/// Removes the secrets that no service uses. Returns their names, and those of the others.
pub(crate) fn remove_secrets(docker: &Docker) -> Result<(Vec<String>, Vec<String>)> {
    harness::secrets::remove(docker, PREFIX)
}

/// Creates secrets if needed, and deploys `file`.
pub(crate) fn deploy(stack: &Stack, file: PathBuf, settings: &Settings<'_>) -> Result<()> {
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
