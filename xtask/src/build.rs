//! Cargo and other commands, run from the workspace.

use std::env;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use harness::Binaries;
use harness::binaries::{names, target_directory};
use serde_json::Value;

use crate::needs;

/// A cargo profile for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Small and fast programs, for shipping.
    Release,
    /// Short compile times, for tests and demos.
    Fast,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Fast => "fast",
        }
    }
}

/// The workspace's directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// A cargo command in the workspace's directory, without input.
pub fn cargo(subcommand: &str) -> Command {
    cargo_in(root(), subcommand)
}

/// A cargo command in `directory`, without input.
pub fn cargo_in(directory: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(directory).stdin(Stdio::null());
    command
}

/// `cargo metadata` of the workspace that contains `directory`, without dependencies.
pub fn metadata(directory: &Path) -> Result<Value> {
    let mut command = cargo_in(directory, "metadata");
    let output = command.args(["--no-deps", "--format-version", "1"]).output();
    let output = output.context("running cargo metadata")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("cargo metadata in {}: {}", directory.display(), error.trim());
    }
    serde_json::from_slice(&output.stdout).context("parsing the output of cargo metadata")
}

/// The target of static programs for this machine's architecture.
pub fn musl_target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// The programs in `SWARMLINGS_BIN_DIR`, or a release build of all programs for `target` or this machine.
pub fn given_or_release(target: Option<&str>) -> Result<Binaries> {
    Binaries::from_environment()?.map_or_else(|| release(target), Ok)
}

/// Builds all programs that go into images, as released, for `target` or this machine.
pub fn release(target: Option<&str>) -> Result<Binaries> {
    programs(&names(), Profile::Release, target)
}

/// Builds some of the programs that go into images, as released, for `target` or this machine.
pub fn release_of(names: &[&str], target: Option<&str>) -> Result<Binaries> {
    programs(names, Profile::Release, target)
}

/// Builds `names` for `target` or this machine.
///
/// No package is selected, so cargo unifies the features of all default members: a program has the same bytes whether
/// it is built alone or with the others. `xtask/compile.sh` does the same in the Dockerfile.
pub fn programs(names: &[&str], profile: Profile, target: Option<&str>) -> Result<Binaries> {
    let mut command = match target {
        Some(target) => for_images(target)?,
        None => cargo("build"),
    };
    command.args(["--profile", profile.name()]).args(names.iter().flat_map(|name| ["--bin", name]));
    let program = built_program(&mut command).with_context(|| format!("building {}", names.join(", ")))?;
    Binaries::some_at(program.parent().context("a program is in a directory")?, names)
}

/// Builds an example of `package`, as released, for `target`.
pub fn example(target: &str, package: &str, name: &str) -> Result<PathBuf> {
    let mut command = for_images(target)?;
    command.args(["--release", "--package", package, "--example", name]);
    built_program(&mut command).with_context(|| format!("building example {name} of {package}"))
}

/// A build for `target` as images need it: statically linked, with the list of dependencies in each program, where
/// scanners find it, and without paths of this machine, so that all machines get the same bytes.
fn for_images(target: &str) -> Result<Command> {
    let mut command = cargo("auditable");
    let path = needs::path();
    let directories = needs::auditable()?.into_iter().chain(env::split_paths(&path));
    command
        .env("PATH", env::join_paths(directories).context("extending PATH by cargo-auditable's directory")?);
    command.args(["build", "--locked", "--target", target]);
    // Absolute: cargo-auditable runs cargo in other directories too.
    command.arg("--config").arg(root().join(".cargo/images.toml"));
    // The last match wins, and the target directory is usually inside the workspace.
    let prefixes =
        [(root().to_owned(), "/swarmlings"), (target_directory()?, "/target"), (cargo_home()?, "/cargo")];
    let flags = prefixes.map(|(path, shown)| format!("--remap-path-prefix={}={shown}", path.display()));
    command.arg("--config").arg(format!("target.{target}.rustflags = {flags:?}"));
    Ok(command)
}

/// The directory in which cargo keeps downloaded crates.
fn cargo_home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("looking for cargo's home directory: neither CARGO_HOME nor HOME is set")
}

/// Runs a build, and returns the path of the last program that cargo reports.
pub fn built_program(command: &mut Command) -> Result<PathBuf> {
    let mut messages = build_messages(command)?;
    messages.retain(|message| message["executable"].is_string());
    messages.last().and_then(executable).context("cargo build reported no program")
}

/// Runs a build, and returns cargo's messages about what it built. They name the paths of the programs, which depend on
/// the user's cargo settings.
pub fn build_messages(command: &mut Command) -> Result<Vec<Value>> {
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stderr(Stdio::inherit()).output().context("running cargo")?;
    ensure!(output.status.success(), "{}: {}", shown(command), output.status);
    let lines = output.stdout.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// The path of the program in one of cargo's messages.
pub fn executable(message: &Value) -> Option<PathBuf> {
    message["executable"].as_str().map(PathBuf::from)
}

/// Runs `command` with its output shown; an exit code other than 0 is an error.
pub fn check(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {}", shown(command)))?;
    ensure!(status.success(), "{}: {status}", shown(command));
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
