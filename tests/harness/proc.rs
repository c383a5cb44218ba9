//! Processes that somebody else started, as `/proc` shows them.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process by its number and the time it began: a later one that gets the same number is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    pid: u32,
    began: u64,
}

impl Task {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it began, in the kernel's ticks since the machine did.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Whether it is the first process of a PID namespace, with which all others of that end.
    pub fn is_first_in_namespace(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        // From the outermost namespace to its own.
        numbers.and_then(|numbers| numbers.split_whitespace().last()) == Some("1")
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.began == self.began && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends `signal`, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may have ended in between, which is as good.
            let _ = send(self.pid, signal);
        }
    }
}

/// The children of `pid`, oldest first.
pub fn children(pid: u32) -> Vec<Task> {
    let mut children: Vec<Task> = all().filter(|(_, stat)| stat.parent == pid).map(Task::from).collect();
    children.sort_by_key(|child| (child.began, child.pid));
    children
}

/// The children of `pid`, theirs, and so on.
pub fn descendants(pid: u32) -> Vec<Task> {
    let mut found = children(pid);
    let mut looked_at = 0;
    while let Some(next) = found.get(looked_at) {
        found.extend(children(next.pid));
        looked_at += 1;
    }
    found
}

/// All processes that were started with `variable` set to `value`, whoever is their parent by now.
pub fn with_environment(variable: &str, value: &str) -> Vec<Task> {
    let wanted = format!("{variable}={value}").into_bytes();
    let has = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted)
    };
    all().filter(|(pid, _)| has(*pid)).map(Task::from).collect()
}

/// The memory that `pid` holds in RAM, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let Some(value) = status.lines().find_map(|line| line.strip_prefix("VmRSS:")) else {
        bail!("reading {path}: no VmRSS, the process has ended");
    };
    value.trim().trim_end_matches(" kB").parse().with_context(|| format!("reading {path}: VmRSS {value:?}"))
}

/// What a process has cost the machine so far, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor.
    pub cpu: Duration,
    /// How often it has waited for something, and was woken.
    pub voluntary: u64,
    /// How often it had to make room for another process.
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

/// What `pid` has used so far. Threads that have ended do not count any more.
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

/// Sends `signal` to `pid`, of which the caller knows that it is still the right one.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<()> {
    kill_process(number(pid)?, signal).with_context(|| format!("sending {signal:?} to process {pid}"))
}

/// The same for the group that `pid` leads.
pub(crate) fn send_to_group(pid: u32, signal: Signal) -> Result<()> {
    kill_process_group(number(pid)?, signal)
        .with_context(|| format!("sending {signal:?} to process group {pid}"))
}

fn number(pid: u32) -> Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process has a number above 0")
}

struct Stat {
    state: char,
    parent: u32,
    began: u64,
}

impl From<(u32, Stat)> for Task {
    fn from((pid, stat): (u32, Stat)) -> Self {
        Self { pid, began: stat.began }
    }
}

fn all() -> impl Iterator<Item = (u32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?)))
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may itself hold spaces and parentheses: what counts begins after the last one.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        // The 22nd field in all, so the 20th after the name.
        began: fields.nth(17)?.parse().ok()?,
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
    fn a_child_is_told_from_a_later_process_with_its_number() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let task = *children(id()).iter().find(|task| task.pid() == child.id()).unwrap();
        assert!(task.is_alive());
        assert!(!Task { began: task.began + 1, ..task }.is_alive());
        assert!(resident_kib(task.pid()).unwrap() > 0);

        task.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(!task.is_alive());
    }

    #[test]
    fn a_wait_is_a_voluntary_switch() {
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
