//! What a lab may leave on the machine, found and removed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::part::LAB;
use super::{DESCRIPTION, LINK};
use crate::proc::{self, Task};
use crate::{Signal, eventually};

/// Where control groups are: a directory for each controller, or one for all.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// How long the kernel may take to end what was killed.
const GONE: Duration = Duration::from_secs(20);

/// All that there is of a lab on the machine outside its own network.
#[derive(Debug, Default)]
pub struct Traces {
    processes: Vec<Task>,
    control_groups: Vec<PathBuf>,
    directory: Option<PathBuf>,
    link: Option<PathBuf>,
}

impl Traces {
    /// Of the lab in `directory`.
    pub fn of(directory: &Path) -> Self {
        let link = Path::new("/sys/class/net").join(LINK[1]);
        let linked = fs::read_to_string(link.join("ifalias")).unwrap_or_default();
        Self {
            processes: proc::with_environment(LAB, &directory.to_string_lossy()),
            control_groups: control_groups(directory),
            // Another directory that somebody has named by mistake is none.
            directory: directory.join(DESCRIPTION).is_file().then(|| directory.to_owned()),
            link: (Path::new(linked.trim_end()) == directory).then_some(link),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.control_groups.is_empty()
            && self.directory.is_none()
            && self.link.is_none()
    }

    /// Ends and removes everything of the lab in `directory`; returns what could not be.
    pub fn remove(directory: &Path) -> Self {
        let mut found = Vec::new();
        let ended = eventually(GONE, || {
            let left = proc::with_environment(LAB, &directory.to_string_lossy());
            for task in &left {
                task.signal(Signal::KILL);
            }
            found.extend(left);
            // One that is ending has no environment any more, but may still hold what is to be removed.
            !found.iter().any(Task::is_alive)
        });
        if ended.is_ok() {
            // The link goes with the network that its other end is in, which the kernel takes its time for; so do
            // control groups with the last process in them.
            let _ = eventually(GONE, || {
                for group in control_groups(directory) {
                    let _ = fs::remove_dir(group);
                }
                let Self { control_groups, link, .. } = Self::of(directory);
                control_groups.is_empty() && link.is_none()
            });
            if Self::of(directory).directory.is_some() {
                // That by which it is known goes last, in case that something else will not.
                let is_known_by = |path: &PathBuf| path.ends_with(DESCRIPTION);
                let entries = fs::read_dir(directory).into_iter().flatten().flatten();
                for path in entries.map(|entry| entry.path()).filter(|path| !is_known_by(path)) {
                    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                }
                let _ = fs::remove_dir_all(directory);
            }
        }
        Self::of(directory)
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found: Vec<String> = Vec::new();
        found.extend(self.processes.iter().map(|task| format!("process {}", task.pid())));
        found.extend(self.control_groups.iter().map(|group| format!("control group {}", group.display())));
        found.extend(self.directory.iter().map(|directory| format!("directory {}", directory.display())));
        found.extend(self.link.iter().map(|link| format!("link {}", link.display())));
        f.write_str(&found.join(", "))
    }
}

/// The name of the control group that all containers of the lab in `directory` are below.
pub(super) fn control_group(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The control groups of a lab, each after those below it.
fn control_groups(directory: &Path) -> Vec<PathBuf> {
    let name = control_group(directory);
    let root = Path::new(CONTROL_GROUPS);
    let controllers = subdirectories(root).unwrap_or_default();
    let mut found = Vec::new();
    for top in controllers.iter().map(PathBuf::as_path).chain([root]) {
        let top = top.join(&name);
        if top.is_dir() {
            below(&top, &mut found);
        }
    }
    found
}

fn below(group: &Path, found: &mut Vec<PathBuf>) {
    for group in subdirectories(group).unwrap_or_default() {
        below(&group, found);
    }
    found.push(group.to_owned());
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir() && !path.is_symlink()).collect())
}
