//! Processes of a lab, found by their environment.
//!
//! A component is the network, the registry or a host. Each has a name, an init process and a log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::proc::{self, ProcessHandle};

/// Environment variable of every process of a lab: the lab's directory.
pub(super) const LAB: &str = "SWARMLINGS_PART_OF_LAB";

/// Environment variable of every process of a lab: the name of its component.
const COMPONENT: &str = "SWARMLINGS_PART";

/// Lines of a component's log in error messages.
const TAIL: usize = 20;

/// Makes `command` start a component of the lab in `directory`, in a process group that Ctrl-C does not reach.
pub(super) fn component(mut command: Command, directory: &Path, name: &str) -> Result<Command> {
    let file = log_file(directory, name);
    let log = File::options().create(true).append(true).open(&file);
    let log = log.with_context(|| format!("opening {}", file.display()))?;
    let stderr = log.try_clone().with_context(|| format!("opening {}", file.display()))?;
    command.env(LAB, directory).env(COMPONENT, name).stdout(log).stderr(stderr).process_group(0);
    Ok(command)
}

/// Starts a component that ends with the lab. A thread reaps it.
pub(super) fn spawn(mut command: Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    thread::spawn(move || child.wait());
    Ok(())
}

/// Returns a command that runs in namespaces of `process`.
pub(super) fn nsenter(process: &ProcessHandle, namespaces: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.pid().to_string()]).args(namespaces).arg("--");
    command
}

/// Finds the init process of a component.
pub(super) fn init_of(directory: &Path, name: &str) -> Option<ProcessHandle> {
    let processes = proc::with_environment(LAB, &directory.to_string_lossy());
    let named = proc::with_environment(COMPONENT, name);
    // Init processes of containers inherit the environment until they call exec, but they are younger.
    processes
        .into_iter()
        .filter(|process| named.contains(process) && process.is_init())
        .min_by_key(ProcessHandle::started)
}

fn log_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

/// The last lines of a component's log.
pub(super) fn log_tail(directory: &Path, name: &str) -> String {
    let text = fs::read(log_file(directory, name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().flat_map(|line| [line, "\n"]).collect()
}
