//! Names of services.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use super::dockerfile;
use crate::build::metadata;

/// Maximum length of a host name's label in bytes: a service's name is its host name in the stack's network.
const MAX_LENGTH: usize = 63;

/// Rust's keywords, which cargo does not accept as package names.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield";

/// Rust's own crates, and directories of cargo that contain other things than programs.
const RESERVED: &str = "alloc build core deps examples incremental proc-macro std test";

/// A valid name for a package, a program, an image, a host and a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// The prefix of the service's environment variables.
    pub(crate) fn variable(&self) -> String {
        self.0.replace('-', "_").to_uppercase()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Fails if something else in the checkout at `root` has this name.
    pub(crate) fn ensure_free(&self, root: &Path) -> Result<()> {
        let Self(name) = self;
        let read = |file: &str| {
            let file = root.join(file);
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
        };
        let own = root.join(format!("services/{name}/Cargo.toml"));
        ensure!(
            !own.exists(),
            "{name} is taken: it is the package in {}; choose another name, or see `cargo xtask new {name} --remove`",
            own.display()
        );
        let metadata = metadata(root)?;
        for package in metadata["packages"].as_array().into_iter().flatten() {
            ensure!(
                package["name"] != **name,
                "{name} is taken: it is the package in {}",
                package["manifest_path"]
            );
        }
        ensure!(
            !dockerfile::stages(&read("Dockerfile")?).any(|stage| stage == name),
            "{name} is taken: it is a stage of the Dockerfile"
        );
        for path in [format!("services/{name}"), format!("stacks/{name}.yml")] {
            ensure!(!root.join(&path).exists(), "{name} is taken: {path} exists");
        }
        let entry = format!("name = \"{name}\"");
        ensure!(
            !read("Cargo.lock")?.lines().any(|line| line == entry),
            "{name} is taken: it is a dependency in Cargo.lock, and cargo needs different names"
        );
        Ok(())
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(!text.is_empty(), "the service's name is empty");
        if let Some(letter) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            bail!("invalid name {text:?}: expected a-z, 0-9 and hyphens, got {letter:?}");
        }
        ensure!(
            text.starts_with(|c: char| c.is_ascii_lowercase()),
            "invalid name {text:?}: it must start with a letter"
        );
        ensure!(!text.ends_with('-'), "invalid name {text:?}: a host name cannot end with a hyphen");
        ensure!(
            text.len() <= MAX_LENGTH,
            "invalid name {text:?}: a host name has at most {MAX_LENGTH} characters, this one has {}",
            text.len()
        );
        ensure!(!has_word(KEYWORDS, text), "invalid name {text:?}: it is a keyword of Rust");
        ensure!(!has_word(RESERVED, text), "invalid name {text:?}: it is reserved by Rust or cargo");
        Ok(Self(text.to_owned()))
    }
}

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::root;

    #[test]
    fn valid_names_are_accepted() {
        for name in ["weather", "w", "weather-2", "my--weather", &"w".repeat(63)] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        assert_eq!("my-weather-2".parse::<Name>().unwrap().variable(), "MY_WEATHER_2");
    }

    #[test]
    fn invalid_names_are_rejected_with_a_reason() {
        for (name, reason) in [
            ("", "is empty"),
            ("Weather", "got 'W'"),
            ("my_weather", "got '_'"),
            ("../weather", "got '.'"),
            ("wetter€", "got '€'"),
            ("2weather", "start with a letter"),
            ("-weather", "start with a letter"),
            ("weather-", "end with a hyphen"),
            (&"w".repeat(64), "this one has 64"),
            ("async", "keyword"),
            ("gen", "keyword"),
            ("std", "reserved"),
            ("core", "reserved"),
            ("test", "reserved"),
            ("proc-macro", "reserved"),
        ] {
            let error = name.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn taken_names_are_rejected_with_a_reason() {
        for (name, reason) in [
            ("ping", "it is the package in"),
            ("runtime", "it is the package in"),
            ("xtask", "it is the package in"),
            ("compiled", "a stage of the Dockerfile"),
            ("service", "a stage of the Dockerfile"),
            ("classic", "stacks/classic.yml exists"),
            ("hyper", "a dependency in Cargo.lock"),
        ] {
            let error = name.parse::<Name>().unwrap().ensure_free(root()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is taken: ")) && error.contains(reason), "{error}");
        }
        "unused-name".parse::<Name>().unwrap().ensure_free(root()).unwrap();
    }
}
