//! The compiled tests of the workspace.
//!
//! One cargo invocation compiles unit and integration tests: separate ones would resolve other features, and so compile
//! shared crates twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use harness::binaries::target_directory;
use serde_json::Value;

use super::timing::TestTime;
use crate::build::{build_messages, cargo, executable, root};

/// Packages whose tests start Traefik or Docker.
pub(super) const INTEGRATION: [&str; 3] = ["tests", "tests/harness", "xtask"];

/// A program with the tests of one target of a package.
pub(super) struct TestProgram {
    /// The package's directory, relative to the workspace.
    package: PathBuf,
    target: String,
    path: PathBuf,
    log: PathBuf,
}

/// Compiles all tests of the workspace.
pub(super) fn compile() -> Result<Vec<TestProgram>> {
    let messages = build_messages(cargo("test").args(["--workspace", "--no-run"]))?;
    let logs = target_directory()?.join("tmp");
    Ok(messages.iter().filter_map(|message| TestProgram::from_message(message, &logs)).collect())
}

impl TestProgram {
    fn from_message(message: &Value, logs: &Path) -> Option<Self> {
        let path = executable(message).filter(|_| message["profile"]["test"] == true)?;
        let manifest = Path::new(message["manifest_path"].as_str()?);
        let package = manifest.parent()?.strip_prefix(root()).ok()?.to_owned();
        let log = logs.join(path.file_name()?).with_extension("log");
        Some(Self { package, target: message["target"]["name"].as_str()?.to_owned(), path, log })
    }

    pub(super) fn package(&self) -> &str {
        self.package.to_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.package.display(), self.target)
    }

    /// The command that runs the tests with `filter` in their names, with slow tests if `all`.
    pub(super) fn command(&self, filter: Option<&str>, all: bool) -> Command {
        let directory = root().join(&self.package);
        let mut command = Command::new(&self.path);
        command.args(filter).args(all.then_some("--include-ignored")).stdin(Stdio::null());
        command.current_dir(&directory).env("CARGO_MANIFEST_DIR", &directory);
        // xtask's tests run cargo, and this variable would make it recompile crates.
        if self.package() != "xtask" {
            command.args(["-Zunstable-options", "--report-time", "--logfile"]).arg(&self.log);
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// The time of each test of the last run.
    pub(super) fn times(&self) -> Vec<TestTime> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter_map(|line| TestTime::parse(line, &self.name())).collect()
    }
}
