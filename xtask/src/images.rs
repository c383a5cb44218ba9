//! `cargo xtask images`: an image of each of ping, hello, sidecar and hub.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use swarmlings_harness::{Docker, Images, root};

use crate::build;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What comes before an image's name
    #[arg(long, value_name = "PREFIX", default_value = "swarmlings", env = "SWARMLINGS_PREFIX")]
    prefix: String,
    /// What comes after it
    #[arg(long, value_name = "TAG", default_value = "latest", env = "SWARMLINGS_TAG")]
    tag: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    args.build(&Docker::from_environment()?)?;
    Ok(())
}

impl Args {
    /// Builds binaries for the engine's architecture, and the images with them.
    pub(crate) fn build(&self, docker: &Docker) -> Result<Images> {
        let architecture = docker.architecture()?;
        let target = musl_target(&architecture)?;
        ensure_target(target)?;
        eprintln!("building ping, hello, sidecar and hub for {target}");
        let binaries = build::release(Some(target))?;
        let images = Images::new(&self.prefix, &self.tag);
        for image in images.build(docker, &architecture, &binaries)? {
            // In units of 1,000, as Docker counts.
            println!("{:<28} {:>5} kB", image.name, image.bytes / 1000);
        }
        Ok(images)
    }
}

/// Rust's target for binaries that need nothing from the image they are in.
fn musl_target(architecture: &str) -> Result<&'static str> {
    Ok(match architecture {
        "amd64" => "x86_64-unknown-linux-musl",
        "arm64" => "aarch64-unknown-linux-musl",
        other => bail!("the Docker engine's architecture is {other}: images are made for amd64 and arm64"),
    })
}

/// Adds `target` to the toolchain if it is missing.
fn ensure_target(target: &str) -> Result<()> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let output = output.context("running rustc")?;
    ensure!(output.status.success(), "running rustc: {}", String::from_utf8_lossy(&output.stderr).trim());
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if std::path::Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    eprintln!("adding {target} to the Rust toolchain");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null());
    let status = rustup.status();
    let status = status.with_context(|| {
        format!("adding {target}: no rustup; install the target's rust-std by other means")
    })?;
    ensure!(status.success(), "adding {target}: rustup target add {target} failed");
    Ok(())
}
