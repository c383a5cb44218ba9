//! Docker images: the project's, Traefik's, and images of single programs. All contain static binaries only.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::binaries::names;
use crate::{Binaries, Docker, tools};

/// Dockerfile of Traefik's image, with the paths of the official one.
const TRAEFIK: &str = r#"FROM scratch
COPY traefik /usr/local/bin/traefik
ENV PATH=/usr/local/bin
ENTRYPOINT ["traefik"]
"#;

/// Root directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the harness is two directories below the root")
}

/// The project's images, named `PREFIX/ping:TAG` and so on.
#[derive(Clone, Debug)]
pub struct Images {
    prefix: String,
    tag: String,
    arguments: Vec<String>,
}

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Name with prefix and tag.
    pub name: String,
    /// Size of all its files, uncompressed.
    pub bytes: u64,
}

impl Images {
    /// Images named `PREFIX/ping:TAG` and so on.
    pub fn new(prefix: impl Into<String>, tag: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), tag: tag.into(), arguments: Vec::new() }
    }

    /// Sets build arguments of the Dockerfile, each `KEY=VALUE`.
    #[must_use]
    pub fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// First part of the names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Tag of the names.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Variables of stack files and compose files that name these images, and the image `traefik`.
    pub fn variables(&self, traefik: &str) -> [(&'static str, String); 3] {
        [
            ("SWARMLINGS_PREFIX", self.prefix.clone()),
            ("SWARMLINGS_TAG", self.tag.clone()),
            ("TRAEFIK_IMAGE", traefik.to_owned()),
        ]
    }

    /// Name with prefix and tag of `ping` and so on.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}:{}", self.prefix, self.tag)
    }

    /// Builds all images from `binaries` for `architecture` in Docker's terms.
    pub fn build(&self, docker: &Docker, architecture: &str, binaries: &Binaries) -> Result<Vec<Image>> {
        let context = tempfile::tempdir().context("creating a directory for the images' files")?;
        // BuildKit reports `arm/v7` for an engine whose architecture is `arm`.
        let platform = if architecture == "arm" { "arm/v7" } else { architecture };
        copy_binaries(binaries, &context.path().join(platform.replace('/', "")))?;
        let platform = format!("linux/{platform}");
        let dockerfile = root().join("Dockerfile");
        let arguments = self.arguments.iter().flat_map(|argument| ["--build-arg", argument]);
        let arguments: Vec<_> = arguments.collect();
        names()
            .into_iter()
            .map(|name| {
                let flags = ["--target", name, "--build-arg", "BINARIES=outside", "--platform", &platform];
                build(
                    docker,
                    &self.name(name),
                    &dockerfile,
                    context.path(),
                    &[&flags[..], &arguments].concat(),
                )
            })
            .collect()
    }
}

/// Creates `directory` with the binaries of one platform, for the Dockerfile's build context.
pub fn copy_binaries(binaries: &Binaries, directory: &Path) -> Result<()> {
    fs::create_dir(directory).with_context(|| format!("creating {}", directory.display()))?;
    for name in names() {
        let binary = binaries.path(name);
        ensure_static(&binary)?;
        link_or_copy(&binary, &directory.join(name))?;
    }
    Ok(())
}

/// Builds an image of `program` with the sidecar, as shown in the README, and returns its name.
pub fn build_with_sidecar(docker: &Docker, images: &Images, program: &Path) -> Result<String> {
    let name = file_name(program)?;
    let dockerfile = format!(
        "FROM {}\nCOPY {name} /{name}\nENTRYPOINT [\"/sidecar\", \"run\", \"--\", \"/{name}\"]\n\
         HEALTHCHECK --interval=2s --start-period=120s CMD [\"/sidecar\", \"healthcheck\"]\n",
        images.name("sidecar")
    );
    build_with_program(docker, images.name(&name), &dockerfile, program, &name)
}

/// Builds an image of a service's `program` alone, which listens on port 8080, and returns its name.
pub fn build_plain(docker: &Docker, prefix: &str, program: &Path) -> Result<String> {
    let name = file_name(program)?;
    let dockerfile = format!(
        "FROM scratch\nCOPY {name} /{name}\nEXPOSE 8080\nENTRYPOINT [\"/{name}\"]\n\
         HEALTHCHECK CMD [\"/{name}\", \"healthcheck\"]\n"
    );
    build_with_program(docker, format!("{prefix}/{name}:plain"), &dockerfile, program, &name)
}

/// Builds an image of the Traefik binary at `program`, and returns its name.
pub fn build_traefik(docker: &Docker, prefix: &str, program: &Path) -> Result<String> {
    build_with_program(docker, traefik(prefix, program)?, TRAEFIK, program, "traefik")
}

/// Name of the image of the Traefik binary at `program`.
pub fn traefik(prefix: &str, program: &Path) -> Result<String> {
    Ok(format!("{prefix}/traefik:{}", tools::traefik_version(program)?))
}

fn file_name(program: &Path) -> Result<String> {
    let name = program.file_name().with_context(|| format!("{} has no file name", program.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// Builds `image` from the text of a Dockerfile and a context with `program` under `name`.
fn build_with_program(
    docker: &Docker,
    image: String,
    dockerfile: &str,
    program: &Path,
    name: &str,
) -> Result<String> {
    let context = tempfile::tempdir().context("creating a directory for an image's files")?;
    let file = context.path().join("Dockerfile");
    fs::write(&file, dockerfile).with_context(|| format!("writing {}", file.display()))?;
    ensure_static(program)?;
    link_or_copy(program, &context.path().join(name))?;
    build(docker, &image, &file, context.path(), &[])?;
    Ok(image)
}

/// Pushes an image to the registry in its name.
pub fn push(docker: &Docker, name: &str) -> Result<()> {
    docker.run(&["push", "--quiet", name]).map(drop).with_context(|| format!("pushing image {name}"))
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

/// Adds a file to a build context: as a hard link if possible, otherwise as a copy.
fn link_or_copy(file: &Path, to: &Path) -> Result<()> {
    let result = fs::hard_link(file, to).or_else(|_| fs::copy(file, to).map(|_| ()));
    result.with_context(|| format!("copying {} to {}", file.display(), to.display()))
}

/// Fails if a binary needs a dynamic loader, whose path would be near its beginning. In an image without a loader the kernel
/// would report that the binary itself does not exist.
fn ensure_static(binary: &Path) -> Result<()> {
    let mut start = Vec::new();
    let opened = File::open(binary).and_then(|file| file.take(8192).read_to_end(&mut start));
    opened.with_context(|| format!("reading {}", binary.display()))?;
    if start.windows(b"/ld-".len()).any(|window| window == b"/ld-") {
        bail!(
            "{} needs a dynamic loader, which images do not have: build it for a musl target",
            binary.display()
        );
    }
    Ok(())
}
