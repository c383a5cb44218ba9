//! The way back: a service goes, with all that was made for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::change::Change;
use super::name::Name;
use super::{dockerfile, template};

/// Removes what [`super`] made for `name`, if nothing of it can be lost: it is as it was made, or git has it.
pub(crate) fn remove(root: &Path, name: &Name) -> Result<()> {
    let (service, stack) = (format!("services/{name}"), format!("stacks/{name}.yml"));
    let file = root.join("Dockerfile");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let rest = dockerfile::without(&text, name.as_str());
    let (Some(rest), true, true) = (rest, root.join(&service).is_dir(), root.join(&stack).is_file()) else {
        bail!(
            "{name} is not a service that `cargo xtask new` has made: \
             that takes {service}, {stack} and a stage of the Dockerfile"
        );
    };

    ensure_kept(root, &service, is_as_made(&root.join(&service), name)?)?;
    let same = fs::read_to_string(root.join(&stack)).is_ok_and(|text| text == template::member_stack(name));
    ensure_kept(root, &stack, same)?;
    ensure_kept(root, "Dockerfile", text.contains(&template::stage(name)))?;

    let mut change = Change::new(root)?;
    change.remove(&root.join(&service));
    change.remove(&root.join(&stack));
    change.rewrite(&file, &rest)?;
    change.make_it()
}

/// Whether `directory` has the template's files, and no other.
fn is_as_made(directory: &Path, name: &Name) -> Result<bool> {
    let mut made = template::member(name);
    for file in files(directory)? {
        let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let same = |(path, made): &(String, String)| directory.join(path) == file && made.as_bytes() == text;
        let Some(found) = made.iter().position(same) else { return Ok(false) };
        made.swap_remove(found);
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

fn ensure_kept(root: &Path, path: &str, as_made: bool) -> Result<()> {
    ensure!(
        as_made || is_committed(root, path)?,
        "{path} is neither as it was made nor as git has it: commit it first, or remove it by hand"
    );
    Ok(())
}

/// Whether git could bring back all that is at `path`.
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
