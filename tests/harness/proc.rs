//! Processes and their resource usage, from `/proc`.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process, identified by its PID and start time, so that it is not confused with a later process of the same PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessHandle {
    pid: u32,
    started: u64,
}

impl ProcessHandle {
    /// Process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Start time in clock ticks since boot.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether it is the init process of a PID namespace.
    pub fn is_init(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        // One PID for each namespace, from the outermost to its own.
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        pids.and_then(|pids| pids.split_whitespace().last()) == Some("1")
    }

    /// Whether it is running. A zombie is not.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends `signal`, unless it has exited.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may exit in between.
            let _ = send(self.pid, signal);
        }
    }
}

/// Children of `pid`, oldest first.
pub fn children(pid: u32) -> Vec<ProcessHandle> {
    let mut children: Vec<ProcessHandle> =
        all().filter(|(_, stat)| stat.parent == pid).map(ProcessHandle::from).collect();
    children.sort_by_key(|child| (child.started, child.pid));
    children
}

/// All descendants of `pid`, parents before their children.
pub fn descendants(pid: u32) -> Vec<ProcessHandle> {
    let mut found = children(pid);
    let mut visited = 0;
    while let Some(next) = found.get(visited) {
        found.extend(children(next.pid));
        visited += 1;
    }
    found
}

/// All processes that were started with `variable` set to `value`, also those whose parent has exited.
pub fn with_environment(variable: &str, value: &str) -> Vec<ProcessHandle> {
    let wanted = format!("{variable}={value}").into_bytes();
    let has = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted)
    };
    all().filter(|(pid, _)| has(*pid)).map(ProcessHandle::from).collect()
}

/// Resident memory of `pid`, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let Some(value) = status.lines().find_map(|line| line.strip_prefix("VmRSS:")) else {
        bail!("reading {path}: no VmRSS, the process has exited");
    };
    value.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {path}: VmRSS {value:?}"))
}

/// Resources that all threads of a process have used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: Duration,
    /// Voluntary context switches: the process waited.
    pub voluntary: u64,
    /// Involuntary context switches: the kernel preempted the process.
    pub involuntary: u64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }
}

/// The processor time of all children of this process that have ended and were waited for, to a hundredth of a second.
pub fn children_cpu() -> Result<Duration> {
    const PATH: &str = "/proc/self/stat";
    let stat = fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
    // Behind the name, which may hold anything, cutime and cstime are the 14th and 15th field, in hundredths: Linux'
    // USER_HZ.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = fields.split_whitespace().skip(13).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().with_context(|| format!("reading {PATH}: {stat:?}"))?;
    Ok(Duration::from_millis(10 * ticks))
}

/// Returns the resources that `pid` has used so far, without threads that have exited.
pub fn usage(pid: u32) -> Result<Usage> {
    let mut usage = Usage::default();
    let tasks = format!("/proc/{pid}/task");
    for thread in fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
        let thread = thread.with_context(|| format!("reading {tasks}"))?.path();
        let read = |file: &str| {
            let path = thread.join(file);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        // Time on a processor, time of waiting for one, how often it got one; in nanoseconds.
        let schedstat = read("schedstat")?;
        let nanoseconds = schedstat.split(' ').next().and_then(|first| first.parse().ok());
        usage.cpu += Duration::from_nanos(nanoseconds.with_context(|| format!("schedstat {schedstat:?}"))?);
        let status = read("status")?;
        let count = |field: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(field));
            value.and_then(|value| value.trim().parse::<u64>().ok()).with_context(|| format!("no {field}"))
        };
        usage.voluntary += count("voluntary_ctxt_switches:")?;
        usage.involuntary += count("nonvoluntary_ctxt_switches:")?;
    }
    Ok(usage)
}

/// Sends `signal` to `pid`. The caller must know that `pid` has not been reused.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<()> {
    kill_process(raw_pid(pid)?, signal).with_context(|| format!("sending {signal:?} to process {pid}"))
}

/// Sends `signal` to the process group that `pid` leads.
pub(crate) fn send_to_group(pid: u32, signal: Signal) -> Result<()> {
    kill_process_group(raw_pid(pid)?, signal)
        .with_context(|| format!("sending {signal:?} to process group {pid}"))
}

fn raw_pid(pid: u32) -> Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).context("a PID is positive")
}

struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl From<(u32, Stat)> for ProcessHandle {
    fn from((pid, stat): (u32, Stat)) -> Self {
        Self { pid, started: stat.started }
    }
}

fn all() -> impl Iterator<Item = (u32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?)))
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain spaces and parentheses.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        // Field 22, the 20th after the name.
        started: fields.nth(17)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;
    use anyhow::ensure;
    use std::io::Write;
    use std::process::{Command, Stdio, id};

    #[test]
    fn process_is_not_confused_with_a_later_one_of_the_same_pid() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = *children(id()).iter().find(|task| task.pid() == child.id()).unwrap();
        assert!(process.is_alive());
        assert!(!ProcessHandle { started: process.started + 1, ..process }.is_alive());
        assert!(resident_kib(process.pid()).unwrap() > 0);

        process.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn waiting_is_a_voluntary_context_switch() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let before = eventually(Duration::from_secs(10), || {
            let usage = usage(cat.id()).ok().filter(|usage| usage.voluntary > 0 && !usage.cpu.is_zero());
            usage.context("cat has not waited yet")
        });
        let before = before.unwrap();
        cat.stdin.as_ref().unwrap().write_all(b"on").unwrap();
        let once_more = || {
            let used = usage(cat.id())? - before;
            ensure!(used.voluntary > 0, "cat has not waited once more");
            Ok(())
        };
        eventually(Duration::from_secs(10), once_more).unwrap();
        drop(cat.stdin.take());
        cat.wait().unwrap();
    }
}
