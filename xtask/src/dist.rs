//! `cargo xtask dist`: pushes the images of a release, and writes the files that it publishes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::Binaries;
use harness::binaries::names;
use harness::process::run_ok;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::build::{Profile, check, root};
use crate::images::{self, Names, Origin, Platform};
use crate::needs;
use crate::release::changelog;

mod licences;

/// Platforms of the images and archives.
const PLATFORMS: [Platform; 2] = [Platform::Amd64, Platform::Arm64];

/// Programs that are published as archives too.
const ARCHIVED: [&str; 4] = ["load", "hub", "sidecar", "agent"];

const VERSION: &str = env!("CARGO_PKG_VERSION");

const HELP: &str = "\
Pushes the images of all programs for linux/amd64 and linux/arm64. Writes the release notes to DIR/notes.md, and to DIR/files:
  NAME-VERSION-linux-ARCH.tar.gz       load, hub, sidecar and agent, each with the licences of its dependencies
  NAME-VERSION-linux-ARCH.cdx.json     the dependencies of each program, in the format CycloneDX
  swarmlings-stacks-VERSION.tar.gz     the stack files
  images.sha256                        the digests of the images
  SHA256SUMS                           the checksums of all these files

Example:
  cargo xtask dist v0.3.0 --registry registry.lan:5000 --output dist";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Tag of the release: `v` and the version of this checkout
    #[arg(value_name = "TAG")]
    tag: String,
    /// Push the images to this registry
    #[arg(long, value_name = "HOST[:PORT]")]
    registry: String,
    /// Accept a registry without TLS, or with an untrusted certificate
    #[arg(long)]
    insecure: bool,
    /// Prefix of the images' names
    #[arg(long, value_name = "PREFIX", default_value = "swarmlings")]
    prefix: String,
    /// Directory for the files; must not exist or be empty
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// URL of the source code, for the images' labels [default: the URL of the git remote `origin`]
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Cargo profile of the programs, for tests
    #[arg(long, value_enum, hide = true, default_value_t = Profile::Release)]
    profile: Profile,
    /// Changelog to use instead of this checkout's, for tests
    #[arg(long, value_name = "FILE", hide = true)]
    changelog: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let expected = concat!("v", env!("CARGO_PKG_VERSION"));
    ensure!(
        args.tag == expected,
        "tag {}: this checkout is version {VERSION}, expected {expected}",
        args.tag
    );
    ensure!(!args.registry.is_empty(), "--registry: expected HOST[:PORT], got an empty text");
    let changelog = args.changelog.clone().unwrap_or_else(|| root().join("CHANGELOG.md"));
    let changelog =
        fs::read_to_string(&changelog).with_context(|| format!("reading {}", changelog.display()))?;
    let notes = changelog::notes(&changelog, VERSION)?;
    // Before anything is pushed.
    let is_free = fs::read_dir(&args.output).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_free, "--output {}: the directory is not empty", args.output.display());
    let crates = licences::Crates::read()?;
    let sbom = needs::auditable2cdx()?;
    let scratch = tempfile::tempdir().context("creating a directory for the files of a release")?;
    let layouts = scratch.path().join("images");
    images::run(&images::Args {
        names: Names { prefix: args.prefix.clone(), tag: VERSION.to_owned() },
        registry: Some(args.registry.clone()),
        insecure: args.insecure,
        output: Some(layouts.clone()),
        platforms: PLATFORMS.to_vec(),
        source: args.source.clone(),
        profile: args.profile,
    })?;

    let files = args.output.join("files");
    fs::create_dir_all(&files).with_context(|| format!("creating {}", files.display()))?;
    write(&args.output.join("notes.md"), format!("{notes}\n"))?;
    write(&files.join("images.sha256"), digests(&layouts, &args.registry, &args.prefix)?)?;
    let archive = Archive { files: &files, time: Origin::of_checkout(None)?.time };
    archive.write(&format!("swarmlings-stacks-{VERSION}"), root(), "stacks")?;
    for platform in PLATFORMS {
        // Up to date.
        let binaries = images::build_programs(platform, args.profile)?;
        for name in names() {
            let base = format!("{name}-{VERSION}-{}", platform.name().replace('/', "-"));
            let list = run_ok(Command::new(&sbom).arg(binaries.path(name)))
                .with_context(|| format!("listing the dependencies of {name}"))?;
            write(&files.join(format!("{base}.cdx.json")), list)?;
            if ARCHIVED.contains(&name) {
                add_files(&scratch.path().join(&base), &binaries, name, &crates)?;
                archive.write(&base, scratch.path(), &base)?;
            }
        }
    }
    write(&files.join("SHA256SUMS"), checksums(&files)?)?;
    eprintln!("wrote {} and {}", args.output.join("notes.md").display(), files.display());
    Ok(())
}

/// The digests of the images, in the format of sha256sum.
fn digests(layouts: &Path, registry: &str, prefix: &str) -> Result<String> {
    let lines = names().into_iter().map(|name| {
        let index = layouts.join(name).join("index.json");
        let text = fs::read(&index).with_context(|| format!("reading {}", index.display()))?;
        let index: Value = serde_json::from_slice(&text).context("parsing an image's index")?;
        let digest =
            index["manifests"][0]["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let digest = digest.with_context(|| format!("the index of image {name} has no digest"))?;
        Ok(format!("{digest}  {registry}/{prefix}/{name}:{VERSION}\n"))
    });
    lines.collect()
}

/// Fills the directory of an archive: program and licences.
fn add_files(directory: &Path, binaries: &Binaries, name: &str, crates: &licences::Crates) -> Result<()> {
    fs::create_dir(directory).with_context(|| format!("creating {}", directory.display()))?;
    let program = binaries.path(name);
    let copies = [&program, &root().join("LICENSE-MIT"), &root().join("LICENSE-APACHE")];
    for file in copies {
        let to = directory.join(file.file_name().unwrap_or_default());
        fs::copy(file, &to).with_context(|| format!("copying {}", file.display()))?;
    }
    write(&directory.join("THIRD-PARTY"), crates.notices(&program)?)
}

/// Writes archives whose bytes depend on their files only.
struct Archive<'a> {
    files: &'a Path,
    time: u64,
}

impl Archive<'_> {
    /// Packs `content`, a directory in `parent`, as `NAME.tar.gz`.
    fn write(&self, name: &str, parent: &Path, content: &str) -> Result<()> {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
        // Hidden files are temporary.
        tar.args(["--mode=u=rwX,go=rX", "--exclude=.*", "--use-compress-program=gzip -9n"]);
        tar.arg(format!("--mtime=@{}", self.time)).arg("--directory").arg(parent);
        tar.arg("--file").arg(self.files.join(format!("{name}.tar.gz"))).arg(content);
        check(&mut tar)
    }
}

/// The checksums of all files in `directory`, in the format of sha256sum.
fn checksums(directory: &Path) -> Result<String> {
    let reading = || format!("reading {}", directory.display());
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let bytes = fs::read(entry.path()).with_context(reading)?;
        let digest = <[u8; 32]>::from(Sha256::digest(bytes)).map(|byte| format!("{byte:02x}")).concat();
        lines.push((entry.file_name(), digest));
    }
    lines.sort();
    let lines = lines.iter().map(|(name, digest)| format!("{digest}  {}\n", name.display()));
    Ok(lines.collect())
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
