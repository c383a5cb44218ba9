//! The sidecar's process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;
use super::hub::ScriptedHub;
use super::proc::children;
use super::service::Service;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sidecar");

/// A service that says which signals it gets, and ends at TERM, INT or QUIT.
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

/// A service that only SIGKILL ends. It says which signals it got.
pub(crate) const STUBBORN: &str = "
    trap 'echo TERM' TERM
    trap 'echo INT' INT
    echo ready
    while :; do sleep 1000 & wait $!; done";

/// A running sidecar, ended when dropped.
pub(crate) struct Sidecar {
    /// The sidecar itself, or the command that it was started by.
    process: Child,
    stdout: Lines,
    stderr: Lines,
    terminal: bool,
    task: String,
    hub: Option<String>,
}

/// `sidecar run` to be, with an environment of its own.
pub(crate) struct Run {
    prefix: Vec<String>,
    terminal: bool,
    flags: Vec<String>,
    task: String,
    hub: Option<String>,
    probe: String,
}

/// A URL that nothing listens at.
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

    /// With a hub that is not there: PID 1's duties do not depend on it.
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

    pub(crate) fn probe(mut self, url: &str) -> Self {
        url.clone_into(&mut self.probe);
        self
    }

    pub(crate) fn flags<const N: usize>(mut self, flags: [&str; N]) -> Self {
        self.flags.extend(flags.map(ToOwned::to_owned));
        self
    }

    /// Starts the sidecar by way of another command.
    pub(crate) fn under<const N: usize>(mut self, prefix: [&str; N]) -> Self {
        self.prefix = prefix.map(ToOwned::to_owned).into();
        self
    }

    /// Starts it in a terminal of its own, which [`Sidecar::types`] types into.
    pub(crate) fn in_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Starts it with a shell script as its service.
    pub(crate) fn script(self, script: &str) -> Sidecar {
        self.command(&["/bin/sh", "-c", script])
    }

    pub(crate) fn command(self, command: &[&str]) -> Sidecar {
        let mut words = self.prefix.clone();
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
        let mut process = plain(&words[0])
            .args(&words[1..])
            .envs(environment(&self.task, self.hub.as_ref()))
            // What is to be noticed is noticed soon. A test's own flags win.
            .env("SIDECAR_PROBE", &self.probe)
            .env("SIDECAR_PROBE_INTERVAL", "5ms")
            .env("SIDECAR_PROBE_START_INTERVAL", "5ms")
            .env("SIDECAR_FALL", "1")
            .env("LOG_LEVEL", "debug")
            .stdin(if self.terminal { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::of(process.stdout.take().unwrap());
        let stderr = Lines::of(process.stderr.take().unwrap());
        Sidecar { process, stdout, stderr, terminal: self.terminal, task: self.task, hub: self.hub }
    }
}

impl Sidecar {
    /// The PID that was given to what was started, the sidecar or the command before it.
    pub(crate) fn started_as(&self) -> u32 {
        self.process.id()
    }

    /// The PID of the sidecar itself.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        eventually("start of the sidecar", || sidecar_below(Pid::from_child(&self.process)))
    }

    /// Types into its terminal.
    pub(crate) fn types(&mut self, keys: &[u8]) {
        let terminal = self.process.stdin.as_mut().unwrap();
        terminal.write_all(keys).unwrap();
        terminal.flush().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the service to say a line like this.
    #[track_caller]
    pub(crate) fn says(&self, like: &str) -> String {
        self.stdout.wait(like)
    }

    /// Everything that the service has said.
    pub(crate) fn said(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// Waits for the sidecar to log a line like this.
    #[track_caller]
    pub(crate) fn logs(&self, like: &str) -> String {
        eventually(&format!("log line {like:?}"), || self.logged(like).into_iter().next())
    }

    /// All lines like this that the sidecar has logged. A terminal shows them among the service's.
    pub(crate) fn logged(&self, like: &str) -> Vec<String> {
        let lines = if self.terminal { &self.stdout } else { &self.stderr };
        lines.all().into_iter().filter(|line| line.contains(like)).collect()
    }

    /// Waits for the end of the sidecar and of everything that has its output.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let status = eventually("end of the sidecar", || self.process.try_wait().unwrap());
        eventually("end of its output", || (self.stdout.ended() && self.stderr.ended()).then_some(()));
        status
    }

    /// `sidecar healthcheck` with the same environment: its exit code and its line.
    pub(crate) fn healthcheck(&self) -> (Option<i32>, String) {
        healthcheck(&self.task, self.hub.as_ref(), &[])
    }

    /// Waits for the health check to say so.
    #[track_caller]
    pub(crate) fn checks(&self, code: i32, like: &str) {
        eventually(&format!("health check with {code} and {like:?}"), || {
            let (exit, said) = self.healthcheck();
            (exit == Some(code) && said.contains(like)).then_some(())
        });
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (stdout, stderr) = (self.said().join("\n"), self.stderr.all().join("\n"));
            eprintln!(
                "--- stdout\n{stdout}\n--- stderr\n{stderr}\n--- health check\n{:?}",
                self.healthcheck()
            );
        }
        // Three signals make a sidecar kill its service. Only if it is deaf to them is it killed itself.
        for _ in 0..500 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            if let Some(sidecar) = sidecar_below(Pid::from_child(&self.process)) {
                let _ = kill_process(sidecar, Signal::TERM);
            }
            thread::sleep(std::time::Duration::from_millis(5));
        }
        kill_tree(Pid::from_child(&self.process));
        let _ = self.process.wait();
    }
}

/// Kills a process and, first, all that it has started.
fn kill_tree(pid: Pid) {
    children(pid).into_iter().for_each(kill_tree);
    let _ = kill_process(pid, Signal::KILL);
}

/// The process or the descendant of it that is a sidecar.
fn sidecar_below(pid: Pid) -> Option<Pid> {
    let exe = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
    if exe.is_ok_and(|exe| exe == Path::new(BINARY)) {
        return Some(pid);
    }
    children(pid).into_iter().find_map(sidecar_below)
}

/// Runs `sidecar healthcheck`.
pub(crate) fn healthcheck(task: &str, hub: Option<&String>, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = plain(BINARY);
    command.arg("healthcheck").args(flags).envs(environment(task, hub));
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

/// A command that inherits none of the variables that the sidecar reads.
pub(crate) fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIDECAR_") || name.to_string_lossy().starts_with("LOG_") {
            command.env_remove(name);
        }
    }
    command
}

fn environment(task: &str, hub: Option<&String>) -> Vec<(&'static str, String)> {
    let mut variables = vec![("SIDECAR_TASK", task.to_owned())];
    variables.extend(hub.map(|url| ("SIDECAR_HUB", url.clone())));
    variables
}

/// The lines that came through a pipe so far.
struct Lines(Arc<Mutex<(Vec<String>, bool)>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new((Vec::new(), false)));
        let shared = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                shared.lock().unwrap().0.push(line);
            }
            shared.lock().unwrap().1 = true;
        });
        Self(lines)
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    fn ended(&self) -> bool {
        self.0.lock().unwrap().1
    }

    #[track_caller]
    fn wait(&self, like: &str) -> String {
        eventually(&format!("output line {like:?}"), || {
            self.all().into_iter().find(|line| line.contains(like))
        })
    }
}
