//! What is called so already.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::stack_file;
use serde_json::Value;

use super::dockerfile;
use super::name::Name;
use crate::build::metadata;

/// The stack that others join: its services are hosts on the network of all of them.
const DEMO: &str = "stacks/demo.yml";

/// Fails where anything in the checkout at `root` that a service's name has to differ from is called `name`.
pub(crate) fn ensure_free(root: &Path, name: &Name) -> Result<()> {
    for (package, manifest) in packages(root)? {
        ensure!(package != name.as_str(), "{name} is taken: it is the package of {manifest}");
    }
    let dockerfile = read(&root.join("Dockerfile"))?;
    ensure!(
        !dockerfile::stages(&dockerfile).any(|stage| stage == name.as_str()),
        "{name} is taken: it is a stage of the Dockerfile"
    );
    for place in [format!("services/{name}"), format!("stacks/{name}.yml")] {
        ensure!(!root.join(&place).exists(), "{name} is taken: there is {place}");
    }
    let services =
        stack_file::services(&read(&root.join(DEMO))?).with_context(|| format!("reading {DEMO}"))?;
    ensure!(
        !services.iter().any(|service| service == name.as_str()),
        "{name} is taken: it is a service of {DEMO}, whose network this one is to join"
    );
    let entry = format!("name = \"{name}\"");
    ensure!(
        !read(&root.join("Cargo.lock"))?.lines().any(|line| line == entry),
        "{name} is taken: it is a crate that is depended on, by Cargo.lock, and cargo could not tell them apart"
    );
    Ok(())
}

/// The workspace's packages, each with its manifest.
fn packages(root: &Path) -> Result<Vec<(String, String)>> {
    let metadata = metadata(root)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(packages.map(|package| (text(&package["name"]), text(&package["manifest_path"]))).collect())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::root;

    #[test]
    fn what_has_the_name_is_said() {
        for (name, reason) in [
            ("ping", "it is the package of"),
            ("runtime", "it is the package of"),
            ("xtask", "it is the package of"),
            ("compiled", "a stage of the Dockerfile"),
            ("service", "a stage of the Dockerfile"),
            ("classic", "there is stacks/classic.yml"),
            ("traefik", "a service of stacks/demo.yml"),
            ("hyper", "a crate that is depended on"),
        ] {
            let error = ensure_free(root(), &name.parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is taken: ")) && error.contains(reason), "{error}");
        }
        ensure_free(root(), &"nobody-is-called-so".parse().unwrap()).unwrap();
    }
}
