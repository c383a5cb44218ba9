//! Removes a service of the workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::change::Change;
use super::name::Name;
use super::{dockerfile, template};

/// Removes the files and the stage of `name`. Fails if that would lose changes: each file must be unchanged since its
/// creation, or committed.
pub(crate) fn remove(root: &Path, name: &Name) -> Result<()> {
    let (service, stack) = (format!("services/{name}"), format!("stacks/{name}.yml"));
    let file = root.join("Dockerfile");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let rest = dockerfile::without(&text, name.as_str());
    let (Some(rest), true, true) = (rest, root.join(&service).is_dir(), root.join(&stack).is_file()) else {
        bail!(
            "{name} was not created by `cargo xtask new`: \
             expected {service}, {stack} and stage {name} of the Dockerfile"
        );
    };

    ensure_kept(root, &service, is_unchanged(&root.join(&service), name)?)?;
    let same = fs::read_to_string(root.join(&stack)).is_ok_and(|text| text == template::member_stack(name));
    ensure_kept(root, &stack, same)?;
    ensure_kept(root, "Dockerfile", text.contains(&template::stage(name)))?;

    let mut change = Change::new(root)?;
    change.remove(&root.join(&service));
    change.remove(&root.join(&stack));
    change.replace_file(&file, &rest)?;
    change.apply()
}

/// Whether `directory` contains exactly the template's files.
fn is_unchanged(directory: &Path, name: &Name) -> Result<bool> {
    let mut expected = template::member(name);
    for file in files(directory)? {
        let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let is_same =
            |(path, expected): &(String, String)| directory.join(path) == file && expected.as_bytes() == text;
        let Some(found) = expected.iter().position(is_same) else { return Ok(false) };
        expected.swap_remove(found);
    }
    Ok(true)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let reading = || format!("reading {}", directory.display());
        for entry in fs::read_dir(&directory).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let is_directory = entry.file_type().with_context(reading)?.is_dir();
            if is_directory { &mut directories } else { &mut files }.push(entry.path());
        }
    }
    Ok(files)
}

fn ensure_kept(root: &Path, path: &str, is_unchanged: bool) -> Result<()> {
    ensure!(
        is_unchanged || is_committed(root, path)?,
        "{path} has changes that are not committed; commit them, or remove it by hand"
    );
    Ok(())
}

/// Whether git can restore everything at `path`.
fn is_committed(root: &Path, path: &str) -> Result<bool> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).args(["--", path]).current_dir(root).stdin(Stdio::null());
        command.output().context("running git")
    };
    let known = git(&["ls-tree", "-r", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--ignored"])?;
    Ok([&known, &changed].iter().all(|output| output.status.success())
        && !known.stdout.is_empty()
        && changed.stdout.is_empty())
}
