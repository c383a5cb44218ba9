//! Creates a separate repository for a service.

use std::env;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Args;
use super::change::Change;
use super::name::Name;
use super::template;

/// Copied files: with them the repository has the same toolchain, format and versions of dependencies.
const COPIED: [&str; 3] = ["rust-toolchain.toml", "rustfmt.toml", "Cargo.lock"];

/// Creates the repository of `name` in `directory`, which must be empty or not exist.
pub(crate) fn create(root: &Path, name: &Name, directory: &Path, args: &Args) -> Result<()> {
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => directory.symlink_metadata().is_err(),
    };
    ensure!(is_free, "--out {}: it exists, and is not an empty directory", directory.display());
    let (parent, directory) = resolve(directory)?;
    let runtime = match &args.git {
        Some(url) => git_source(url, &args.rev),
        None => path_source(root, &directory)?,
    };

    let manifest = read(&root.join("Cargo.toml"))?;
    let line = |key: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = ")));
        line.with_context(|| format!("Cargo.toml has no line `{key} = …`"))
    };
    let rust = line("rust-version")?.split('"').nth(1).context("parsing rust-version in Cargo.toml")?;
    let words =
        [("RUNTIME", &*runtime), ("RUST", rust), ("CLAP", line("clap")?), ("RUSTIX", line("rustix")?)];
    let mut files = template::repository(name, &args.images, &words);
    for file in COPIED {
        files.push((file.to_owned(), read(&root.join(file))?));
    }

    let mut change = Change::new(&parent)?;
    change.create_directory(&directory, &files)?;
    change.apply()
}

/// The parent of `directory`, which must exist, and the path of `directory`, which need not exist; both absolute and
/// without symbolic links.
fn resolve(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let absolute = env::current_dir().context("reading the current directory")?.join(directory);
    let name = absolute
        .file_name()
        .with_context(|| format!("--out {}: expected a path that ends in a name", directory.display()))?;
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().with_context(|| format!("resolving {}", parent.display()))?;
    let directory = parent.join(name);
    Ok((parent, directory))
}

fn git_source(url: &str, rev: &str) -> String {
    format!("{{ git = {url:?}, rev = {rev:?} }}")
}

fn path_source(root: &Path, directory: &Path) -> Result<String> {
    let root = root.canonicalize().with_context(|| format!("resolving {}", root.display()))?;
    let runtime = relative(&root.join("services/runtime"), directory);
    let runtime = runtime.to_str().with_context(|| format!("{} is not UTF-8", runtime.display()))?;
    Ok(format!("{{ path = {runtime:?} }}"))
}

/// `path` relative to `directory`; absolute if they have only the root in common. Both are absolute.
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
    fn runtime_path_is_relative_where_possible() {
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
    fn git_source_includes_the_revision() {
        assert_eq!(
            git_source("https://example.org/s.git", "abc"),
            r#"{ git = "https://example.org/s.git", rev = "abc" }"#
        );
    }
}
