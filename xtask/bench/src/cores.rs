//! Who computes where.

use std::ffi::OsStr;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use harness::process::command;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

/// Keeps a process and the calling thread off each other's core, until it is dropped: the thread may then run anywhere
/// again.
pub(super) struct Apart(Option<CpuSet>);

impl Apart {
    /// Only those threads of the process are kept there which do not exist yet, and the one that it began with.
    pub(super) fn keep(pid: u32) -> Result<Self> {
        let (Core(Some(servers)), Core(Some(own))) = server_and_load() else { return Ok(Self(None)) };
        let only = |core: u16| {
            let mut cores = CpuSet::new();
            cores.set(core.into());
            cores
        };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process has a number")?;
        let before = sched_getaffinity(None).context("asking which cores this thread may use")?;
        sched_setaffinity(Some(pid), &only(servers)).context("binding a server to a core")?;
        sched_setaffinity(None, &only(own)).context("binding the load to a core")?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(before) = &self.0
            && let Err(error) = sched_setaffinity(None, before)
        {
            eprintln!("letting this thread use all cores again: {error}");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_off_its_servers_core_only_for_a_while() {
        let before = sched_getaffinity(None).unwrap();
        let mut server = command("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        {
            let _apart = Apart::keep(server.id()).unwrap();
            let theirs = sched_getaffinity(Pid::from_raw(i32::try_from(server.id()).unwrap())).unwrap();
            let ours = sched_getaffinity(None).unwrap();
            assert!(count() == 1 || (ours.count(), theirs.count()) == (1, 1) && ours != theirs);
        }
        assert_eq!(sched_getaffinity(None).unwrap(), before);
        // The end of its input is its own.
        drop(server.stdin.take());
        server.wait().unwrap();
    }
}
