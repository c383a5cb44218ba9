//! Runs `ping` as a process and reads what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Flags for a free port each.
pub(crate) const ANY_PORT: [&str; 6] = ["--address", "127.0.0.1", "--port", "0", "--admin-port", "0"];

/// A `ping` that runs until the test is over.
pub(crate) struct Ping {
    child: Child,
    lines: Receiver<String>,
    /// The line that it began with.
    pub(crate) listening: String,
}

/// A `ping` without any of the variables that it reads.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ping"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SERVICE_") || name.to_string_lossy().starts_with("LOG_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs one to its end, which must come by itself.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child);
    child.wait_with_output().unwrap()
}

/// Waits for a process that must end by itself.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{child:?} goes on for ever");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs one with these flags to its end.
pub(crate) fn run_with(args: &[&str]) -> Output {
    run(command().args(args))
}

impl Ping {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(command().args(ANY_PORT).args(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut ping = Self { child, lines, listening: String::new() };
        ping.listening = ping.says("listening");
        ping
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn says(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("it never says {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where it listens, from the line it began with: `address` or `admin`.
    pub(crate) fn place(&self, name: &str) -> SocketAddr {
        let value = self.listening.split(&format!("{name}=")).nth(1).unwrap();
        value.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.place("address"))
    }

    pub(crate) fn get(&self, path: &str) -> String {
        get(self.connect(), path)
    }

    pub(crate) fn admin(&self, path: &str) -> String {
        get(connect(self.place("admin")), path)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for its end; returns the lines that it said and how it ended.
    pub(crate) fn end(mut self) -> (Vec<String>, ExitStatus) {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return (lines, self.child.wait().unwrap()),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on for ever after {lines:?}"),
            }
        }
    }
}

/// No test leaves a process behind.
impl Drop for Ping {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Asks once and returns the whole answer.
pub(crate) fn get(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until `holds`.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
