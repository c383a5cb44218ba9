//! `cargo xtask test`: the checks of CI, on any machine.

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{ValueEnum, value_parser};
use harness::binaries::{self, names};

use crate::build::{Profile, cargo, check, musl_target, programs, root};
use crate::images::Platform;
use crate::needs;
use fuzz::Fuzzing;
use suite::TestProgram;
use timing::Timing;

mod fuzz;
mod suite;
mod timing;

const HELP: &str = "\
As root on Debian or Ubuntu, installs the packages that the tests need. Ends with a table of the time that \
each step took. `cargo test` alone runs the unit tests; it needs curl and openssl, but neither Docker nor Traefik.

Steps, in the order in which they run:
  packages       install the packages and tools that tests need
  toolchain      install rustfmt, clippy and the musl targets
  format         check the format of all Rust code
  lint           run clippy, hadolint on Dockerfiles, and actionlint on workflows; warnings fail
  dependencies   check vulnerabilities, licences, duplicates and sources of all crates; only with --all
  compile        compile all tests
  unit           run the unit tests
  build          build static programs for this machine and for arm64
  fuzz           build the fuzz targets, and start them in the background
  integration    run the integration tests, with real Traefik and Docker

Examples:
  cargo xtask test          before each push
  cargo xtask test --all    with slow tests, release images and the step dependencies
  cargo xtask test --only unit
  cargo xtask test --only integration --filter labels";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Run only this step and the steps that it needs; repeatable
    #[arg(long, value_name = "STEP", value_enum)]
    only: Vec<Step>,
    /// Run only the tests and fuzz targets whose names contain TEXT
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also run slow tests and the step dependencies, and fuzz each target for 60 seconds
    #[arg(long)]
    all: bool,
    /// Fuzzing time of each target, in seconds [default: 20, or 60 with --all]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    fuzz_seconds: Option<u32>,
}

/// The steps, in the order in which they run; [`HELP`] describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    Packages,
    Toolchain,
    Format,
    Lint,
    Dependencies,
    Compile,
    Unit,
    Build,
    Fuzz,
    Integration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut run = Run { args, timing: Timing::start(), tests: Vec::new(), fuzzing: None };
    let outcome = run.all_steps();
    eprint!("{}", run.timing);
    outcome
}

/// The steps in `only` and those that they need. If `only` is empty: the steps of CI, or `all`.
fn selected(only: &[Step], all: bool) -> Vec<Step> {
    let is_selected = |step: &Step| match only {
        [] => all || *step != Step::Dependencies,
        only => only.iter().any(|one| one == step || one.needs().contains(step)),
    };
    Step::value_variants().iter().copied().filter(is_selected).collect()
}

/// The targets of the programs that tests put into images.
fn targets() -> [String; 2] {
    [musl_target(), Platform::Arm64.target().to_owned()]
}

struct Run<'a> {
    args: &'a Args,
    timing: Timing,
    tests: Vec<TestProgram>,
    fuzzing: Option<Fuzzing>,
}

impl Run<'_> {
    fn all_steps(&mut self) -> Result<()> {
        for step in selected(&self.args.only, self.args.all) {
            eprintln!("== {step}");
            let outcome = self.step(step);
            self.timing.finish(step.to_string());
            outcome.with_context(|| format!("step {step} failed"))?;
        }
        // Integration tests mostly wait, and take longer than fuzzing on most machines.
        if let Some(fuzzing) = self.fuzzing.take() {
            eprintln!("== waiting for the fuzz targets");
            let outcome = fuzzing.finish();
            self.timing.finish("rest of fuzzing".to_owned());
            outcome.context("fuzzing failed")?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Packages => needs::packages(),
            Step::Toolchain => needs::toolchain(&targets()),
            Step::Format => {
                check(cargo("fmt").args(["--all", "--check"]))?;
                check(cargo("fmt").args(["--manifest-path", "fuzz/Cargo.toml", "--check"]))
            }
            Step::Lint => {
                let dockerfiles =
                    ["Dockerfile", "stacks/nginx/Dockerfile", "xtask/src/new/template/repository/Dockerfile"];
                check(Command::new(needs::hadolint()?).args(dockerfiles).current_dir(root()))?;
                let workflows = root().join(".github/workflows");
                let entries =
                    fs::read_dir(&workflows).with_context(|| format!("reading {}", workflows.display()))?;
                let workflows = entries.flatten().map(|entry| entry.path());
                check(Command::new(needs::actionlint()?).args(workflows).current_dir(root()))?;
                check(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
            }
            Step::Dependencies => dependencies(),
            Step::Compile => {
                self.tests = suite::compile()?;
                Ok(())
            }
            Step::Unit => {
                needs::clients()?;
                check(cargo("test").args(["--workspace", "--doc", "--quiet"]))?;
                self.run_tests(|package| !suite::INTEGRATION.contains(&package), |_| {})
            }
            Step::Build => {
                let mut targets = targets().to_vec();
                targets.dedup();
                if self.args.all {
                    // For the rehearsal of a release, which has no access to the internet.
                    needs::auditable2cdx()?;
                }
                targets.iter().try_for_each(|target| fast(target).map(drop))
            }
            Step::Fuzz => {
                let seconds = self.args.fuzz_seconds.unwrap_or(if self.args.all { 60 } else { 20 });
                self.fuzzing = Some(fuzz::start(seconds, self.args.filter.as_deref())?);
                Ok(())
            }
            Step::Integration => {
                // Up to date: this only finds the directory.
                let built = fast(&musl_target())?;
                self.run_tests(
                    |package| suite::INTEGRATION.contains(&package),
                    |command| {
                        command.env(binaries::DIRECTORY, built.directory()).env("PATH", needs::path());
                    },
                )
            }
        }
    }

    /// Runs the compiled tests of the packages that `is_wanted` accepts, and stops at the first that fails.
    fn run_tests(&mut self, is_wanted: impl Fn(&str) -> bool, prepare: impl Fn(&mut Command)) -> Result<()> {
        for test in self.tests.iter().filter(|test| is_wanted(test.package())) {
            let mut command = test.command(self.args.filter.as_deref(), self.args.all);
            prepare(&mut command);
            eprintln!("running the tests {}", test.name());
            let status = command.status().with_context(|| format!("starting {}", test.name()))?;
            self.timing.add_tests(test.times());
            ensure!(status.success(), "the tests {} failed: {status}", test.name());
        }
        Ok(())
    }
}

/// Checks the crates of both workspaces by the rules in deny.toml.
fn dependencies() -> Result<()> {
    let deny = needs::deny()?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&deny);
        command.current_dir(root()).args(["--config", "deny.toml"]).args(arguments);
        command
    };
    let has_advisories = run(&["fetch", "db"]).status().context("starting cargo-deny")?.success();
    let checks = ["bans", "licenses", "sources", "advisories"];
    let checks = if has_advisories { &checks[..] } else { &checks[..3] };
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let check_all =
            ["--manifest-path", manifest, "--offline", "check", "--allow", "advisory-not-detected"];
        check(run(&check_all).args(checks))?;
    }
    if !has_advisories {
        eprintln!(
            "known vulnerabilities were NOT checked, since their database cannot be fetched from github.com; where it can, run: \
             cargo xtask test --only dependencies"
        );
    }
    Ok(())
}

fn fast(target: &str) -> Result<harness::Binaries> {
    programs(&names(), Profile::Fast, Some(target))
}

impl Step {
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Packages | Self::Toolchain => &[],
            Self::Format | Self::Lint | Self::Dependencies | Self::Build | Self::Compile => {
                &[Self::Toolchain]
            }
            Self::Unit => &[Self::Toolchain, Self::Compile],
            Self::Fuzz => &[Self::Packages, Self::Toolchain],
            Self::Integration => &[Self::Packages, Self::Toolchain, Self::Compile, Self::Build],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_runs_after_the_steps_that_it_needs() {
        assert_eq!(selected(&[], true), Step::value_variants());
        assert!(!selected(&[], false).contains(&Step::Dependencies));
        assert_eq!(selected(&[Step::Lint], false), [Step::Toolchain, Step::Lint]);
        for step in Step::value_variants() {
            let steps = selected(&[*step], false);
            assert_eq!(steps.last(), Some(step));
            for (position, step) in steps.iter().enumerate() {
                assert!(step.needs().iter().all(|needed| steps[..position].contains(needed)), "{step}");
            }
        }
    }
}
