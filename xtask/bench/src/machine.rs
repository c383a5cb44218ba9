//! The machine: its processor cores and its description in a report.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use harness::process::command;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::programs::version;

/// A processor core, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Core(Option<u16>);

impl Core {
    /// The kernel chooses.
    pub(super) const ANY: Self = Self(None);

    /// Prepares a command that runs `program` on this core, without environment variables that configure this project's programs.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let Self(Some(core)) = self else { return command(program) };
        let mut pinned = command("taskset");
        pinned.args(["--cpu-list", &core.to_string()]).arg(program);
        pinned
    }
}

/// Returns one core for servers and another for load; both are [`Core::ANY`] on a machine with one core.
pub(super) fn server_and_load() -> (Core, Core) {
    if core_count() > 1 { (Core(Some(0)), Core(Some(1))) } else { (Core::ANY, Core::ANY) }
}

/// Number of cores that this process may use.
pub(super) fn core_count() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// Keeps processes and the calling thread on different cores. When dropped, the thread may use all its cores again.
pub(super) struct SeparateCores(Option<CpuSet>);

impl SeparateCores {
    /// Pins the calling thread, the main threads of the processes `pids`, and the threads that they start from now on.
    pub(super) fn pin(pids: &[u32]) -> Result<Self> {
        let (Core(Some(server)), Core(Some(own))) = server_and_load() else { return Ok(Self(None)) };
        let only = |core: u16| {
            let mut cores = CpuSet::new();
            cores.set(core.into());
            cores
        };
        let before = sched_getaffinity(None).context("reading the cores of this thread")?;
        for pid in pids {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw).context("invalid process id")?;
            sched_setaffinity(Some(pid), &only(server)).context("pinning a server to a core")?;
        }
        sched_setaffinity(None, &only(own)).context("pinning this thread to a core")?;
        Ok(Self(Some(before)))
    }
}

impl Drop for SeparateCores {
    fn drop(&mut self) {
        if let Some(before) = &self.0
            && let Err(error) = sched_setaffinity(None, before)
        {
            eprintln!("unpinning this thread: {error}");
        }
    }
}

/// Describes the run as a Markdown list: command, day, processor, then the given `versions`.
///
/// `servers` is the program or programs on the first core.
pub(super) fn description(servers: &str, versions: &[String]) -> Result<String> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = name.map_or(env::consts::ARCH, |(_, name)| name);
    let cores = match core_count() {
        1 => format!("1 core, shared by {servers} and load"),
        count => format!("{count} cores; {servers} on core 0, load on core 1"),
    };
    let mut lines = vec![
        format!("`cargo xtask bench {}`", arguments.join(" ")),
        version(Path::new("date"), &["-u", "+%F"])?,
        format!("{processor}, {cores}"),
    ];
    lines.extend_from_slice(versions);
    Ok(lines.iter().flat_map(|line| ["- ", line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_leaves_the_core_of_its_server_until_the_guard_is_dropped() {
        let before = sched_getaffinity(None).unwrap();
        let mut server = command("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        {
            let _separate = SeparateCores::pin(&[server.id()]).unwrap();
            let theirs = sched_getaffinity(Pid::from_raw(i32::try_from(server.id()).unwrap())).unwrap();
            let ours = sched_getaffinity(None).unwrap();
            assert!(core_count() == 1 || (ours.count(), theirs.count()) == (1, 1) && ours != theirs);
        }
        assert_eq!(sched_getaffinity(None).unwrap(), before);
        // End of input ends `cat`.
        drop(server.stdin.take());
        server.wait().unwrap();
    }
}
