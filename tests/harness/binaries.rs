//! The project's binaries.

use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

/// Environment variable with the directory of the binaries.
pub const DIRECTORY: &str = "SWARMLINGS_BIN_DIR";

/// Prefix of the Dockerfile's lines that add a binary to an image.
const COPY: &str = "COPY --from=binaries /binaries/";

/// Names of all binaries that have an image, from the Dockerfile: ping, hello, sidecar, hub and so on.
pub fn names() -> Vec<&'static str> {
    let copied = include_str!("../../Dockerfile").lines().filter_map(|line| line.strip_prefix(COPY));
    copied.filter_map(|files| files.split(' ').next()).collect()
}

/// A directory with all binaries of [`names`], or some of them.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// All binaries in `directory`. Fails if one is missing.
    pub fn at(directory: impl Into<PathBuf>) -> Result<Self> {
        Self::some_at(directory, &names())
    }

    /// The binaries in `directory`. Fails if one of `required` is missing.
    pub fn some_at(directory: impl Into<PathBuf>, required: &[&str]) -> Result<Self> {
        let directory = directory.into();
        let missing: Vec<_> =
            required.iter().copied().filter(|name| !directory.join(name).is_file()).collect();
        if !missing.is_empty() {
            bail!("looking for binaries in {}: missing {}", directory.display(), missing.join(", "));
        }
        // Processes may be started in other directories.
        let directory =
            directory.canonicalize().with_context(|| format!("resolving {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// The binaries in [`DIRECTORY`], or the newest ones in Cargo's target directory.
    pub fn find() -> Result<Self> {
        if let Some(binaries) = Self::from_environment()? {
            return Ok(binaries);
        }
        let target = target_directory()?;
        let musl = format!("{}-unknown-linux-musl/release", env::consts::ARCH);
        let built = [musl.as_str(), "release", "debug"]
            .into_iter()
            .filter_map(|place| Self::at(target.join(place)).ok());
        built.max_by_key(Self::built_at).with_context(|| {
            let (target, names) = (target.display(), names().join(", "));
            format!("looking for {names} in {target}: not built; run `cargo xtask test --only build`")
        })
    }

    /// The binaries in [`DIRECTORY`], if it is set.
    pub fn from_environment() -> Result<Option<Self>> {
        let directory = env::var_os(DIRECTORY).filter(|directory| !directory.is_empty());
        directory.map(Self::at).transpose().with_context(|| format!("using {DIRECTORY}"))
    }

    /// Directory of the binaries.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Path of one of [`names`].
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn built_at(&self) -> Option<SystemTime> {
        names().into_iter().filter_map(|name| self.path(name).metadata().ok()?.modified().ok()).max()
    }
}

/// Returns Cargo's target directory, in which this program was built.
pub fn target_directory() -> Result<PathBuf> {
    let program = env::current_exe().context("finding the path of this program")?;
    let tagged = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    tagged.map(Path::to_owned).with_context(|| {
        format!("looking for cargo's target directory above {}: no CACHEDIR.TAG", program.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_dockerfile_target_is_named_after_its_binary() {
        let stages = include_str!("../../Dockerfile").split("\nFROM ").filter(|stage| stage.contains(COPY));
        let targets = stages.filter_map(|stage| stage.lines().next()?.rsplit(' ').next());
        assert_eq!(targets.collect::<Vec<_>>(), names());
    }

    #[test]
    fn directory_must_have_all_binaries() {
        let directory = tempfile::tempdir().unwrap();
        for name in names().into_iter().filter(|name| *name != "sidecar") {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let error = Binaries::at(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with(": missing sidecar"), "{error}");
        fs::write(directory.path().join("sidecar"), "").unwrap();
        assert!(Binaries::at(directory.path()).unwrap().path("ping").is_file());
    }
}
