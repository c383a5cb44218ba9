//! Source and commit of the images, for their labels and time stamps.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::build::root;

/// The checkout that images are built from.
pub(crate) struct Origin {
    source: Option<String>,
    revision: Option<String>,
    /// Unix time of the commit in seconds; 0 without git.
    time: u64,
}

impl Origin {
    /// Reads commit and remote with git, if there are any. `SOURCE_DATE_EPOCH` overrides the time of the commit.
    pub(crate) fn of_checkout(source: Option<&str>) -> Result<Self> {
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => {
                text.parse().with_context(|| format!("SOURCE_DATE_EPOCH: expected seconds, got {text:?}"))?
            }
            Err(_) => git(&["log", "-1", "--format=%ct"]).and_then(|time| time.parse().ok()).unwrap_or(0),
        };
        let source = source.map(str::to_owned);
        let source = source.or_else(|| git(&["remote", "get-url", "origin"]).map(|url| without_user(&url)));
        let revision = git(&["rev-parse", "HEAD"]).map(|revision| {
            let is_clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
            if is_clean { revision } else { format!("{revision}-dirty") }
        });
        Ok(Self { source, revision, time })
    }

    /// Unix time of the images in seconds.
    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    /// OCI labels, each `KEY=VALUE`.
    pub(crate) fn labels(&self) -> Vec<String> {
        let label = |name: &str, value: &str| format!("org.opencontainers.image.{name}={value}");
        let mut labels = vec![label("version", env!("CARGO_PKG_VERSION"))];
        labels.extend(self.revision.iter().map(|revision| label("revision", revision)));
        labels.extend(self.source.iter().map(|source| label("source", source)));
        labels
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output = command.args(arguments).current_dir(root()).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Removes user and password from the URL of a remote.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.find('/').unwrap_or(rest.len());
            let start = rest[..host].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[start..])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_contain_no_password() {
        for (url, shown) in [
            ("https://user:secret@example.org/a@b.git", "https://example.org/a@b.git"),
            ("https://example.org/a.git", "https://example.org/a.git"),
            ("git@example.org:a.git", "git@example.org:a.git"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }

    #[test]
    fn unknown_values_have_no_label() {
        let origin = Origin { source: None, revision: Some("abc".to_owned()), time: 0 };
        let version = format!("org.opencontainers.image.version={}", env!("CARGO_PKG_VERSION"));
        assert_eq!(origin.labels(), [version.as_str(), "org.opencontainers.image.revision=abc"]);
    }
}
