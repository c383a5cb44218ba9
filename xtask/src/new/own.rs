//! A repository of its own for a service.

use std::env;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Args;
use super::change::Change;
use super::name::Name;
use super::template;

/// Copied as they are: with them it is built and formatted as everything here is, of the same releases of all crates.
const COPIED: [&str; 3] = ["rust-toolchain.toml", "rustfmt.toml", "Cargo.lock"];

/// Makes `directory` a repository for `name`.
pub(crate) fn make(root: &Path, name: &Name, directory: &Path, args: &Args) -> Result<()> {
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => directory.symlink_metadata().is_err(),
    };
    ensure!(is_free, "{} is there already, and is no empty directory", directory.display());
    let (parent, directory) = located(directory)?;
    let runtime = match &args.git {
        Some(url) => by_git(url, args.rev.as_deref()),
        None => by_path(root, &directory)?,
    };

    let manifest = read(&root.join("Cargo.toml"))?;
    let line = |key: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = ")));
        line.with_context(|| format!("reading Cargo.toml: no line `{key} = `"))
    };
    let rust = line("rust-version")?.split('"').nth(1).context("reading rust-version in Cargo.toml")?;
    let words =
        [("RUNTIME", &*runtime), ("RUST", rust), ("CLAP", line("clap")?), ("RUSTIX", line("rustix")?)];
    let mut files = template::own(name, &words);
    for file in COPIED {
        files.push((file.to_owned(), read(&root.join(file))?));
    }

    let mut change = Change::new(&parent)?;
    change.make(&directory, &files)?;
    change.make_it()
}

/// `directory`, which need not be there, without links above it, and its parent, which has to be there.
fn located(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let absolute = env::current_dir().context("looking for the current directory")?.join(directory);
    let name = absolute.file_name().with_context(|| format!("{} has no name", directory.display()))?;
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().with_context(|| format!("looking for {}", parent.display()))?;
    let directory = parent.join(name);
    Ok((parent, directory))
}

fn by_git(url: &str, rev: Option<&str>) -> String {
    let rev = rev.map(|rev| format!(", rev = {rev:?}")).unwrap_or_default();
    format!("{{ git = {url:?}{rev} }}")
}

fn by_path(root: &Path, directory: &Path) -> Result<String> {
    let root = root.canonicalize().with_context(|| format!("looking for {}", root.display()))?;
    let runtime = relative(&root.join("services/runtime"), directory);
    let runtime = runtime.to_str().with_context(|| format!("{} is not UTF-8", runtime.display()))?;
    Ok(format!("{{ path = {runtime:?} }}"))
}

/// `path` as seen from `directory`, unless they have nothing in common. Both are absolute.
fn relative(path: &Path, directory: &Path) -> PathBuf {
    let common =
        path.components().zip(directory.components()).take_while(|(one, other)| one == other).count();
    if common < 2 {
        return path.to_owned();
    }
    let up = iter::repeat_n(Path::new(".."), directory.components().count() - common);
    up.chain(path.components().skip(common).map(|part| Path::new(part.as_os_str()))).collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_named_relatively() {
        for (directory, expected) in [
            ("/home/me/weather", "../swarmlings/services/runtime"),
            ("/home/me/swarmlings/weather", "../services/runtime"),
            ("/home/me/a/b/weather", "../../../swarmlings/services/runtime"),
            ("/srv/weather", "/home/me/swarmlings/services/runtime"),
        ] {
            let path = relative(Path::new("/home/me/swarmlings/services/runtime"), Path::new(directory));
            assert_eq!(path, Path::new(expected), "{directory}");
        }
    }

    #[test]
    fn a_git_repository_is_named_with_its_revision_if_there_is_one() {
        assert_eq!(by_git("https://example.org/s.git", None), r#"{ git = "https://example.org/s.git" }"#);
        assert_eq!(
            by_git("https://example.org/s.git", Some("abc")),
            r#"{ git = "https://example.org/s.git", rev = "abc" }"#
        );
    }
}
