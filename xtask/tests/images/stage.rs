use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::process::run_ok;
use harness::shared::{Shared, SharedHandle};
use harness::{Lab, LabOptions};

/// The shared lab: one host with an engine, and a registry.
pub(crate) fn hold() -> SharedHandle<Lab> {
    static STAGE: Shared<Lab> = Shared::new();
    let options = LabOptions { registry: true, ..LabOptions::owned(1) };
    STAGE.get(|_| true, || Lab::create(&options)).unwrap()
}

/// Runs `cargo xtask images`.
pub(crate) fn images(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env_remove("SWARMLINGS_PREFIX").env_remove("SWARMLINGS_TAG");
    command.arg("images").args(arguments).output().unwrap()
}

/// The project's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Unpacks a tar archive into `directory`.
pub(crate) fn unpack(archive: &Path, directory: &Path) {
    run(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(directory));
}

/// Runs a command that must succeed. Returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    run_ok(command).unwrap()
}

/// Finds a program on PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let found = harness::tools::on_path(name);
    found.unwrap_or_else(|| panic!("no {name} on PATH; `cargo xtask test --only packages` installs it"))
}
