//! Starts `load`.

use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use harness::process;
use harness::{Process, Signal, SpawnOptions, TIMEOUT};
use load::report::Report;

fn load(args: &[&str]) -> Command {
    let mut load = process::command(env!("CARGO_BIN_EXE_load"));
    load.args(args);
    load
}

/// Runs `load` until it exits by itself.
pub(crate) fn run(args: &[&str]) -> Output {
    process::run(&mut load(args)).unwrap()
}

/// Runs `load`, and returns its exit code and report.
pub(crate) fn report(args: &[&str]) -> (i32, Report) {
    Running::start(&[args, &["--quiet"]].concat()).end()
}

/// Runs `load` with invalid usage, and returns its exit code and error message.
pub(crate) fn refusal(args: &[&str]) -> (i32, String) {
    let output = run(args);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A running `load`, with a file for its report.
pub(crate) struct Running {
    process: Process,
    directory: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report.json");
        let mut load = load(args);
        load.arg("--json").arg(file);
        Self { process: Process::spawn("load", &mut load, SpawnOptions::default()).unwrap(), directory }
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&mut self) {
        self.process.signal(Signal::INT).unwrap();
    }

    /// Stops it for `time`, as a busy machine would.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.process.signal(Signal::STOP).unwrap();
        thread::sleep(time);
        self.process.signal(Signal::CONT).unwrap();
    }

    /// Waits for output that contains `text`.
    pub(crate) fn says(&self, text: &str) {
        self.process.log().wait_for(text, TIMEOUT).unwrap();
    }

    /// Waits for its end, and returns its exit code and report.
    pub(crate) fn end(mut self) -> (i32, Report) {
        let status = self.process.wait(TIMEOUT).unwrap();
        let json = std::fs::read(self.directory.path().join("report.json")).unwrap();
        let report = serde_json::from_slice(&json);
        (status.code().unwrap(), report.unwrap_or_else(|error| panic!("{error}: {}", self.process.tail())))
    }
}
