//! Images for several platforms, built and copied by buildah and skopeo. They need no Docker engine, and the bytes that
//! they produce depend only on the files and the time stamp.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use harness::process::run_ok;
use tempfile::TempDir;

use super::origin::Origin;
use super::platform::Platform;
use crate::build::root;
use crate::needs;

/// A temporary store of images. Dropping it removes it.
pub(crate) struct Buildah {
    store: TempDir,
}

impl Buildah {
    /// Creates an empty store. Installs buildah and skopeo if needed.
    pub(crate) fn new() -> Result<Self> {
        needs::programs(&[("buildah", "buildah"), ("skopeo", "skopeo")], false)
            .context("images for several platforms are built by buildah and skopeo")?;
        Ok(Self { store: tempfile::tempdir().context("creating a directory for images")? })
    }

    /// Builds the Dockerfile's target `image` for `platform` from the programs in `context`, and adds it to the index
    /// of that name.
    pub(crate) fn build(
        &self,
        image: &str,
        platform: Platform,
        context: &Path,
        origin: &Origin,
    ) -> Result<()> {
        let mut command = self.command("build");
        // The OCI format has no health check (see `layout`). The identity label would contain buildah's version.
        command.args(["--format", "docker", "--identity-label=false", "--quiet", "--pull-never"]);
        command.args(["--timestamp", &origin.time.to_string(), "--build-arg", "BINARIES=outside"]);
        command.args(["--target", image, "--manifest", image, "--platform", platform.name()]);
        command.args(origin.arguments.iter().flat_map(|argument| ["--build-arg", argument]));
        command.arg("--file").arg(root().join("Dockerfile")).arg(context);
        run_ok(&mut command)
            .map(drop)
            .with_context(|| format!("building image {image} for {}", platform.name()))
    }

    /// Writes the index `image` and everything it refers to into a directory, as files named by their digests.
    pub(crate) fn export(&self, image: &str) -> Result<PathBuf> {
        let [plain, compressed] =
            ["plain", "compressed"].map(|kind| self.store.path().join(kind).join(image));
        for directory in [&plain, &compressed] {
            fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        }
        let [from, to] = [&plain, &compressed].map(|directory| format!("dir:{}", directory.display()));
        let mut command = self.command("manifest");
        command.args(["push", "--all", "--quiet", image, &from]);
        run_ok(&mut command).with_context(|| format!("exporting image {image}"))?;
        copy(&["--dest-compress", "--dest-compress-level", "9"], &from, &to)?;
        Ok(compressed)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new("buildah");
        for (flag, directory) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(flag).arg(self.store.path().join(directory));
        }
        // This driver works on every file system, and the images are too small for its copies to matter.
        command.args(["--storage-driver", "vfs", subcommand]).stdin(Stdio::null());
        command
    }
}

/// Pushes the index `tag` in an OCI layout, and everything it refers to, unchanged to a registry as `name`.
pub(crate) fn push(layout: &Path, tag: &str, name: &str, insecure: bool) -> Result<()> {
    let flags: &[&str] = if insecure { &["--dest-tls-verify=false"] } else { &[] };
    copy(flags, &format!("oci:{}:{tag}", layout.display()), &format!("docker://{name}"))
}

fn copy(flags: &[&str], from: &str, to: &str) -> Result<()> {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--all", "--quiet"]).args(flags).args([from, to]);
    run_ok(&mut command).map(drop).with_context(|| format!("copying an image to {to}"))
}
