//! Version numbers, and where the repository states its own.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};

/// A version of three numbers, such as 0.2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        let version = numbers.and_then(|numbers| numbers.try_into().ok()).map(Self);
        // Also rejects `+1` and `01`, which parse as numbers.
        version
            .filter(|version| version.to_string() == text)
            .with_context(|| format!("expected a version such as 0.2.0, got {text:?}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The version of the workspace, from the text of its Cargo.toml.
pub(super) fn of_workspace(manifest: &str) -> Result<Version> {
    let package = manifest.split_once("[workspace.package]").map(|(_, rest)| rest);
    let line = package.and_then(|rest| rest.lines().find_map(|line| line.strip_prefix("version = ")));
    line.context("Cargo.toml has no version in [workspace.package]")?.trim_matches('"').parse()
}

/// The text of the file `path` for version `new`, where `old` is this project's own.
pub(super) fn replaced(path: &str, text: &str, old: Version, new: Version) -> String {
    let quoted = |line: &str| line.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    if path.ends_with("Cargo.lock") {
        // Packages of the workspace have no source.
        let packages = text.split("\n[[package]]\n").map(|package| {
            let is_own = !package.contains("\nsource = ");
            if is_own { quoted(package) } else { package.to_owned() }
        });
        return packages.collect::<Vec<_>>().join("\n[[package]]\n");
    }
    if path == "Cargo.toml" {
        let line = format!("[workspace.package]\nversion = \"{old}\"");
        return text.replacen(&line, &quoted(&line), 1);
    }
    // Tags of images.
    let replaced = |line: &str| {
        let prefixes = ["SWARMLINGS_TAG:-", "SWARMLINGS_TAG=", "ARG VERSION=", "swarmlings-stacks-"];
        let names = harness::binaries::names().into_iter().chain(["nginx", "weather"]);
        let images = names.map(|name| format!("swarmlings/{name}:"));
        let prefixes = prefixes.into_iter().map(str::to_owned).chain(images);
        prefixes.fold(line.to_owned(), |line, prefix| {
            line.replace(&format!("{prefix}{old}"), &format!("{prefix}{new}"))
        })
    };
    text.split_inclusive('\n').map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let parse = |text: &str| text.parse::<Version>().unwrap();
        assert!(parse("0.10.0") > parse("0.9.1") && parse("1.0.0") > parse("0.10.0"));
        for text in ["", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.02.3", "1.2.+3", "1.2.3-rc1"] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert_eq!(error, format!("expected a version such as 0.2.0, got {text:?}"));
        }
    }

    #[test]
    fn only_the_projects_own_version_is_replaced() {
        let [old, new] = ["0.2.0", "0.3.0"].map(|text| text.parse().unwrap());
        for (path, before, after) in [
            (
                "Cargo.lock",
                "version = 4\n\n[[package]]\nname = \"hub\"\nversion = \"0.2.0\"\n\n[[package]]\nname = \"x\"\nversion = \"0.2.0\"\nsource = \"r\"\n",
                "version = 4\n\n[[package]]\nname = \"hub\"\nversion = \"0.3.0\"\n\n[[package]]\nname = \"x\"\nversion = \"0.2.0\"\nsource = \"r\"\n",
            ),
            (
                "Cargo.toml",
                "[workspace.package]\nversion = \"0.2.0\"\n[workspace.dependencies]\na = \"0.2.0\"\n",
                "[workspace.package]\nversion = \"0.3.0\"\n[workspace.dependencies]\na = \"0.2.0\"\n",
            ),
            (
                "stacks/demo.yml",
                "image: ${SWARMLINGS_PREFIX:-swarmlings}/hub:${SWARMLINGS_TAG:-0.2.0} # not other:0.2.0\n",
                "image: ${SWARMLINGS_PREFIX:-swarmlings}/hub:${SWARMLINGS_TAG:-0.3.0} # not other:0.2.0\n",
            ),
            ("README.md", "docker run swarmlings/hub:0.2.0 token", "docker run swarmlings/hub:0.3.0 token"),
            ("Dockerfile", "ARG VERSION=0.2.0\n", "ARG VERSION=0.3.0\n"),
        ] {
            assert_eq!(replaced(path, before, old, new), after);
        }
        assert_eq!(of_workspace("[workspace.package]\nversion = \"0.2.0\"\n").unwrap(), old);
    }
}
