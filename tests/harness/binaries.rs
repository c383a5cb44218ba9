//! What goes into images, and where it is.

use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

/// Names the directory of the binaries to be used.
pub const DIRECTORY: &str = "SWARMLINGS_BIN_DIR";

/// How the Dockerfile gives a target its binary.
const COPY: &str = "COPY --from=binaries /binaries/";

/// What the project puts into images: ping, hello, sidecar, hub and so on. The Dockerfile's targets are the list.
pub fn names() -> Vec<&'static str> {
    let copied = include_str!("../../Dockerfile").lines().filter_map(|line| line.strip_prefix(COPY));
    copied.filter_map(|files| files.split(' ').next()).collect()
}

/// A directory with all of [`names`] in it, or those that are wanted.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Those in `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Result<Self> {
        Self::some_at(directory, &names())
    }

    /// Those in `directory`, of which `wanted` have to be there.
    pub fn some_at(directory: impl Into<PathBuf>, wanted: &[&str]) -> Result<Self> {
        let directory = directory.into();
        let missing: Vec<_> = wanted.iter().copied().filter(|name| !directory.join(name).is_file()).collect();
        if !missing.is_empty() {
            bail!("looking for binaries in {}: no {}", directory.display(), missing.join(", "));
        }
        // The parts are started with other working directories, perhaps.
        let directory =
            directory.canonicalize().with_context(|| format!("resolving {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Those in [`DIRECTORY`], or else the newest in the target directory that this program was built to.
    pub fn find() -> Result<Self> {
        if let Some(named) = Self::named()? {
            return Ok(named);
        }
        let target = target_directory()?;
        let musl = format!("{}-unknown-linux-musl/release", env::consts::ARCH);
        let built = [musl.as_str(), "release", "debug"]
            .into_iter()
            .filter_map(|place| Self::at(target.join(place)).ok());
        built.max_by_key(Self::built_at).with_context(|| {
            let (target, names) = (target.display(), names().join(", "));
            format!("looking for {names} in {target}: not built yet, run `cargo xtask test --only build`")
        })
    }

    /// Those in [`DIRECTORY`], if that is set.
    pub fn named() -> Result<Option<Self>> {
        let directory = env::var_os(DIRECTORY).filter(|directory| !directory.is_empty());
        directory.map(Self::at).transpose().with_context(|| format!("using {DIRECTORY}"))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of one of [`names`].
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn built_at(&self) -> Option<SystemTime> {
        names().into_iter().filter_map(|name| self.path(name).metadata().ok()?.modified().ok()).max()
    }
}

/// Cargo's target directory: where this program itself was built to.
pub fn target_directory() -> Result<PathBuf> {
    let program = env::current_exe().context("looking for the running program")?;
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
    fn each_target_of_the_dockerfile_that_has_a_binary_is_called_like_it() {
        let stages = include_str!("../../Dockerfile").split("\nFROM ").filter(|stage| stage.contains(COPY));
        let targets = stages.filter_map(|stage| stage.lines().next()?.rsplit(' ').next());
        assert_eq!(targets.collect::<Vec<_>>(), names());
    }

    #[test]
    fn a_directory_must_hold_them_all() {
        let directory = tempfile::tempdir().unwrap();
        for name in names().into_iter().filter(|name| *name != "sidecar") {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let error = Binaries::at(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with(": no sidecar"), "{error}");
        fs::write(directory.path().join("sidecar"), "").unwrap();
        assert!(Binaries::at(directory.path()).unwrap().path("ping").is_file());
    }
}
