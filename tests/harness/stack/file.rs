//! Stack files, as the client can read them.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::{NamedTempFile, TempPath};

use crate::Docker;

/// A stack file as the client can read it.
pub(super) enum Usable {
    Itself(String),
    /// With a version.
    Copy(TempPath),
}

impl Usable {
    pub(super) fn new(docker: &Docker, file: &Path) -> Result<Self> {
        let shown = || file.display();
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", shown()))?;
        // Older clients take a file without a version for one of 2014.
        if docker.client_major()? >= 23 || text.lines().any(|line| line.starts_with("version:")) {
            return Ok(Self::Itself(file.to_string_lossy().into_owned()));
        }
        let mut copy = NamedTempFile::new().context("creating a file for a stack")?;
        copy.write_all(format!("version: \"3.9\"\n{text}").as_bytes())
            .with_context(|| format!("copying {}", shown()))?;
        Ok(Self::Copy(copy.into_temp_path()))
    }

    pub(super) fn path(&self) -> &str {
        match self {
            Self::Itself(path) => path,
            // The system's own directory for such files has a name that can be read.
            Self::Copy(path) => path.to_str().unwrap_or_default(),
        }
    }
}
