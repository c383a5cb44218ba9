//! The processes that a lab consists of, found by their environment.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::proc::{self, Task};

/// In the environment of every process of a lab: its directory.
pub(super) const LAB: &str = "SWARMLINGS_PART_OF_LAB";

/// In the environment of every process of a lab: the part's name.
const PART: &str = "SWARMLINGS_PART";

/// Makes `command` start `name`, a part of the lab in `directory`, out of reach of the terminal's Ctrl-C.
pub(super) fn part(mut command: Command, directory: &Path, name: &str) -> Result<Command> {
    let file = log(directory, name);
    let log = File::options().create(true).append(true).open(&file);
    let log = log.with_context(|| format!("opening {}", file.display()))?;
    let stderr = log.try_clone().context("sharing a log")?;
    command.env(LAB, directory).env(PART, name).stdout(log).stderr(stderr).process_group(0);
    Ok(command)
}

/// Starts a part that ends with the lab, and sees to it that no zombie is left of it.
pub(super) fn spawn(mut command: Command) -> Result<()> {
    let shown = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("starting {}", shown.display()))?;
    thread::spawn(move || child.wait());
    Ok(())
}

/// A command in namespaces of `process`.
pub(super) fn nsenter(process: &Task, namespaces: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.pid().to_string()]).args(namespaces).arg("--");
    command
}

/// The first process, in its PID namespace, of a part of a lab.
pub(super) fn first_process(directory: &Path, name: &str) -> Option<Task> {
    let parts = proc::with_environment(LAB, &directory.to_string_lossy());
    let named = proc::with_environment(PART, name);
    // Containers' first processes, before they have become what they are to run, are younger.
    parts
        .into_iter()
        .filter(|task| named.contains(task) && task.is_first_in_namespace())
        .min_by_key(Task::began)
}

fn log(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

/// The last lines that a part has written.
pub(super) fn said(directory: &Path, name: &str) -> String {
    let text = fs::read(log(directory, name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].iter().flat_map(|line| [line, "\n"]).collect()
}
