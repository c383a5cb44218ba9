//! On a terminal: how it stands, in place, and the report when it has ended.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use swarmlings_harness::eventually;

use crate::peer::Peer;
use crate::run::PATIENCE;

/// A terminal, and `load` that runs on it. It ends with the test.
struct Terminal {
    master: File,
    written: Arc<Mutex<Vec<u8>>>,
    load: Child,
}

impl Terminal {
    fn start(width: u16, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
        load.args(args).env_clear().env("TERM", "xterm").stdin(Stdio::null());
        let load = load.stdout(Stdio::piped()).stderr(slave).spawn().unwrap();
        let (master, written) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let terminal = Self { master, written, load };
        terminal.resize(width);
        let (mut read, written) = (terminal.master.try_clone().unwrap(), Arc::clone(&terminal.written));
        thread::spawn(move || {
            let mut some = [0; 4096];
            // An error is the end of the program, which was the last to have it open.
            while let Ok(length) = read.read(&mut some) {
                written.lock().unwrap().extend_from_slice(&some[..length]);
            }
        });
        terminal
    }

    fn resize(&self, width: u16) {
        let size = Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The last whole drawing, as its lines without what moves the cursor and colours.
    fn drawing(&self) -> Option<Vec<String>> {
        let written = self.written();
        let (before, _) = written.rsplit_once("\x1b[J\x1b[?25h")?;
        let (_, frame) = before.rsplit_once("\x1b[?25l\r")?;
        // Of a line's end the terminal makes a carriage return more.
        Some(frame.lines().map(|line| plain(line.trim_end_matches('\r'))).collect())
    }

    /// Waits for a drawing that is as it should be.
    fn shows(&self, is_well: impl Fn(&[String]) -> bool) {
        let shown = || self.drawing().is_some_and(|drawing| is_well(&drawing));
        eventually(PATIENCE, shown).unwrap_or_else(|error| panic!("{error}: {:#?}", self.drawing()));
    }

    /// Ends it as Ctrl-C does: exit code, and what it says in the end.
    fn interrupt(&mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.load), Signal::INT).unwrap();
        eventually(PATIENCE, || self.load.try_wait().unwrap().is_some()).unwrap();
        let mut said = String::new();
        self.load.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (self.load.wait().unwrap().code(), said)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Either it has ended before, or it is ended here.
        let _ = self.load.kill();
        let _ = self.load.wait();
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
fn it_is_drawn_in_place_in_any_width_and_taken_away_for_the_report() {
    let peer = Peer::good();
    let args = [&peer.url(), "--rate", "200", "--for", "10m", "--every", "100ms"];
    let mut terminal = Terminal::start(80, &args);
    let fits = |drawing: &[String], width| drawing.iter().all(|line| line.chars().count() <= width);
    let is_whole = |drawing: &[String]| {
        ["of 10 min", "of 200/s", "longest gap", "100.0 %"].iter().all(|part| drawing.concat().contains(part))
    };
    terminal.shows(|drawing| is_whole(drawing) && fits(drawing, 80) && !fits(drawing, 60));
    // The cursor goes up, and what follows takes the place of what was there.
    eventually(PATIENCE, || terminal.written().contains("\x1b[7A")).unwrap();
    terminal.resize(40);
    terminal.shows(|drawing| fits(drawing, 40) && drawing.concat().contains("longest gap"));

    let (code, said) = terminal.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().next().unwrap().ends_with(" · interrupted"), "{said}");
    // Nothing is left of what was drawn, and the cursor is there.
    terminal.shows(|drawing| drawing.concat().is_empty());
    assert!(terminal.written().rfind("\x1b[?25h") > terminal.written().rfind("\x1b[?25l"));
}
