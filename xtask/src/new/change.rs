//! Files put in place, changed and taken away: all of them, or none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A file's path, relative to a directory, and its text.
pub(crate) type Files = Vec<(String, String)>;

/// A change that is made ready aside, where whatever fails does no harm, and then made by renaming.
pub(crate) struct Change {
    aside: TempDir,
    moves: Vec<(PathBuf, PathBuf)>,
}

impl Change {
    /// Nothing yet. Made ready in `beside`, which has to be on the same file system as all that is to change.
    pub(crate) fn new(beside: &Path) -> Result<Self> {
        let aside = tempfile::Builder::new().prefix(".swarmlings-new-").tempdir_in(beside);
        let aside = aside.with_context(|| format!("creating a directory in {}", beside.display()))?;
        Ok(Self { aside, moves: Vec::new() })
    }

    /// `directory` is made, with `files` in it.
    pub(crate) fn make(&mut self, directory: &Path, files: &[(String, String)]) -> Result<()> {
        let made = self.place();
        // With the permissions that the user's own directories have.
        fs::create_dir(&made).with_context(|| format!("creating {}", made.display()))?;
        for (path, text) in files {
            write(&made.join(path), text)?;
        }
        self.moves.push((made, directory.to_owned()));
        Ok(())
    }

    /// `file` is written.
    pub(crate) fn write(&mut self, file: &Path, text: &str) -> Result<()> {
        let written = self.place();
        write(&written, text)?;
        self.moves.push((written, file.to_owned()));
        Ok(())
    }

    /// `file`, which is there, becomes another.
    pub(crate) fn rewrite(&mut self, file: &Path, text: &str) -> Result<()> {
        self.remove(file);
        self.write(file, text)
    }

    /// What is at `path` goes away.
    pub(crate) fn remove(&mut self, path: &Path) {
        let gone = self.place();
        self.moves.push((path.to_owned(), gone));
    }

    /// Makes it. Where something of it fails, all that was made of it is undone.
    pub(crate) fn make_it(self) -> Result<()> {
        for (made, (from, to)) in self.moves.iter().enumerate() {
            if let Err(error) = rename(from, to) {
                for (from, to) in self.moves[..made].iter().rev() {
                    rename(to, from).context("undoing what was made of the change")?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Where there is nothing yet.
    fn place(&self) -> PathBuf {
        self.aside.path().join(self.moves.len().to_string())
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    // A file would be replaced without a word. An empty directory may be.
    let is_taken = to.symlink_metadata().is_ok_and(|meta| !meta.is_dir());
    ensure!(!is_taken, "{} is there already", to.display());
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
    fn all_of_it_is_made_and_nothing_is_left_aside() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("old"), "old").unwrap();
        fs::write(path("same"), "before").unwrap();
        let mut change = Change::new(root.path()).unwrap();
        change.make(&path("made"), &[("a/b".to_owned(), "text".to_owned())]).unwrap();
        change.write(&path("new"), "new").unwrap();
        change.rewrite(&path("same"), "after").unwrap();
        change.remove(&path("old"));
        assert_eq!(fs::read_to_string(path("same")).unwrap(), "before", "nothing happens before it is made");
        change.make_it().unwrap();
        assert_eq!(names(root.path()), ["made", "new", "same"]);
        assert_eq!(fs::read_to_string(path("made/a/b")).unwrap(), "text");
        assert_eq!(fs::read_to_string(path("same")).unwrap(), "after");
    }

    #[test]
    fn where_the_last_step_fails_nothing_has_changed() {
        for obstacle in ["file/new", "taken"] {
            let root = tempfile::tempdir().unwrap();
            let path = |name: &str| root.path().join(name);
            for name in ["file", "old", "same", "taken"] {
                fs::write(path(name), name).unwrap();
            }
            let mut change = Change::new(root.path()).unwrap();
            change.make(&path("made"), &[("a".to_owned(), "text".to_owned())]).unwrap();
            change.rewrite(&path("same"), "after").unwrap();
            change.remove(&path("old"));
            change.write(&path(obstacle), "new").unwrap();
            let error = format!("{:#}", change.make_it().unwrap_err());
            assert!(error.contains(obstacle), "{error}");
            assert_eq!(names(root.path()), ["file", "old", "same", "taken"]);
            for name in ["file", "old", "same", "taken"] {
                assert_eq!(fs::read_to_string(path(name)).unwrap(), name);
            }
        }
    }
}
