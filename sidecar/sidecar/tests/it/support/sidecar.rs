//! Starts the sidecar.

use std::io::{self, PipeWriter, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::log::Log;
use harness::process::{self, Streams};
use harness::{Process, SpawnOptions, TIMEOUT};
use rustix::process::{Pid, Signal, kill_process};

use super::eventually;
use super::hub::ScriptedHub;
use super::proc::children;
use super::service::Service;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sidecar");

/// A service that prints the signals that it gets, and exits at TERM, INT or QUIT.
pub(crate) const TELLTALE: &str = "
    trap 'echo TERM; exit 0' TERM
    trap 'echo INT; exit 0' INT
    trap 'echo QUIT; exit 0' QUIT
    trap 'echo HUP' HUP
    trap 'echo USR1' USR1
    trap 'echo USR2' USR2
    trap 'echo WINCH' WINCH
    echo ready
    while :; do sleep 1000 & wait $!; done";

/// A service that only SIGKILL ends. It prints the signals that it gets.
pub(crate) const STUBBORN: &str = "
    trap 'echo TERM' TERM
    trap 'echo INT' INT
    echo ready
    while :; do sleep 1000 & wait $!; done";

/// A running sidecar. Drop kills it and its service.
pub(crate) struct Sidecar {
    /// The sidecar itself, or the command that it was started with.
    process: Process,
    stdin: PipeWriter,
    terminal: bool,
    task: String,
    hub: Option<String>,
}

/// Builder of a `sidecar run` command.
pub(crate) struct Run {
    prefix: Vec<String>,
    terminal: bool,
    flags: Vec<String>,
    task: String,
    hub: Option<String>,
    probe: String,
}

/// A URL without a listener.
const NOWHERE: &str = "tcp://127.0.0.1:1";

impl Run {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let task = format!("test.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        Self {
            prefix: Vec::new(),
            terminal: false,
            flags: Vec::new(),
            task,
            hub: None,
            probe: NOWHERE.to_owned(),
        }
    }

    /// Uses a hub that does not exist, since the duties of PID 1 do not depend on it.
    pub(crate) fn alone() -> Self {
        Self::new().hub("http://127.0.0.1:1")
    }

    pub(crate) fn with(hub: &ScriptedHub, service: &Service) -> Self {
        Self::new().hub(&hub.url()).probe(&service.url())
    }

    pub(crate) fn hub(mut self, url: &str) -> Self {
        self.hub = Some(url.to_owned());
        self
    }

    pub(crate) fn task(mut self, task: &str) -> Self {
        task.clone_into(&mut self.task);
        self
    }

    pub(crate) fn probe(mut self, url: &str) -> Self {
        url.clone_into(&mut self.probe);
        self
    }

    pub(crate) fn flags<const N: usize>(mut self, flags: [&str; N]) -> Self {
        self.flags.extend(flags.map(ToOwned::to_owned));
        self
    }

    /// Starts the sidecar with another command.
    pub(crate) fn under<const N: usize>(mut self, prefix: [impl Into<String>; N]) -> Self {
        self.prefix = prefix.map(Into::into).into();
        self
    }

    /// Starts it in a terminal of its own; see [`Sidecar::types`].
    pub(crate) fn in_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Starts it with a shell script as its service.
    pub(crate) fn script(self, script: &str) -> Sidecar {
        self.command(&["/bin/sh", "-c", script])
    }

    pub(crate) fn command(self, command: &[&str]) -> Sidecar {
        // The tests may run under `nohup`, and the sidecar leaves an ignored HUP as it is.
        let mut words = vec!["env".to_owned(), "--default-signal=HUP".to_owned()];
        words.extend(self.prefix);
        words.extend([BINARY.to_owned(), "run".to_owned()]);
        words.extend(self.flags);
        words.push("--".to_owned());
        words.extend(command.iter().map(ToString::to_string));
        if self.terminal {
            let quoted =
                words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>();
            let line = format!("exec {}", quoted.join(" "));
            words = ["script", "--quiet", "--return", "--flush", "--command", &line, "/dev/null"]
                .map(ToOwned::to_owned)
                .into();
        }
        let mut command = process::command(&words[0]);
        command.args(&words[1..]).envs(environment(&self.task, self.hub.as_ref()));
        // Short intervals, so that changes are noticed soon. Flags of a test override them.
        command.env("SIDECAR_PROBE", &self.probe);
        command.env("SIDECAR_PROBE_INTERVAL", "5ms").env("SIDECAR_PROBE_START_INTERVAL", "5ms");
        command.env("SIDECAR_FALL", "1").env("LOG_LEVEL", "debug");
        let options = SpawnOptions { separate_stdout: true, ..SpawnOptions::default() };
        let (input, stdin) = io::pipe().unwrap();
        let streams = Streams { stdin: self.terminal.then(|| input.into()), ..Streams::default() };
        let process = Process::spawn_with("sidecar", &mut command, options, streams).unwrap();
        Sidecar { process, stdin, terminal: self.terminal, task: self.task, hub: self.hub }
    }
}

impl Sidecar {
    /// PID of the sidecar, or of the command that it was started with.
    pub(crate) fn started_as(&self) -> u32 {
        self.process.pid()
    }

    /// PID of the sidecar itself.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        let started = Pid::from_raw(self.started_as().cast_signed()).unwrap();
        eventually("start of the sidecar", || sidecar_below(started))
    }

    /// Types into its terminal.
    pub(crate) fn types(&mut self, keys: &[u8]) {
        self.stdin.write_all(keys).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the service to write a line that contains `text`.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> String {
        self.process.stdout().wait_for(text, TIMEOUT).unwrap()
    }

    /// All lines of the service so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.process.stdout().lines()
    }

    /// Waits for the sidecar to log a line that contains `text`.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) -> String {
        self.log().wait_for(text, TIMEOUT).unwrap()
    }

    /// All log lines of the sidecar so far that contain `text`.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        self.log().matching(text)
    }

    /// Log of the sidecar. In a terminal it shares stdout with the service.
    fn log(&self) -> &Log {
        if self.terminal { self.process.stdout() } else { self.process.log() }
    }

    /// Waits until the sidecar has exited and no process has its output open.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let status = self.process.wait(TIMEOUT).unwrap();
        self.process.stdout().wait_for_end(TIMEOUT).unwrap();
        self.process.log().wait_for_end(TIMEOUT).unwrap();
        status
    }

    /// Runs `sidecar healthcheck` with the same environment. Returns its exit code and its line.
    pub(crate) fn healthcheck(&self) -> (Option<i32>, String) {
        healthcheck(&self.task, self.hub.as_ref(), &[])
    }

    /// Waits until the health check exits with `code` and prints `text`.
    #[track_caller]
    pub(crate) fn checks(&self, code: i32, text: &str) {
        eventually(&format!("health check with {code} and {text:?}"), || {
            let (exit, printed) = self.healthcheck();
            (exit == Some(code) && printed.contains(text)).then_some(())
        });
    }
}

/// The sidecar: this process or one of its descendants.
fn sidecar_below(pid: Pid) -> Option<Pid> {
    let exe = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
    if exe.is_ok_and(|exe| exe == Path::new(BINARY)) {
        return Some(pid);
    }
    children(pid).into_iter().find_map(sidecar_below)
}

/// Runs `sidecar healthcheck`. Returns its exit code and its line.
pub(crate) fn healthcheck(task: &str, hub: Option<&String>, flags: &[&str]) -> (Option<i32>, String) {
    let output =
        process::run(process::command(BINARY).arg("healthcheck").args(flags).envs(environment(task, hub)))
            .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

fn environment(task: &str, hub: Option<&String>) -> Vec<(&'static str, String)> {
    let mut variables = vec![("SIDECAR_TASK", task.to_owned())];
    variables.extend(hub.map(|url| ("SIDECAR_HUB", url.clone())));
    variables
}
