//! Processes in `/proc`.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, geteuid};

use super::eventually;
use super::sidecar::Sidecar;

/// Returns a field of `/proc/PID/status`; `None` without the process.
pub(crate) fn status(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.trim_start_matches(':').trim().to_owned()))
}

/// Returns a field that is a set of signals: bit N - 1 is signal N.
#[track_caller]
pub(crate) fn signals(pid: Pid, field: &str) -> u64 {
    u64::from_str_radix(&status(pid, field).unwrap(), 16).unwrap()
}

/// Returns whether a process is stopped.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    status(pid, "State").is_some_and(|state| state.starts_with('T'))
}

/// Returns whether the group of a process is in the foreground of its terminal.
pub(crate) fn has_foreground(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // After the name: state, parent, group, session, terminal, the terminal's foreground group.
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    matches!(fields[..], [_, _, group, _, _, foreground, ..] if group == foreground)
}

/// Returns the children of a single-threaded process, including adopted ones.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect()
}

/// Waits for a child of `parent` with this name.
#[track_caller]
pub(crate) fn child(parent: Pid, name: &str) -> Pid {
    eventually(&format!("start of {name}"), || {
        children(parent).into_iter().find(|pid| status(*pid, "Name").as_deref() == Some(name))
    })
}

/// Waits until the service has this name.
#[track_caller]
pub(crate) fn service(sidecar: &Sidecar, name: &str) -> Pid {
    child(sidecar.pid(), name)
}

/// Returns a prefix that runs a command with `contents` in place of `file`: as root, or with a user namespace. The contents
/// are written for one test.
pub(crate) fn with_file(test: &str, file: &str, contents: &str) -> [String; 7] {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.{}", std::process::id()));
    fs::write(&own, contents).unwrap();
    let mount = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
    let namespaces = if geteuid().is_root() { "-m" } else { "-Urm" };
    ["unshare", namespaces, "sh", "-c", mount, own.to_str().unwrap(), file].map(ToOwned::to_owned)
}

/// Returns a prefix that runs a command as PID 1: as root, or with a user namespace.
pub(crate) fn unshare() -> &'static [&'static str; 6] {
    const ROOT: [&str; 6] = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "--"];
    const USER: [&str; 6] = ["unshare", "-Ur", "--fork", "--pid", "--mount-proc", "--kill-child"];
    [&ROOT, &USER]
        .into_iter()
        .find(|words| {
            Command::new(words[0])
                .args(&words[1..])
                .arg("true")
                .output()
                .is_ok_and(|out| out.status.success())
        })
        .expect("no PID namespace: this test needs `unshare` of util-linux, and root or user namespaces")
}
