//! Source and commit of the images, for their labels and time stamps.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::build::root;
use crate::date;

/// Labels and time stamp of images built from a checkout.
pub(crate) struct Origin {
    /// Build arguments of the Dockerfile, each `KEY=VALUE`, which become OCI labels.
    pub(crate) arguments: Vec<String>,
    /// Unix time in seconds: `SOURCE_DATE_EPOCH`, or the time of the commit, or 0.
    pub(crate) time: u64,
}

impl Origin {
    /// Reads commit and remote with git, if there are any.
    pub(crate) fn of_checkout(source: Option<&str>) -> Result<Self> {
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => {
                text.parse().with_context(|| format!("SOURCE_DATE_EPOCH: expected seconds, got {text:?}"))?
            }
            Err(_) => git(&["log", "-1", "--format=%ct"]).and_then(|time| time.parse().ok()).unwrap_or(0),
        };
        let remote = || git(&["remote", "get-url", "origin"]).map(|url| without_user(&url));
        let revision = git(&["rev-parse", "HEAD"]).map(|revision| {
            let is_clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
            if is_clean { revision } else { format!("{revision}-dirty") }
        });
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        let source = source.map(str::to_owned).or_else(remote);
        // Of the commit, so that the same commit gives the same bytes.
        let created = Some(date::utc(time));
        let values = [("VERSION", version), ("REVISION", revision), ("CREATED", created), ("SOURCE", source)];
        let argument = |(name, value): (&str, Option<String>)| value.map(|value| format!("{name}={value}"));
        Ok(Self { arguments: values.into_iter().filter_map(argument).collect(), time })
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
    fn labels_contain_version_and_source() {
        let origin = Origin::of_checkout(Some("https://example.org/a.git")).unwrap();
        assert_eq!(origin.arguments[0], format!("VERSION={}", env!("CARGO_PKG_VERSION")));
        assert_eq!(origin.arguments.last().unwrap(), "SOURCE=https://example.org/a.git");
        assert!(origin.arguments.contains(&format!("CREATED={}", date::utc(origin.time))));
    }
}
