//! `cargo xtask images`: builds the Dockerfile's targets, for the local Docker engine or for several platforms.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use harness::binaries::names;
use harness::images::copy_binaries;
use harness::{Binaries, Docker, Images};

use crate::build::{self, Profile};
use crate::needs;
use buildah::Buildah;

mod buildah;
mod layout;
mod origin;
mod platform;

pub(crate) use origin::Origin;
pub(crate) use platform::Platform;

const HELP: &str = "\
Each image contains one or two static programs and nothing else. By default the images are for the Docker \
engine of this host. With --registry or --output they are for several platforms, joined by an index; \
buildah and skopeo build them, without a Docker engine. The same commit gives the same bytes on every \
machine.

Examples:
  cargo xtask images
  cargo xtask images --registry registry.lan:5000 --insecure
  cargo xtask images --output layout --platform linux/amd64,linux/arm64
  skopeo copy --all oci:layout/ping:TAG docker://registry.lan:5000/ping:TAG";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) names: Names,
    /// Push the images of all platforms to this registry
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) registry: Option<String>,
    /// Accept a registry without TLS, or with an untrusted certificate
    #[arg(long, requires = "registry")]
    pub(crate) insecure: bool,
    /// Write the images of all platforms to DIR, each as an OCI layout: DIR/ping and so on
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Platforms to build for, separated by commas; needs --registry or --output [default: all that the toolchain supports]
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_enum)]
    pub(crate) platforms: Vec<Platform>,
    /// URL of the source code, for the images' labels [default: the URL of the git remote `origin`]
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// Cargo profile of the programs: `release`, or `fast`, which compiles in a third of the time
    #[arg(long, value_name = "PROFILE", value_enum, hide_possible_values = true, default_value_t = Profile::Release)]
    pub(crate) profile: Profile,
}

/// Names of images: `PREFIX/ping:TAG` and so on.
#[derive(clap::Args)]
pub(crate) struct Names {
    /// Prefix of the images' names
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "swarmlings",
        env = "SWARMLINGS_PREFIX",
        hide_env_values = true
    )]
    pub(crate) prefix: String,
    /// Tag of the images
    #[arg(
        long,
        value_name = "TAG",
        default_value = env!("CARGO_PKG_VERSION"),
        env = "SWARMLINGS_TAG",
        hide_env_values = true
    )]
    pub(crate) tag: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let origin = Origin::of_checkout(args.source.as_deref())?;
    if args.registry.is_some() || args.output.is_some() {
        return publish(args, &origin);
    }
    ensure!(
        args.platforms.is_empty(),
        "--platform needs --registry or --output: a Docker engine holds images of its own platform only"
    );
    args.names.build_with(&Docker::from_environment()?, &origin, args.profile).map(drop)
}

impl Names {
    /// Name with prefix and tag of `ping` and so on.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("{}/{image}:{}", self.prefix, self.tag)
    }

    /// Builds the images for the platform of `docker`, as released.
    pub(crate) fn build(&self, docker: &Docker) -> Result<Images> {
        self.build_with(docker, &Origin::of_checkout(None)?, Profile::Release)
    }

    fn build_with(&self, docker: &Docker, origin: &Origin, profile: Profile) -> Result<Images> {
        let architecture = docker.architecture()?;
        let binaries = build_programs(Platform::of_engine(&architecture)?, profile)?;
        let images = Images::new(&self.prefix, &self.tag).with_arguments(origin.arguments.clone());
        for image in images.build(docker, &architecture, &binaries)? {
            // 1 kB is 1,000 bytes, as in Docker's output.
            println!("{:<28} {:>5} kB", image.name, image.bytes / 1000);
        }
        Ok(images)
    }
}

pub(crate) fn build_programs(platform: Platform, profile: Profile) -> Result<Binaries> {
    needs::target(platform.target())?;
    eprintln!("building {} for {}", names().join(", "), platform.name());
    build::programs(&names(), profile, Some(platform.target()))
}

/// Builds the images of all platforms, and pushes them or writes them to a directory.
fn publish(args: &Args, origin: &Origin) -> Result<()> {
    let buildah = Buildah::new()?;
    if let Some(output) = &args.output {
        let is_empty = fs::read_dir(output).map_or(true, |mut entries| entries.next().is_none());
        ensure!(is_empty, "--output {}: the directory is not empty", output.display());
    }
    let platforms = platforms(args)?;
    let context = tempfile::tempdir().context("creating a directory for the images' files")?;
    for platform in &platforms {
        let binaries = build_programs(*platform, args.profile)?;
        copy_binaries(&binaries, &context.path().join(platform.directory()))?;
    }

    println!("{:<28} {:<16} {:>10} {:>11}", "image", "platform", "bytes", "compressed");
    for image in names() {
        let name = args.names.name(image);
        // In sequence: the order in the index is the order of building.
        for platform in &platforms {
            buildah.build(image, *platform, context.path(), origin)?;
        }
        let layout = match &args.output {
            Some(output) => output.join(image),
            None => context.path().join("layout").join(image),
        };
        for sizes in layout::write(&buildah.export(image)?, &layout, &args.names.tag)? {
            println!("{name:<28} {:<16} {:>10} {:>11}", sizes.platform, sizes.bytes, sizes.compressed);
        }
        if let Some(registry) = &args.registry {
            let full = format!("{registry}/{name}");
            buildah::push(&layout, &args.names.tag, &full, args.insecure)?;
            eprintln!("pushed {full}");
        }
    }
    if let Some(output) = &args.output {
        eprintln!("wrote {}/{{{}}}", output.display(), names().join(","));
    }
    Ok(())
}

/// The requested platforms, or all that the toolchain supports.
fn platforms(args: &Args) -> Result<Vec<Platform>> {
    let mut platforms = args.platforms.clone();
    if platforms.is_empty() {
        for platform in Platform::value_variants() {
            match needs::target(platform.target()) {
                Ok(()) => platforms.push(*platform),
                Err(error) => eprintln!("skipping {}: {error:#}", platform.name()),
            }
        }
        ensure!(!platforms.is_empty(), "the toolchain supports no platform: see the messages above");
    }
    platforms.sort_unstable();
    platforms.dedup();
    Ok(platforms)
}

/// Whether an engine of `architecture` can run this machine's programs.
pub(crate) fn is_for_this_machine(architecture: &str) -> bool {
    Platform::of_engine(architecture).is_ok_and(|platform| platform.target() == build::musl_target())
}
