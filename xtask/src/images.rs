//! `cargo xtask images`: an image of each of ping, hello, sidecar and hub.

use anyhow::{Result, bail};
use swarmlings_harness::{Docker, Images};

use crate::{build, needs};

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
        needs::target(target)?;
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

/// Whether programs of this machine run on an engine of `architecture`.
pub(crate) fn is_this_machines(architecture: &str) -> bool {
    musl_target(architecture).is_ok_and(|target| target == build::musl_target())
}
