//! Licences of the crates in a program, from the list of dependencies in it and from the crates' sources.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use auditable_info::{Limits, audit_info_from_file};
use serde_json::Value;

use crate::build::{cargo, root};

/// Beginnings of the names of files with licences and notices, in capitals.
const FILES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// Name and version of a crate.
type Id = (String, String);

/// The crates that the workspace depends on.
pub(super) struct Crates(BTreeMap<Id, Crate>);

struct Crate {
    directory: PathBuf,
    licence: String,
    repository: String,
}

impl Crates {
    /// Reads the crates from `cargo metadata`, which downloads them if needed.
    pub(super) fn read() -> Result<Self> {
        let mut command = cargo("metadata");
        let text = harness::process::run_ok(command.args(["--locked", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&text).context("parsing the output of cargo metadata")?;
        let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let external = packages.iter().filter(|package| package["source"].is_string());
        let crates = external.map(|package| {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let directory = manifest.parent().unwrap_or(root()).to_owned();
            let (licence, repository) = (text(&package["license"]), text(&package["repository"]));
            ((text(&package["name"]), text(&package["version"])), Crate { directory, licence, repository })
        });
        Ok(Self(crates.collect()))
    }

    /// The licences of the crates in `program`, and their texts. A text that several crates have is there once.
    pub(super) fn notices(&self, program: &Path) -> Result<String> {
        let list = audit_info_from_file(program, Limits::default())
            .with_context(|| format!("reading the list of dependencies in {}", program.display()))?;
        let mut notices = String::from("This program contains the following crates.\n\n");
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // Not those that run at compile time.
        let runtime = list.packages.iter().filter(|package| format!("{:?}", package.kind) == "Runtime");
        for package in runtime {
            // Others belong to this project.
            let id = (package.name.clone(), package.version.to_string());
            let Some(found) = self.0.get(&id) else { continue };
            let name = format!("{} {}", id.0, id.1);
            writeln!(notices, "{name}: {} ({})", found.licence, found.repository)?;
            for text in found.texts()? {
                texts.entry(text).or_default().push(name.clone());
            }
        }
        for (text, names) in texts {
            write!(notices, "\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), text.trim_end())?;
        }
        Ok(notices)
    }
}

impl Crate {
    /// The texts of its licences and notices.
    fn texts(&self) -> Result<Vec<String>> {
        let reading = || format!("reading {}", self.directory.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let name = entry.file_name().to_string_lossy().to_uppercase();
            if FILES.iter().any(|file| name.starts_with(file)) && entry.path().is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        paths.iter().map(read).collect()
    }
}
