//! Runs the program as a child process, on free ports.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE___NAME__");

/// Prefix of the environment variables for the program's own flags.
const OWN: &str = "__VARIABLE___";

const FREE_PORTS: [&str; 6] = ["--address", "127.0.0.1", "--port", "0", "--admin-port", "0"];

/// Maximum time for each step of a test.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The running program. Dropping it kills the process.
pub(crate) struct Service {
    child: Child,
    /// Lines that the program logs.
    lines: Receiver<String>,
    /// The line with its addresses.
    listening: String,
}

/// A command that does not inherit the program's variables from the user's shell.
pub(crate) fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in env::vars_os() {
        if ["SERVICE_", "LOG_", OWN].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` until it exits.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > TIMEOUT {
            child.kill().unwrap();
            panic!("{command:?} is still running after {TIMEOUT:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().unwrap()
}

impl Service {
    /// Starts `command`, and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.args(FREE_PORTS).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut service = Self { child, lines, listening: String::new() };
        while !service.listening.contains("listening") {
            service.listening = service.lines.recv_timeout(TIMEOUT).expect("the program does not listen");
        }
        service
    }

    /// Sends `GET path`, and returns the whole response.
    pub(crate) fn get(&self, path: &str) -> String {
        self.request("address=", path)
    }

    /// Sends `GET path` to the admin port, and returns the whole response.
    pub(crate) fn get_admin(&self, path: &str) -> String {
        self.request("admin=", path)
    }

    fn request(&self, field: &str, path: &str) -> String {
        let address = self.listening.split(field).nth(1).unwrap().split_whitespace().next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Sends SIGTERM. Returns the last line of the log, and the exit status.
    pub(crate) fn terminate(mut self) -> (String, ExitStatus) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut last = String::new();
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => return (last, self.child.wait().unwrap()),
                Err(RecvTimeoutError::Timeout) => panic!("still running after SIGTERM, and {last:?}"),
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
