//! Commands, and above all cargo, called from here.

use std::env;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use harness::Binaries;
use harness::binaries::{self, names, target_directory};
use serde_json::Value;

use crate::needs;

/// The workspace's directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// A command of the cargo that has called this program, in the workspace's directory and without input.
pub fn cargo(subcommand: &str) -> Command {
    cargo_in(root(), subcommand)
}

/// The same in another directory.
pub fn cargo_in(directory: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(directory).stdin(Stdio::null());
    command
}

/// What cargo knows of the workspace that `directory` belongs to.
pub fn metadata(directory: &Path) -> Result<Value> {
    let mut command = cargo_in(directory, "metadata");
    let output = command.args(["--no-deps", "--format-version", "1"]).output();
    let output = output.context("running cargo metadata")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cargo metadata in {}: {}", directory.display(), said.trim());
    }
    serde_json::from_slice(&output.stdout).context("reading what cargo metadata says")
}

/// The target of binaries that need nothing from the image they are in, for this machine's architecture.
pub fn musl_target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}

/// All that goes into images, to be run here: those that the environment names, or else built as released.
pub fn for_this_machine() -> Result<Binaries> {
    if env::var_os(binaries::DIRECTORY).is_some() { Binaries::find() } else { release(None) }
}

/// Builds all that goes into images as released, for `target` or else for this machine.
pub fn release(target: Option<&str>) -> Result<Binaries> {
    release_of(&names(), target)
}

/// The same of some of it.
pub fn release_of(names: &[&str], target: Option<&str>) -> Result<Binaries> {
    // One by one: built together, all would get what one of them asks of a crate that they share, and a service more
    // would make other bytes of the others.
    let mut directory = None;
    for &name in names {
        let mut command = match target {
            Some(target) => for_images(target)?,
            None => cargo("build"),
        };
        let program = built(command.args(["--package", name])).with_context(|| format!("building {name}"))?;
        directory = program.parent().map(Path::to_owned);
    }
    Binaries::some_at(directory.context("there is nothing to build")?, names)
}

/// Builds an example of `package`, as released, for `target`.
pub fn example(target: &str, package: &str, name: &str) -> Result<PathBuf> {
    let mut command = for_images(target)?;
    command.args(["--package", package, "--example", name]);
    built(&mut command).with_context(|| format!("building example {name} of {package}"))
}

/// A build for `target` as images have it: linked as small as it gets, with the list of its dependencies in each binary,
/// where scanners find it, and without any path of this machine, so that all machines get the same bytes.
/// `xtask/compile.sh` is its twin.
fn for_images(target: &str) -> Result<Command> {
    let mut command = cargo("auditable");
    let path = needs::path();
    let directories = needs::auditable()?.into_iter().chain(env::split_paths(&path));
    command
        .env("PATH", env::join_paths(directories).context("extending PATH by cargo-auditable's directory")?);
    command.args(["build", "--locked", "--target", target]);
    // Not relative to here: cargo-auditable asks for the dependencies from elsewhere.
    command.arg("--config").arg(root().join(".cargo/images.toml"));
    // A later one wins, and the target directory is usually in the workspace's.
    let places =
        [(root().to_owned(), "/swarmlings"), (target_directory()?, "/target"), (cargo_home()?, "/cargo")];
    let flags = places.map(|(place, shown)| format!("--remap-path-prefix={}={shown}", place.display()));
    command.arg("--config").arg(format!("target.{target}.rustflags = {flags:?}"));
    Ok(command)
}

/// Where cargo keeps what it has fetched.
fn cargo_home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("looking for cargo's home: there is no HOME")
}

/// Runs a release build, and returns the last program that it has made.
fn built(command: &mut Command) -> Result<PathBuf> {
    made(command.arg("--release"))
}

/// The same of a build as it is.
pub fn made(command: &mut Command) -> Result<PathBuf> {
    all_made(command)?.pop().context("cargo build made no program")
}

/// Runs a build that prints messages, and returns the programs that it has made. Where they are, is cargo's to say: its
/// settings may name another target and another directory.
pub fn all_made(command: &mut Command) -> Result<Vec<PathBuf>> {
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stderr(Stdio::inherit()).output().context("running cargo build")?;
    ensure!(output.status.success(), "cargo build failed");
    let messages =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let programs = messages.filter_map(|message: Value| message["executable"].as_str().map(PathBuf::from));
    Ok(programs.collect())
}

/// Runs `command` with its output shown; another exit code than 0 is an error.
pub fn check(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("running {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
