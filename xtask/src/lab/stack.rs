//! `cargo xtask lab stack`: a stack file on the lab.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::stack::{SETTLE_TIMEOUT, Settings, Stack, ensure_token};
use harness::{Docker, Lab, tools};

use crate::build;

/// The secret that holds the token, as `stacks/demo.yml` calls it by default.
const TOKEN: &str = "swarmlings_token";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The stack file
    file: PathBuf,
    /// The stack's name; by default, the file's without its ending
    #[arg(long)]
    name: Option<String>,
}

impl Args {
    pub(crate) fn run(&self, lab: &Lab) -> Result<()> {
        ensure!(self.file.is_file(), "there is no stack file {}", self.file.display());
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                self.file.file_stem().context("the stack file has no name")?.to_string_lossy().into_owned()
            }
        };
        let binaries = build::release(Some(&build::musl_target()))?;
        eprintln!("building images, and pushing them to {}", lab.registry());
        let (images, traefik) = lab.provide_images(&binaries, &tools::traefik()?)?;
        if ensure_token(lab.docker(), TOKEN)? {
            eprintln!("made the token, as secret {TOKEN}");
        }

        let began = Instant::now();
        eprintln!("deploying stack {name}");
        let settings = Settings {
            images: &images,
            traefik: &traefik,
            token: TOKEN,
            port: 80,
            dashboard_port: 8080,
            variables: &[],
        };
        let stack = lab.stack(&name);
        stack.deploy(std::slice::from_ref(&self.file), &settings)?;
        provide_own(lab, &stack)?;
        for service in stack.outdated()? {
            eprintln!("updating {} to its new image", stack.service(&service));
            stack.force_update(&service)?;
        }
        stack.wait_running(SETTLE_TIMEOUT).inspect_err(|_| stack.print_state())?;
        println!("{name} runs after {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Gives each node those images of the stack that only this machine's own engine has.
fn provide_own(lab: &Lab, stack: &Stack) -> Result<()> {
    let Ok(own) = Docker::from_environment().and_then(|own| own.architecture().map(|_| own)) else {
        return Ok(());
    };
    for image in stack.images()? {
        let is_there =
            |docker: &Docker| docker.run(&["image", "inspect", "--format", "{{.Id}}", &image]).is_ok();
        if image.starts_with(&lab.registry()) || !is_there(&own) {
            continue;
        }
        eprintln!("copying image {image} to each node");
        let file = tempfile::NamedTempFile::new().context("creating a file for an image")?;
        own.run(&["save", "--output", &file.path().to_string_lossy(), &image])?;
        for node in lab.nodes() {
            node.docker().run(&["load", "--quiet", "--input", &file.path().to_string_lossy()])?;
        }
    }
    Ok(())
}
