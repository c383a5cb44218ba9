//! One of the project's services as a process on free ports, for the tests of its package. Methods panic on failure.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitStatus};

use crate::eventually::TIMEOUT;
use crate::process::{Process, Signal, SpawnOptions, command};

/// Flags for a free service port and a free admin port on loopback.
pub const ANY_PORT: [&str; 6] = ["--address", "127.0.0.1", "--port", "0", "--admin-port", "0"];

/// A service that runs until it is dropped.
pub struct ServiceProcess {
    process: Process,
    listening: String,
}

impl ServiceProcess {
    /// Starts `program` on free ports.
    #[track_caller]
    pub fn start(program: impl AsRef<OsStr>, args: &[&str]) -> Self {
        Self::spawn(command(program).args(ANY_PORT).args(args))
    }

    /// Runs `command` and waits until the service listens.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let process = Process::spawn("service", command, SpawnOptions::default()).unwrap();
        let listening = process.log().wait_for("listening", TIMEOUT).unwrap();
        Self { process, listening }
    }

    /// The log line with the addresses.
    pub fn listening(&self) -> &str {
        &self.listening
    }

    /// Process ID.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Address of the service port.
    pub fn address(&self) -> SocketAddr {
        self.field("address")
    }

    /// Address of the admin port.
    pub fn admin(&self) -> SocketAddr {
        self.field("admin")
    }

    /// Connects to the service port.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Sends `GET path` to the service port and returns the whole response, head included.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        get(self.connect(), path)
    }

    /// Sends `GET path` to the admin port and returns the whole response, head included.
    #[track_caller]
    pub fn get_admin(&self, path: &str) -> String {
        get(connect(self.admin()), path)
    }

    /// Waits for a log line that contains `text`.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        self.process.log().wait_for(text, TIMEOUT).unwrap()
    }

    /// Sends `signal`.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Waits until the service exits, and returns its log and exit status.
    #[track_caller]
    pub fn wait(mut self) -> (Vec<String>, ExitStatus) {
        let status = self.process.wait(TIMEOUT).unwrap();
        self.process.log().wait_for_end(TIMEOUT).unwrap();
        (self.process.log().lines(), status)
    }

    #[track_caller]
    fn field(&self, name: &str) -> SocketAddr {
        let value = self.listening.split(&format!("{name}=")).nth(1).unwrap();
        value.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Connects to `address`, with a read timeout.
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Sends `GET path` on a new connection and returns the whole response, head included.
#[track_caller]
pub fn get(mut stream: impl Read + Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}
