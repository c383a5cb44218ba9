//! The live view on a pseudo-terminal.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use harness::process::{Streams, command};
use harness::{Process, Pty, Signal, SpawnOptions, TIMEOUT, eventually};

use crate::server::TestServer;

/// A terminal, and a `load` that draws on it.
struct Terminal {
    pty: Pty,
    written: Arc<Mutex<Vec<u8>>>,
    load: Process,
}

impl Terminal {
    fn start(width: u16, args: &[&str]) -> Self {
        let pty = Pty::open(width, 24).unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_load"));
        command.args(args).env("TERM", "xterm").env_remove("NO_COLOR");
        let streams = Streams { stderr: Some(pty.program.try_clone().unwrap().into()), ..Streams::default() };
        let load = Process::spawn_with("load", &mut command, SpawnOptions::default(), streams).unwrap();
        let (mut read, written) = (pty.master.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let terminal = Self { pty, written: Arc::clone(&written), load };
        thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(length) = read.read(&mut some) {
                written.lock().unwrap().extend_from_slice(&some[..length]);
            }
        });
        terminal
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Lines of the last complete drawing, without ANSI sequences.
    fn drawing(&self) -> Option<Vec<String>> {
        let written = self.written();
        let (before, _) = written.rsplit_once("\x1b[J\x1b[?25h")?;
        let (_, frame) = before.rsplit_once("\x1b[?25l\r")?;
        // The terminal adds a carriage return to each line.
        Some(frame.lines().map(|line| plain(line.trim_end_matches('\r'))).collect())
    }

    /// Waits for a drawing that meets a condition.
    fn shows(&self, condition: impl Fn(&[String]) -> bool) {
        let shown = || self.drawing().is_some_and(|drawing| condition(&drawing));
        eventually(TIMEOUT, shown).unwrap_or_else(|error| panic!("{error}: {:#?}", self.drawing()));
    }

    /// Interrupts it as Ctrl-C does. Returns its exit code and its stdout.
    fn interrupt(&mut self) -> (Option<i32>, String) {
        self.load.signal(Signal::INT).unwrap();
        let status = self.load.wait(TIMEOUT).unwrap();
        self.load.log().wait_for_end(TIMEOUT).unwrap();
        (status.code(), self.load.log().lines().join("\n"))
    }
}

/// Text without escape sequences.
fn plain(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.trim_start_matches(|sign: char| !sign.is_alphabetic()).get(1..).unwrap_or_default()
    })
}

#[test]
fn view_adapts_to_the_terminal_and_is_erased_before_the_report() {
    let server = TestServer::ok();
    let args = [&server.url(), "--rate", "200", "--duration", "10m", "--every", "100ms"];
    let mut terminal = Terminal::start(80, &args);
    let fits = |drawing: &[String], width| drawing.iter().all(|line| line.chars().count() <= width);
    let is_complete = |drawing: &[String]| {
        ["of 10 min", "of 200/s", "longest gap", "100.0 %"].iter().all(|part| drawing.concat().contains(part))
    };
    terminal.shows(|drawing| is_complete(drawing) && fits(drawing, 80) && !fits(drawing, 60));
    // The cursor moves up to redraw in place.
    eventually(TIMEOUT, || terminal.written().contains("\x1b[7A")).unwrap();
    terminal.pty.resize(40, 24).unwrap();
    terminal.shows(|drawing| fits(drawing, 40) && drawing.concat().contains("longest gap"));

    let (code, stdout) = terminal.interrupt();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("interrupted after "), "{stdout}");
    // All lines that were drawn are erased.
    terminal.shows(|drawing| drawing.concat().is_empty());
    let written = terminal.written();
    let drawings: Vec<_> = written.split("\x1b[?25l\r").collect();
    let [.., last, end] = &drawings[..] else { panic!("{written:?}") };
    assert!(
        end.starts_with(&format!("\x1b[{}A\x1b[J\x1b[?25h", last.lines().count() - 1)),
        "{last:?}, {end:?}"
    );
}

#[test]
fn report_fits_a_narrow_terminal() {
    let server = TestServer::ok();
    let pty = Pty::open(40, 24).unwrap();
    let mut load = command(env!("CARGO_BIN_EXE_load"));
    load.args([&server.url(), "--requests", "100", "--max-failed", "0", "--quiet"]);
    let streams = Streams { stdout: Some(pty.program.try_clone().unwrap().into()), ..Streams::default() };
    let mut load = Process::spawn_with("load", &mut load, SpawnOptions::default(), streams).unwrap();
    assert_eq!(load.wait(TIMEOUT).unwrap().code(), Some(0));
    // Reading ends when nothing has the terminal open.
    let Pty { mut master, program } = pty;
    drop(program);
    let mut text = Vec::new();
    let _ = master.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("100 requests") && text.contains("--max-failed"), "{text}");
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 40), "{text}");
}
