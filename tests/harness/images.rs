//! The project's images, built from binaries that need nothing but a kernel.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::binaries::names;
use crate::{Binaries, Docker, tools};

/// An image of a Traefik binary, laid out as in the official image.
const TRAEFIK: &str = r#"FROM scratch
COPY traefik /usr/local/bin/traefik
ENV PATH=/usr/local/bin
ENTRYPOINT ["traefik"]
"#;

/// The workspace's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the harness is two directories below the root")
}

/// How a set of images is called: `PREFIX/ping:TAG` and so on.
#[derive(Clone, Debug)]
pub struct Images {
    prefix: String,
    tag: String,
    labels: Vec<String>,
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Image {
    /// With prefix and tag.
    pub name: String,
    /// Of all its files, unpacked.
    pub bytes: u64,
}

impl Images {
    /// Images that are called `PREFIX/ping:TAG` and so on.
    pub fn new(prefix: impl Into<String>, tag: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), tag: tag.into(), labels: Vec::new() }
    }

    /// With labels, each `KEY=VALUE`, besides those that the Dockerfile has.
    #[must_use]
    pub fn with_labels(self, labels: Vec<String>) -> Self {
        Self { labels, ..self }
    }

    /// What comes before a name.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What comes after it.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The whole name of `ping` and so on.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}:{}", self.prefix, self.tag)
    }

    /// Builds all of them from `binaries`, which are for `architecture` (as Docker names it).
    pub fn build(&self, docker: &Docker, architecture: &str, binaries: &Binaries) -> Result<Vec<Image>> {
        let context = tempfile::tempdir().context("creating a directory for the images' files")?;
        // The engine may be more precise about its own platform than the directory's name, or less.
        let platform = if architecture == "arm" { "arm/v7" } else { architecture };
        lay_out(binaries, &context.path().join(platform.replace('/', "")))?;
        let platform = format!("linux/{platform}");
        let dockerfile = root().join("Dockerfile");
        let labels: Vec<_> = self.labels.iter().flat_map(|label| ["--label", label]).collect();
        names()
            .into_iter()
            .map(|name| {
                let flags = ["--target", name, "--build-arg", "BINARIES=outside", "--platform", &platform];
                build(docker, &self.name(name), &dockerfile, context.path(), &[&flags[..], &labels].concat())
            })
            .collect()
    }
}

/// Makes `directory` a platform's part of the Dockerfile's build context.
pub fn lay_out(binaries: &Binaries, directory: &Path) -> Result<()> {
    fs::create_dir(directory).with_context(|| format!("creating {}", directory.display()))?;
    for name in names() {
        let binary = binaries.path(name);
        ensure_static(&binary)?;
        place(&binary, &directory.join(name))?;
    }
    Ok(())
}

/// Builds an image of a service of one's own, in the way that the README shows, and returns its name.
pub fn build_wrapped(docker: &Docker, images: &Images, program: &Path) -> Result<String> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let context = tempfile::tempdir().context("creating a directory for an image's files")?;
    let dockerfile = context.path().join("Dockerfile");
    let text = format!(
        "FROM {}\nCOPY {name} /{name}\nENTRYPOINT [\"/sidecar\", \"run\", \"--\", \"/{name}\"]\n\
         HEALTHCHECK --interval=2s --start-period=60s CMD [\"/sidecar\", \"healthcheck\"]\n",
        images.name("sidecar")
    );
    fs::write(&dockerfile, text).with_context(|| format!("writing {}", dockerfile.display()))?;
    ensure_static(program)?;
    place(program, &context.path().join(&*name))?;
    let image = images.name(&name);
    build(docker, &image, &dockerfile, context.path(), &[])?;
    Ok(image)
}

/// Builds an image that holds nothing but a service's `program`, which listens on port 8080, and returns its name.
pub fn build_plain(docker: &Docker, prefix: &str, program: &Path) -> Result<String> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let context = tempfile::tempdir().context("creating a directory for an image's files")?;
    let dockerfile = context.path().join("Dockerfile");
    let text = format!(
        "FROM scratch\nCOPY {name} /{name}\nEXPOSE 8080\nENTRYPOINT [\"/{name}\"]\n\
         HEALTHCHECK CMD [\"/{name}\", \"healthcheck\"]\n"
    );
    fs::write(&dockerfile, text).with_context(|| format!("writing {}", dockerfile.display()))?;
    ensure_static(program)?;
    place(program, &context.path().join(&*name))?;
    let image = format!("{prefix}/{name}:plain");
    build(docker, &image, &dockerfile, context.path(), &[])?;
    Ok(image)
}

/// Pushes an image to the registry that its name begins with.
pub fn push(docker: &Docker, name: &str) -> Result<()> {
    docker.run(&["push", "--quiet", name]).map(drop).with_context(|| format!("pushing image {name}"))
}

/// Builds an image that holds nothing but the Traefik at `program`, and returns its name.
pub fn build_traefik(docker: &Docker, prefix: &str, program: &Path) -> Result<String> {
    let context = tempfile::tempdir().context("creating a directory for Traefik's image")?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(&dockerfile, TRAEFIK).with_context(|| format!("writing {}", dockerfile.display()))?;
    ensure_static(program)?;
    place(program, &context.path().join("traefik"))?;
    let name = format!("{prefix}/traefik:{}", tools::traefik_version(program)?);
    build(docker, &name, &dockerfile, context.path(), &[])?;
    Ok(name)
}

pub(crate) fn build(
    docker: &Docker,
    name: &str,
    dockerfile: &Path,
    context: &Path,
    flags: &[&str],
) -> Result<Image> {
    let paths = [dockerfile, context].map(Path::to_string_lossy);
    let mut arguments = vec!["build", "--quiet", "--tag", name, "--file", &paths[0]];
    arguments.extend(flags);
    arguments.push(&paths[1]);
    docker
        .run_command(&arguments, docker.builder(&arguments)?)
        .with_context(|| format!("building image {name}"))?;
    let bytes = docker.run(&["image", "inspect", "--format", "{{.Size}}", name])?;
    let bytes = bytes.parse().with_context(|| format!("reading the size {bytes:?} of image {name}"))?;
    Ok(Image { name: name.to_owned(), bytes })
}

/// Gives a build context a file: as a link where that can be.
fn place(file: &Path, to: &Path) -> Result<()> {
    let placed = fs::hard_link(file, to).or_else(|_| fs::copy(file, to).map(|_| ()));
    placed.with_context(|| format!("copying {} to {}", file.display(), to.display()))
}

/// A binary that wants a dynamic loader names it near its beginning. In an image without one it cannot be started, and
/// the kernel's reason is that the binary itself is not there.
fn ensure_static(binary: &Path) -> Result<()> {
    let mut beginning = Vec::new();
    let opened = File::open(binary).and_then(|file| file.take(8192).read_to_end(&mut beginning));
    opened.with_context(|| format!("reading {}", binary.display()))?;
    if beginning.windows(b"/ld-".len()).any(|window| window == b"/ld-") {
        bail!(
            "{} wants a dynamic loader, which images do not have: a musl build is needed",
            binary.display()
        );
    }
    Ok(())
}
