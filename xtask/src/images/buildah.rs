//! Images for several platforms in one index: buildah's work, and skopeo's, which need no engine, and whose bytes depend
//! on nothing but the files and the time that they are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use harness::tools;
use tempfile::TempDir;

use super::origin::Origin;
use super::platform::Platform;
use crate::build::root;

/// A store of images of one's own, gone when dropped.
pub(crate) struct Buildah {
    store: TempDir,
}

impl Buildah {
    /// An empty store.
    pub(crate) fn new() -> Result<Self> {
        let is_missing = |program: &&str| tools::on_path(program).is_none();
        let missing: Vec<_> = ["buildah", "skopeo"].into_iter().filter(is_missing).collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            bail!(
                "images for several platforms take {missing}: on Debian or Ubuntu, `apt-get install {missing}`"
            );
        }
        Ok(Self { store: tempfile::tempdir().context("creating a directory for images")? })
    }

    /// Builds the Dockerfile's target `image` for `platform`, of the binaries that `context` has, and adds it to the
    /// index of that name.
    pub(crate) fn build(
        &self,
        image: &str,
        platform: Platform,
        context: &Path,
        origin: &Origin,
    ) -> Result<()> {
        let mut command = self.command("build");
        // Not the OCI's own format, which has no health check (see `layout`). The label would be buildah's version.
        command.args(["--format", "docker", "--identity-label=false", "--quiet", "--pull-never"]);
        command.args(["--timestamp", &origin.time().to_string(), "--build-arg", "BINARIES=outside"]);
        command.args(["--target", image, "--manifest", image, "--platform", platform.name()]);
        command.args(origin.labels().iter().flat_map(|label| ["--label", label]));
        command.arg("--file").arg(root().join("Dockerfile")).arg(context);
        finish(&mut command).with_context(|| format!("building image {image} for {}", platform.name()))
    }

    /// Writes the index `image`, and all that it names, into a directory: one file each, called by its digest.
    pub(crate) fn export(&self, image: &str) -> Result<PathBuf> {
        let [plain, compressed] =
            ["plain", "compressed"].map(|kind| self.store.path().join(kind).join(image));
        for directory in [&plain, &compressed] {
            fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        }
        let [from, to] = [&plain, &compressed].map(|directory| format!("dir:{}", directory.display()));
        let mut command = self.command("manifest");
        command.args(["push", "--all", "--quiet", image, &from]);
        finish(&mut command).with_context(|| format!("exporting image {image}"))?;
        copy(&["--dest-compress", "--dest-compress-level", "9"], &from, &to)?;
        Ok(compressed)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new("buildah");
        for (flag, directory) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(flag).arg(self.store.path().join(directory));
        }
        // It works everywhere, and images as small as these are copied in no time.
        command.args(["--storage-driver", "vfs", subcommand]).stdin(Stdio::null());
        command
    }
}

/// Pushes the index that is called `tag` in an OCI layout, and all that it names, byte by byte to a registry, as `name`.
pub(crate) fn push(layout: &Path, tag: &str, name: &str, insecure: bool) -> Result<()> {
    let flags: &[&str] = if insecure { &["--dest-tls-verify=false"] } else { &[] };
    copy(flags, &format!("oci:{}:{tag}", layout.display()), &format!("docker://{name}"))
}

fn copy(flags: &[&str], from: &str, to: &str) -> Result<()> {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--all", "--quiet"]).args(flags).args([from, to]).stdin(Stdio::null());
    finish(&mut command).with_context(|| format!("copying an image to {to}"))
}

fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
