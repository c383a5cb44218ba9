//! A service that the user created, run with the demo and routed by the labels in its stack file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::stack_file::ServiceDefinition;
use harness::{Fleet, Instance};

use crate::build::{built_program, cargo_in, metadata, root};

/// Number of instances: enough to see requests spread.
const INSTANCES: usize = 2;

pub(super) struct Guest {
    name: String,
    program: PathBuf,
    declared: ServiceDefinition,
}

impl Guest {
    /// Builds `service`: the name of a service in services/, or the directory of a package.
    pub(super) fn build(service: &str) -> Result<Self> {
        let member = root().join("services").join(service);
        let directory = if member.join("Cargo.toml").is_file() { &member } else { Path::new(service) };
        let manifest = directory.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "--with {service}: found neither services/{service}/Cargo.toml nor {}",
            manifest.display()
        );
        let manifest =
            manifest.canonicalize().with_context(|| format!("resolving {}", manifest.display()))?;

        let metadata = metadata(directory)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages
            .filter(|package| Some(&*manifest) == package["manifest_path"].as_str().map(Path::new))
            .find_map(|package| package["name"].as_str());
        let name = package.with_context(|| format!("{} has no package", manifest.display()))?.to_owned();
        let workspace =
            metadata["workspace_root"].as_str().context("cargo metadata has no workspace root")?;
        let stack = Path::new(workspace).join("stacks").join(format!("{name}.yml"));
        let declared = ServiceDefinition::read(&stack, &name)?;

        // In the dev profile: the user changes and rebuilds it often.
        let mut command = cargo_in(directory, "build");
        let program = built_program(command.args(["--package", &name, "--bin", &name]))
            .with_context(|| format!("building {name}"))?;
        Ok(Self { name, program, declared })
    }

    /// A path that Traefik routes to the service, if its labels tell one.
    pub(super) fn path(&self) -> Option<String> {
        self.declared.path().map(str::to_owned)
    }

    /// Starts the instances without waiting for them.
    pub(super) fn launch(&self, fleet: &Fleet) -> Result<Vec<Instance>> {
        let launch = |number| {
            let mut spec = fleet.spec_for(&self.program, &self.name, &format!("{}-{number}", self.name))?;
            spec.labels = self.declared.labels_at(spec.address.port());
            spec.environment = self.declared.environment().to_vec();
            fleet.launch(spec)
        };
        (1..=INSTANCES).map(launch).collect()
    }
}
