//! Starts `echo` and sends it requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use harness::ServiceProcess;
use harness::service_process::{ANY_PORT, connect};

/// A running `echo`.
pub(crate) struct Echo {
    pub(crate) process: ServiceProcess,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Returns a command for `echo` that inherits no settings.
pub(crate) fn command() -> Command {
    harness::process::command(env!("CARGO_BIN_EXE_echo"))
}

/// Runs `command` until it exits by itself.
pub(crate) fn run(command: &mut Command) -> Output {
    harness::process::run(command).unwrap()
}

impl Echo {
    /// Starts it on free ports.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(command().args(ANY_PORT).args(args))
    }

    /// Starts it with this command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self { process: ServiceProcess::spawn(command) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.process.connect()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))
    }

    /// Sends a request that closes its connection.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    /// Value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = connect(self.process.admin());
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let metrics = answer(&mut stream).text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
    }

    /// Peak resident memory in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Reads a response that ends with its connection.
pub(crate) fn answer(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&all)));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut body = all.split_off(end + 4);
    if head.contains("\r\ntransfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { code: head[9..12].parse().unwrap(), head, body }
}

/// Decodes a chunked body, which must be complete.
fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|bytes| bytes == b"\r\n").expect("an answer broke off");
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&chunks[line + 2..][..size]);
        chunks = &chunks[line + 2 + size + 2..];
    }
}
