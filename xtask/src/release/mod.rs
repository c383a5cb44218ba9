//! `cargo xtask release`: sets the version, dates the changelog, commits and tags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::build::root;
use crate::date;
use version::Version;

pub(crate) mod changelog;
mod version;

const HELP: &str = "\
Needs branch main without uncommitted changes, a version above that of the last tag, and changes under \
`Unreleased` in CHANGELOG.md. Pushes nothing: pushing the tag makes CI publish the release.

Examples:
  cargo xtask release 0.3.0 --dry-run
  cargo xtask release 0.3.0";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The new version: three numbers
    #[arg(value_name = "X.Y.Z")]
    version: Version,
    /// Only check, and print what would change
    #[arg(long)]
    dry_run: bool,
    /// Checkout to use instead of this one, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    checkout: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = args.checkout.as_deref().unwrap_or(root());
    let version = args.version;
    ensure_releasable(root, version)?;
    let changes = changes(root, version)?;
    let tag = format!("v{version}");
    if args.dry_run {
        for (path, _) in &changes {
            println!("would change {path}");
        }
        println!("would commit and tag {tag}, with these notes:\n");
        let changelog = changes.iter().find(|(path, _)| path == CHANGELOG);
        let (_, text) = changelog.context("the changelog does not change")?;
        println!("{}", changelog::notes(text, &version.to_string())?);
        return Ok(());
    }
    for (path, text) in &changes {
        fs::write(root.join(path), text).with_context(|| format!("writing {path}"))?;
    }
    let subject = format!("Release {version}");
    git(root, &["commit", "--quiet", "--all", "--message", &subject])?;
    git(root, &["tag", "--annotate", "--message", &subject, &tag])?;
    println!("committed and tagged {tag}; now run the tests, and push:");
    println!("    cargo xtask test --all");
    println!("    git push origin main {tag}");
    Ok(())
}

const CHANGELOG: &str = "CHANGELOG.md";

/// Fails unless `version` can be released from the checkout's state in git.
fn ensure_releasable(root: &Path, version: Version) -> Result<()> {
    let branch = git(root, &["branch", "--show-current"])?;
    ensure!(branch == "main", "releasing from branch {branch:?}: releases are made from main");
    let status = git(root, &["status", "--porcelain"])?;
    ensure!(status.is_empty(), "there are uncommitted changes; commit or remove them:\n{status}");
    let tags = git(root, &["tag", "--list", "v*"])?;
    let last = tags.lines().filter_map(|tag| tag.strip_prefix('v')?.parse::<Version>().ok()).max();
    if let Some(last) = last {
        ensure!(version > last, "version {version}: expected one above the last release, {last}");
    }
    Ok(())
}

/// The files that change, by paths from the root, with their new text.
fn changes(root: &Path, new: Version) -> Result<Vec<(String, String)>> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"));
    let old = version::of_workspace(&read("Cargo.toml")?)?;
    ensure!(new >= old, "version {new}: the workspace has {old} already");
    let mut changes = Vec::new();
    for path in git(root, &["ls-files", "--", "*.lock", "*.md", "*.toml", "*.yml", "*Dockerfile"])?.lines() {
        // Links to other files.
        if root.join(path).is_symlink() {
            continue;
        }
        let text = read(path)?;
        let new_text = match path {
            CHANGELOG => changelog::released(&text, new, &date::today())?,
            _ => version::replaced(path, &text, old, new),
        };
        if new_text != text {
            changes.push((path.to_owned(), new_text));
        }
    }
    ensure!(changes.iter().any(|(path, _)| path == CHANGELOG), "there is no {CHANGELOG}");
    Ok(changes)
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    let output = command.args(arguments).current_dir(root).stdin(Stdio::null()).output();
    let output = output.context("running git")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", arguments.join(" "), error.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
