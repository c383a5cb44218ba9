//! A service that is none of the demo's, and runs beside it: built here, and routed as its stack file says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::stack_file::ServiceDefinition;
use harness::{Fleet, Instance};

use crate::build::{built_program, cargo_in, metadata, root};

/// How many instances there are: enough to see requests spread.
const INSTANCES: usize = 2;

/// What is known of it before it runs.
pub(crate) struct Guest {
    name: String,
    program: PathBuf,
    declared: ServiceDefinition,
}

impl Guest {
    /// Builds `named`: a service of this workspace by its name, or any by its directory.
    pub(crate) fn invite(named: &str) -> Result<Self> {
        let member = root().join("services").join(named);
        let directory = if member.join("Cargo.toml").is_file() { &member } else { Path::new(named) };
        let manifest = directory.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "looking for service {named}: there is neither services/{named} nor {}",
            manifest.display()
        );
        let manifest =
            manifest.canonicalize().with_context(|| format!("resolving {}", manifest.display()))?;

        let metadata = metadata(directory)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages
            .filter(|package| Some(&*manifest) == package["manifest_path"].as_str().map(Path::new))
            .find_map(|package| package["name"].as_str());
        let name = package.with_context(|| format!("{} is no package's", manifest.display()))?.to_owned();
        let workspace = metadata["workspace_root"].as_str().context("a package is in a workspace")?;
        let stack = Path::new(workspace).join("stacks").join(format!("{name}.yml"));
        let declared = ServiceDefinition::read(&stack, &name)?;

        // Not as released: it is for whoever changes it again and again.
        let program = built_program(cargo_in(directory, "build").args(["--package", &name, "--bin", &name]))
            .with_context(|| format!("building {name}"))?;
        Ok(Self { name, program, declared })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A path that asks for it, if its labels tell one.
    pub(crate) fn path(&self) -> Option<&str> {
        self.declared.path()
    }

    /// Starts its instances without waiting for them.
    pub(crate) fn launch(&self, fleet: &Fleet) -> Result<Vec<Instance>> {
        let launch = |number| {
            let mut spec = fleet.spec_for(&self.program, &self.name, &format!("{}-{number}", self.name))?;
            spec.labels = self.declared.labels_at(spec.address.port());
            spec.environment = self.declared.environment().to_vec();
            fleet.launch(spec)
        };
        (1..=INSTANCES).map(launch).collect()
    }
}
