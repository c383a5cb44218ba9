//! Who computes where.

use std::ffi::OsStr;
use std::process::Command;
use std::thread;

use swarmlings_harness::process::command;

/// A processor core of this machine, or none in particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Core(Option<u16>);

impl Core {
    /// Wherever the kernel likes.
    pub(super) const ANY: Self = Self(None);

    /// A command that runs `program` there, with none of the settings that the user's shell may have for ours.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let Self(Some(core)) = self else { return command(program) };
        let mut pinned = command("taskset");
        pinned.args(["--cpu-list", &core.to_string()]).arg(program);
        pinned
    }
}

/// One core for servers, and another for the load: where there is only one, they share it.
pub(super) fn server_and_load() -> (Core, Core) {
    if count() > 1 { (Core(Some(0)), Core(Some(1))) } else { (Core::ANY, Core::ANY) }
}

/// How many there are.
pub(super) fn count() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}
