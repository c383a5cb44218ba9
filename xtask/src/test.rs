//! `cargo xtask test`: what CI runs, and a laptop too.

use std::fmt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{ValueEnum, value_parser};
use harness::binaries;

use crate::build::{cargo, check, musl_target, release, root};
use crate::fuzz;
use crate::images::Platform;
use crate::needs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this step, after those that it needs; may be given more than once
    #[arg(long, value_name = "STEP", value_enum)]
    only: Vec<Step>,
    /// Run only tests with this in their name
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// For how long each fuzz target runs
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = value_parser!(u32).range(1..))]
    fuzz_seconds: u32,
}

/// In the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// Install Debian packages that tests need, as root, and fetch Traefik, schemathesis and a client of WebSocket
    Packages,
    /// Add the toolchain's components and its musl targets
    Toolchain,
    /// cargo fmt --check
    Format,
    /// cargo clippy, warnings denied; hadolint for Dockerfiles
    Lint,
    /// Build binaries as they are in images, for this machine and for arm64
    Build,
    /// Run the tests beside the code, after installing the clients that they need, as root
    Unit,
    /// Start the fuzz targets, one after the other, at the lowest priority beside what comes next
    Fuzz,
    /// Run the tests with real Traefik and a real Docker engine
    Integration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    let filter = args.filter.as_deref();
    let mut fuzzing = None;
    for step in selected(&args.only) {
        eprintln!("== {step}");
        let began = Instant::now();
        let outcome = if step == Step::Fuzz {
            fuzz::start(args.fuzz_seconds, filter).map(|started| fuzzing = Some(started))
        } else {
            step.run(filter)
        };
        outcome.with_context(|| format!("{step} failed"))?;
        eprintln!("== {step} done in {:.1} s", began.elapsed().as_secs_f64());
    }
    // Integration tests, which mostly wait, take longer on most machines.
    if let Some(fuzzing) = fuzzing {
        eprintln!("== waiting for the fuzz targets");
        fuzzing.finish().with_context(|| format!("{} failed", Step::Fuzz))?;
    }
    eprintln!("== all well, in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// All steps, or those that are asked for with those that they need.
fn selected(only: &[Step]) -> Vec<Step> {
    let wanted =
        |step: &Step| only.is_empty() || only.iter().any(|one| one == step || one.needs().contains(step));
    Step::value_variants().iter().copied().filter(wanted).collect()
}

/// What images are built for in tests.
fn targets() -> [String; 2] {
    [musl_target(), Platform::Arm64.target().to_owned()]
}

impl Step {
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Packages | Self::Toolchain => &[],
            Self::Format | Self::Lint | Self::Build | Self::Unit => &[Self::Toolchain],
            Self::Fuzz => &[Self::Packages, Self::Toolchain],
            Self::Integration => &[Self::Packages, Self::Toolchain, Self::Build],
        }
    }

    fn run(self, filter: Option<&str>) -> Result<()> {
        match self {
            Self::Packages => needs::packages(),
            Self::Toolchain => needs::toolchain(&targets()),
            Self::Format => {
                check(cargo("fmt").args(["--all", "--check"]))?;
                check(cargo("fmt").args(["--manifest-path", "fuzz/Cargo.toml", "--check"]))
            }
            Self::Lint => {
                let dockerfiles =
                    ["Dockerfile", "stacks/nginx/Dockerfile", "xtask/src/new/template/own/Dockerfile"];
                check(Command::new(needs::hadolint()?).args(dockerfiles).current_dir(root()))?;
                check(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
            }
            Self::Build => targets().iter().try_for_each(|target| release(Some(target)).map(drop)),
            Self::Unit => {
                needs::clients()?;
                let started_for_real = ["--exclude", "tests", "--exclude", "xtask"];
                check(cargo("test").arg("--workspace").args(started_for_real).args(filter))
            }
            // Not run and done with, but started.
            Self::Fuzz => Ok(()),
            Self::Integration => {
                // There already: this only tells where.
                let built = release(Some(&musl_target()))?;
                let mut command = cargo("test");
                command.args(["--package", "tests", "--package", "xtask"]).args(filter);
                check(command.env(binaries::DIRECTORY, built.directory()).env("PATH", needs::path()))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every step has its name on the command line.
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_comes_after_all_that_it_needs() {
        assert_eq!(selected(&[]), Step::value_variants());
        assert_eq!(selected(&[Step::Lint]), [Step::Toolchain, Step::Lint]);
        for step in Step::value_variants() {
            let steps = selected(&[*step]);
            assert_eq!(steps.last(), Some(step));
            for (position, step) in steps.iter().enumerate() {
                assert!(step.needs().iter().all(|needed| steps[..position].contains(needed)), "{step}");
            }
        }
    }
}
