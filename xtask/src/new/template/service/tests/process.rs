//! Runs the program as a process, on ports that are free.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE___NAME__");

/// What its own variables begin with.
const OWN: &str = "__VARIABLE___";

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

const ANY_PORT: [&str; 6] = ["--address", "127.0.0.1", "--port", "0", "--admin-port", "0"];

/// One that runs until the test is over.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// The line that it began with.
    listening: String,
}

/// One without any of the variables that it reads.
pub(crate) fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in env::vars_os() {
        let is_setting = |prefix: &&str| name.to_string_lossy().starts_with(prefix);
        if ["SERVICE_", "LOG_", OWN].iter().any(is_setting) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs one to its end, which must come by itself.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} goes on for ever");
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().unwrap()
}

impl Running {
    /// Starts one, and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.args(ANY_PORT).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut running = Self { child, lines, listening: String::new() };
        while !running.listening.contains("listening") {
            running.listening = running.lines.recv_timeout(PATIENCE).expect("it never listens");
        }
        running
    }

    /// The whole answer to `GET path`.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask("address", path)
    }

    /// The same of its admin port.
    pub(crate) fn admin(&self, path: &str) -> String {
        self.ask("admin", path)
    }

    fn ask(&self, port: &str, path: &str) -> String {
        let address = self.listening.split(&format!("{port}=")).nth(1).unwrap();
        let address: SocketAddr = address.split_whitespace().next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends SIGTERM; returns the last line that it says and how it ends.
    pub(crate) fn terminate(mut self) -> (String, ExitStatus) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut last = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => return (last, self.child.wait().unwrap()),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on for ever after {last:?}"),
            }
        }
    }
}

/// No test leaves a process behind.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
