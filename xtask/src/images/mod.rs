//! `cargo xtask images`: an image of each of the Dockerfile's targets that has a binary, for the engine here, or for all architectures.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use harness::binaries::names;
use harness::images::copy_binaries;
use harness::{Docker, Images};

use crate::{build, needs};

mod buildah;
mod layout;
mod origin;
mod platform;

pub(crate) use platform::Platform;

use buildah::Buildah;
use origin::Origin;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// Push an index of all platforms, instead of giving the Docker engine here its own
    #[arg(long, value_name = "HOST[:PORT]")]
    registry: Option<String>,
    /// The registry speaks HTTP, or has a certificate that nobody has signed
    #[arg(long, requires = "registry")]
    insecure: bool,
    /// Write an OCI layout of all platforms to DIR/ping and so on, instead of giving the Docker engine here its own
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Only these, instead of all that the toolchain has a standard library for; with --registry or --output
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_enum)]
    platforms: Vec<Platform>,
    /// Where the sources are published, for the images' labels [default: the remote `origin`, if there is one]
    #[arg(long, value_name = "URL")]
    source: Option<String>,
}

/// How images are called.
#[derive(clap::Args)]
pub(crate) struct Names {
    /// What comes before an image's name
    #[arg(long, value_name = "PREFIX", default_value = "swarmlings", env = "SWARMLINGS_PREFIX")]
    prefix: String,
    /// What comes after it
    #[arg(long, value_name = "TAG", default_value = "latest", env = "SWARMLINGS_TAG")]
    tag: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let origin = Origin::of_checkout(args.source.as_deref())?;
    if args.registry.is_none() && args.output.is_none() {
        ensure!(
            args.platforms.is_empty(),
            "a Docker engine holds its own platform only: --platform goes with --registry or --output"
        );
        return args.names.build_with(&Docker::from_environment()?, &origin).map(drop);
    }
    args.publish(&origin)
}

impl Names {
    /// Builds binaries for the engine's platform, and the images with them.
    pub(crate) fn build(&self, docker: &Docker) -> Result<Images> {
        self.build_with(docker, &Origin::of_checkout(None)?)
    }

    fn build_with(&self, docker: &Docker, origin: &Origin) -> Result<Images> {
        let architecture = docker.architecture()?;
        let platform = Platform::of_engine(&architecture)?;
        needs::target(platform.target())?;
        eprintln!("building {} for {}", names().join(", "), platform.name());
        let binaries = build::release(Some(platform.target()))?;
        let images = Images::new(&self.prefix, &self.tag).with_labels(origin.labels());
        for image in images.build(docker, &architecture, &binaries)? {
            // In units of 1,000, as Docker counts.
            println!("{:<28} {:>5} kB", image.name, image.bytes / 1000);
        }
        Ok(images)
    }
}

impl Args {
    /// Builds everything for all platforms, and pushes it or writes it down.
    fn publish(&self, origin: &Origin) -> Result<()> {
        let buildah = Buildah::new()?;
        if let Some(output) = &self.output {
            let is_taken = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some());
            ensure!(!is_taken, "writing to {}: the directory is not empty", output.display());
        }
        let context = tempfile::tempdir().context("creating a directory for the images' files")?;
        let mut platforms = Vec::new();
        for platform in self.wanted()? {
            eprintln!("building {} for {}", names().join(", "), platform.name());
            let binaries = build::release(Some(platform.target()))?;
            copy_binaries(&binaries, &context.path().join(platform.directory()))?;
            platforms.push(platform);
        }

        println!("{:<28} {:<16} {:>10} {:>11}", "image", "platform", "bytes", "compressed");
        for image in names() {
            let name = format!("{}/{image}:{}", self.names.prefix, self.names.tag);
            // One after the other: built at once they get into the index in any order.
            for platform in &platforms {
                buildah.build(image, *platform, context.path(), origin)?;
            }
            let layout = match &self.output {
                Some(output) => output.join(image),
                None => context.path().join("layout").join(image),
            };
            for sizes in layout::write(&buildah.export(image)?, &layout, &self.names.tag)? {
                println!("{name:<28} {:<16} {:>10} {:>11}", sizes.platform, sizes.bytes, sizes.compressed);
            }
            if let Some(registry) = &self.registry {
                let full = format!("{registry}/{name}");
                buildah::push(&layout, &self.names.tag, &full, self.insecure)?;
                eprintln!("pushed {full}");
            }
        }
        if let Some(output) = &self.output {
            eprintln!("wrote {}/{{{}}}", output.display(), names().join(","));
        }
        Ok(())
    }

    /// The platforms that were asked for, or else all that can be built for.
    fn wanted(&self) -> Result<Vec<Platform>> {
        if !self.platforms.is_empty() {
            let mut platforms = self.platforms.clone();
            platforms.sort_unstable();
            platforms.dedup();
            platforms.iter().try_for_each(|platform| needs::target(platform.target()))?;
            return Ok(platforms);
        }
        let mut platforms = Vec::new();
        for platform in Platform::value_variants() {
            match needs::target(platform.target()) {
                Ok(()) => platforms.push(*platform),
                Err(error) => eprintln!("{} is left out: {error:#}", platform.name()),
            }
        }
        if platforms.is_empty() {
            bail!("the toolchain has no standard library for any platform: see above");
        }
        Ok(platforms)
    }
}

/// Whether programs of this machine run on an engine of `architecture`.
pub(crate) fn is_this_machines(architecture: &str) -> bool {
    Platform::of_engine(architecture).is_ok_and(|platform| platform.target() == build::musl_target())
}
