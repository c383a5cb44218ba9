//! Finding and removing everything that a lab leaves on the machine.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::processes::LAB;
use super::{DESCRIPTION, LINK};
use crate::proc::{self, ProcessHandle};
use crate::{Signal, eventually};

/// Root of the control groups: with one directory for each controller in version 1.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Time limit for the kernel to end killed processes and to remove their namespaces.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything of a lab that exists on the machine outside the lab's own namespaces.
#[derive(Debug, Default)]
pub struct Leftovers {
    processes: Vec<ProcessHandle>,
    control_groups: Vec<PathBuf>,
    directory: Option<PathBuf>,
    link: Option<PathBuf>,
}

impl Leftovers {
    /// Finds what exists of the lab in `directory`.
    pub fn of(directory: &Path) -> Self {
        let link = Path::new("/sys/class/net").join(LINK[1]);
        let linked = fs::read_to_string(link.join("ifalias")).unwrap_or_default();
        Self {
            processes: proc::with_environment(LAB, &directory.to_string_lossy()),
            control_groups: control_groups(directory),
            // A directory without a description is not a lab's.
            directory: directory.join(DESCRIPTION).is_file().then(|| directory.to_owned()),
            link: (Path::new(linked.trim_end()) == directory).then_some(link),
        }
    }

    /// Whether nothing exists.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.control_groups.is_empty()
            && self.directory.is_none()
            && self.link.is_none()
    }

    /// Kills and removes everything of the lab in `directory`. Returns what it could not remove.
    pub fn remove(directory: &Path) -> Self {
        let mut found = Vec::new();
        let killed = eventually(REMOVAL_TIMEOUT, || {
            let left = proc::with_environment(LAB, &directory.to_string_lossy());
            for process in &left {
                process.signal(Signal::KILL);
            }
            found.extend(left);
            // An exiting process has no environment any more, but may still use files and control groups.
            !found.iter().any(ProcessHandle::is_alive)
        });
        if killed.is_ok() {
            // The kernel removes the link some time after the namespace of its other end. A control group can be removed
            // only after its last process.
            let _ = eventually(REMOVAL_TIMEOUT, || {
                for group in control_groups(directory) {
                    let _ = fs::remove_dir(group);
                }
                let Self { control_groups, link, .. } = Self::of(directory);
                control_groups.is_empty() && link.is_none()
            });
            if Self::of(directory).directory.is_some() {
                // The description goes last: without it a later attempt would not recognise the directory.
                let is_description = |path: &PathBuf| path.ends_with(DESCRIPTION);
                let entries = fs::read_dir(directory).into_iter().flatten().flatten();
                for path in entries.map(|entry| entry.path()).filter(|path| !is_description(path)) {
                    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                }
                let _ = fs::remove_dir_all(directory);
            }
        }
        Self::of(directory)
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found: Vec<String> = Vec::new();
        found.extend(self.processes.iter().map(|process| format!("process {}", process.pid())));
        found.extend(self.control_groups.iter().map(|group| format!("control group {}", group.display())));
        found.extend(self.directory.iter().map(|directory| format!("directory {}", directory.display())));
        found.extend(self.link.iter().map(|link| format!("link {}", link.display())));
        f.write_str(&found.join(", "))
    }
}

/// Name of the parent control group of all containers of the lab in `directory`.
pub(super) fn control_group(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Control groups of a lab, children first.
fn control_groups(directory: &Path) -> Vec<PathBuf> {
    let name = control_group(directory);
    let root = Path::new(CONTROL_GROUPS);
    let controllers = subdirectories(root).unwrap_or_default();
    let mut found = Vec::new();
    for top in controllers.iter().map(PathBuf::as_path).chain([root]) {
        let top = top.join(&name);
        if top.is_dir() {
            add_with_children(&top, &mut found);
        }
    }
    found
}

fn add_with_children(group: &Path, found: &mut Vec<PathBuf>) {
    for group in subdirectories(group).unwrap_or_default() {
        add_with_children(&group, found);
    }
    found.push(group.to_owned());
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir() && !path.is_symlink()).collect())
}
