//! Docker secrets with the tokens of stacks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::stack_file;
use crate::{Docker, Master};

/// Roles that have a secret of their own. The key of any other secret in a stack file is the name of a service.
const ROLES: [&str; 4] = ["router", "agent", "manager", "reader"];

/// Secrets of a swarm: `PREFIX_master`, `PREFIX_router` and so on, and `PREFIX_STACK_SERVICE`.
#[derive(Clone, Debug)]
pub struct Secrets {
    prefix: String,
    master: Master,
}

impl Secrets {
    /// Secrets whose tokens derive from `master`. Does not create them.
    pub fn new(prefix: impl Into<String>, master: Master) -> Self {
        Self { prefix: prefix.into(), master }
    }

    /// The master token.
    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Name of the secret with the master token.
    pub fn master_name(&self) -> String {
        format!("{}_master", self.prefix)
    }

    /// Creates the secrets of stack files unless they exist. Returns a stack file with their names.
    pub(crate) fn provide(&self, docker: &Docker, stack: &str, files: &[PathBuf]) -> Result<NamedTempFile> {
        let mut keys = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            let secrets = stack_file::secrets(&text);
            keys.extend(secrets.with_context(|| format!("reading {}", file.display()))?);
        }
        let existing = self.existing(docker)?;
        let mut names = String::from("secrets:\n");
        for key in &keys {
            let (name, token) = self.secret(stack, key);
            if !existing.contains(&name) {
                docker.run_with_input(&["secret", "create", &name, "-"], token.as_bytes())?;
            }
            writeln!(names, "  {key}: {{external: true, name: {name}}}").context("naming secrets")?;
        }
        let text = if keys.is_empty() { "services: {}\n" } else { &names };
        let mut file = NamedTempFile::new().context("creating a file for the names of secrets")?;
        file.write_all(text.as_bytes()).context("writing the names of secrets")?;
        Ok(file)
    }

    /// Names of the secrets that exist.
    pub fn existing(&self, docker: &Docker) -> Result<Vec<String>> {
        existing(docker, &self.prefix)
    }

    /// Name and token of the secret that stack files of `stack` call `key`.
    fn secret(&self, stack: &str, key: &str) -> (String, String) {
        let prefix = &self.prefix;
        if key == "master" {
            return (self.master_name(), self.master.as_str().to_owned());
        }
        if ROLES.contains(&key) {
            return (format!("{prefix}_{key}"), self.master.role(key));
        }
        (format!("{prefix}_{stack}_{key}"), self.master.service(&format!("{stack}_{key}")))
    }
}

/// Removes the secrets with a prefix that no service uses. Returns their names, and those of the others.
pub fn remove(docker: &Docker, prefix: &str) -> Result<(Vec<String>, Vec<String>)> {
    // The engine refuses to remove a secret that is in use.
    Ok(existing(docker, prefix)?.into_iter().partition(|name| docker.run(&["secret", "rm", name]).is_ok()))
}

fn existing(docker: &Docker, prefix: &str) -> Result<Vec<String>> {
    let prefix = format!("{prefix}_");
    let filter = format!("name={prefix}");
    let names = docker.list(&["secret", "ls", "--format", "{{.Name}}", "--filter", &filter])?;
    Ok(names.into_iter().filter(|name| name.starts_with(&prefix)).collect())
}
