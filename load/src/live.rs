//! Live view of a run on a terminal.
//!
//! Each update leaves the terminal in its normal state: cursor visible and below the view, default colours, unchanged modes.
//! So nothing has to be restored, however the program ends.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

use crate::report::Report;
use line::Line;
use screen::{screen, status_line};
use snapshot::Snapshot;

mod line;
mod screen;
mod snapshot;

/// Size of a terminal that does not report it: columns and rows.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// Shows the state of a run. Erases the view when dropped.
#[derive(Debug)]
pub struct LiveView<W: Write> {
    out: W,
    mode: Mode,
    /// Widths of the lines on the screen.
    drawn: Vec<usize>,
}

/// How the view is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is shown.
    Quiet,
    /// A status line for each update.
    Lines,
    /// A screen that is redrawn in place.
    Screen { colours: bool },
}

impl Mode {
    /// Selects the mode for an output by the variables `TERM` and `NO_COLOR` (<https://no-color.org>).
    fn select(is_terminal: bool, term: Option<&str>, no_color: Option<&str>) -> Self {
        match term {
            Some(term) if is_terminal && !term.is_empty() && term != "dumb" => {
                Self::Screen { colours: no_color.is_none_or(str::is_empty) }
            }
            _ => Self::Lines,
        }
    }
}

impl LiveView<io::Stderr> {
    /// Creates a view on stderr, which shows nothing if `is_quiet`.
    pub fn on_stderr(is_quiet: bool) -> Self {
        let var = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (term, no_color) = (var("TERM"), var("NO_COLOR"));
        let mode = Mode::select(io::stderr().is_terminal(), term.as_deref(), no_color.as_deref());
        Self::new(io::stderr(), if is_quiet { Mode::Quiet } else { mode })
    }
}

impl<W: Write + AsFd> LiveView<W> {
    /// Shows an interim report.
    pub fn show(&mut self, report: &Report) {
        let colours = match self.mode {
            Mode::Quiet => return,
            Mode::Lines => return self.write(&(status_line(&Snapshot::of(report)) + "\n")),
            Mode::Screen { colours } => colours,
        };
        let size = tcgetwinsize(&self.out).map(|size| (size.ws_col, size.ws_row));
        let (width, height) =
            size.ok().filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(DEFAULT_SIZE);
        let lines = screen(&Snapshot::of(report), width, height);
        let frame = frame(&self.drawn, &lines, width, height, colours);
        self.drawn = lines.iter().map(Line::width).collect();
        self.write(&frame);
    }
}

impl<W: Write> LiveView<W> {
    fn new(out: W, mode: Mode) -> Self {
        Self { out, mode, drawn: Vec::new() }
    }

    /// Prints a line that stays above the view.
    pub fn say(&mut self, line: &str) {
        if self.mode != Mode::Quiet {
            let erase = self.erase();
            self.write(&format!("{erase}{line}\n"));
        }
    }

    /// Erases the view. Nothing is shown after that.
    pub fn close(&mut self) {
        let erase = self.erase();
        if !erase.is_empty() {
            self.write(&erase);
        }
        self.mode = Mode::Quiet;
    }

    /// Returns the sequence that erases the view.
    fn erase(&mut self) -> String {
        if self.drawn.is_empty() {
            return String::new();
        }
        frame(&mem::take(&mut self.drawn), &[], u16::MAX, u16::MAX, false)
    }

    fn write(&mut self, text: &str) {
        // A single write, so that no partial frame is shown. The run continues if the terminal is gone.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for LiveView<W> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the sequence that draws lines in place of those on the screen, which have the widths `drawn`.
fn frame(drawn: &[usize], lines: &[Line], width: u16, height: u16, colours: bool) -> String {
    // If the terminal has become narrower, it has wrapped lines.
    let rows = |columns: &usize| columns.div_ceil(usize::from(width).max(1)).max(1);
    let rows = drawn.iter().map(rows).sum::<usize>().min(usize::from(height).saturating_sub(1));
    let mut frame = String::from("\x1b[?25l\r");
    if rows > 0 {
        let _ = write!(frame, "\x1b[{rows}A");
    }
    for line in lines {
        frame.push_str(&if colours { line.coloured() } else { line.text() });
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J\x1b[?25h");
    frame
}

#[cfg(test)]
mod tests;
