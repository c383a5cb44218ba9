//! Creates, replaces and removes several files: all of them, or none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Paths of files, relative to a directory, each with the file's text.
pub(crate) type Files = Vec<(String, String)>;

/// A change that is prepared in a temporary directory, and then applied by renaming.
pub(crate) struct Change {
    temporary: TempDir,
    moves: Vec<(PathBuf, PathBuf)>,
}

impl Change {
    /// Starts an empty change. Its temporary directory is in `parent`, on the same file system as the files to change.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix(".swarmlings-new-").tempdir_in(parent);
        let temporary = temporary.with_context(|| format!("creating a directory in {}", parent.display()))?;
        Ok(Self { temporary, moves: Vec::new() })
    }

    /// Adds the creation of `directory` with `files` in it.
    pub(crate) fn create_directory(&mut self, directory: &Path, files: &[(String, String)]) -> Result<()> {
        let prepared = self.next_path();
        // The temporary directory's own permissions are too strict.
        fs::create_dir(&prepared).with_context(|| format!("creating {}", prepared.display()))?;
        for (path, text) in files {
            write(&prepared.join(path), text)?;
        }
        self.moves.push((prepared, directory.to_owned()));
        Ok(())
    }

    /// Adds the creation of `file`.
    pub(crate) fn create_file(&mut self, file: &Path, text: &str) -> Result<()> {
        let prepared = self.next_path();
        write(&prepared, text)?;
        self.moves.push((prepared, file.to_owned()));
        Ok(())
    }

    /// Adds the replacement of the existing `file`.
    pub(crate) fn replace_file(&mut self, file: &Path, text: &str) -> Result<()> {
        self.remove(file);
        self.create_file(file, text)
    }

    /// Adds the removal of a file or directory.
    pub(crate) fn remove(&mut self, path: &Path) {
        let removed = self.next_path();
        self.moves.push((path.to_owned(), removed));
    }

    /// Applies the change. If a step fails, the steps before it are undone.
    pub(crate) fn apply(self) -> Result<()> {
        for (done, (from, to)) in self.moves.iter().enumerate() {
            if let Err(error) = rename(from, to) {
                for (from, to) in self.moves[..done].iter().rev() {
                    rename(to, from).context("undoing the change")?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// An unused path in the temporary directory.
    fn next_path(&self) -> PathBuf {
        self.temporary.path().join(self.moves.len().to_string())
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    // A rename would silently replace a file. An empty directory may be replaced.
    let is_taken = to.symlink_metadata().is_ok_and(|meta| !meta.is_dir());
    ensure!(!is_taken, "{} exists already", to.display());
    fs::rename(from, to).with_context(|| format!("moving {} to {}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn applied_change_leaves_no_temporary_files() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("old"), "old").unwrap();
        fs::write(path("same"), "before").unwrap();
        let mut change = Change::new(root.path()).unwrap();
        change.create_directory(&path("made"), &[("a/b".to_owned(), "text".to_owned())]).unwrap();
        change.create_file(&path("new"), "new").unwrap();
        change.replace_file(&path("same"), "after").unwrap();
        change.remove(&path("old"));
        assert_eq!(
            fs::read_to_string(path("same")).unwrap(),
            "before",
            "nothing changes before it is applied"
        );
        change.apply().unwrap();
        assert_eq!(names(root.path()), ["made", "new", "same"]);
        assert_eq!(fs::read_to_string(path("made/a/b")).unwrap(), "text");
        assert_eq!(fs::read_to_string(path("same")).unwrap(), "after");
    }

    #[test]
    fn failed_change_is_undone() {
        for obstacle in ["file/new", "taken"] {
            let root = tempfile::tempdir().unwrap();
            let path = |name: &str| root.path().join(name);
            for name in ["file", "old", "same", "taken"] {
                fs::write(path(name), name).unwrap();
            }
            let mut change = Change::new(root.path()).unwrap();
            change.create_directory(&path("made"), &[("a".to_owned(), "text".to_owned())]).unwrap();
            change.replace_file(&path("same"), "after").unwrap();
            change.remove(&path("old"));
            change.create_file(&path(obstacle), "new").unwrap();
            let error = format!("{:#}", change.apply().unwrap_err());
            assert!(error.contains(obstacle), "{error}");
            assert_eq!(names(root.path()), ["file", "old", "same", "taken"]);
            for name in ["file", "old", "same", "taken"] {
                assert_eq!(fs::read_to_string(path(name)).unwrap(), name);
            }
        }
    }
}
