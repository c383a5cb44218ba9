//! The live view on a terminal, drawn in place.
//!
//! Each drawing leaves the terminal as it was: the cursor is shown and stands in the line below, colours are off, and no mode
//! was changed. So there is nothing to put in order, however the program ends.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

use crate::live::{Line, line, screen};
use crate::report::Report;
use crate::snapshot::Snapshot;

/// The size of a terminal that does not say it.
const SIZE: (u16, u16) = (80, 24);

/// Shows how load stands: in place on a terminal, and line by line otherwise. Dropped, it takes away what it has drawn.
#[derive(Debug)]
pub struct Live<W: Write> {
    out: W,
    how: How,
    /// How wide the lines are that are on the screen.
    drawn: Vec<usize>,
}

/// How load is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Line after line.
    Lines,
    /// In place, in colours or without.
    Screen {
        /// Whether in colours.
        colours: bool,
    },
}

impl How {
    /// As it suits this output, `TERM` and `NO_COLOR`: <https://no-color.org>.
    pub fn suits(is_terminal: bool, term: Option<&str>, no_color: Option<&str>) -> Self {
        match term {
            Some(term) if is_terminal && !term.is_empty() && term != "dumb" => {
                Self::Screen { colours: no_color.is_none_or(str::is_empty) }
            }
            _ => Self::Lines,
        }
    }
}

impl Live<io::Stderr> {
    /// On stderr, as it suits that.
    pub fn on_stderr() -> Self {
        let set = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let how = How::suits(io::stderr().is_terminal(), set("TERM").as_deref(), set("NO_COLOR").as_deref());
        Self::on(io::stderr(), how)
    }
}

impl<W: Write + AsFd> Live<W> {
    /// Shows how load stands by its report so far.
    pub fn show(&mut self, report: &Report) {
        let snapshot = Snapshot::of(report);
        let How::Screen { colours } = self.how else {
            return self.put(&(line(&snapshot) + "\n"));
        };
        // It may have been made larger or smaller since.
        let size = tcgetwinsize(&self.out).map(|size| (size.ws_col, size.ws_row));
        let (width, height) = size.ok().filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(SIZE);
        let lines = screen(&snapshot, width, height);
        let frame = frame(&self.drawn, &lines, width, height, colours);
        self.drawn = lines.iter().map(Line::width).collect();
        self.put(&frame);
    }
}

impl<W: Write> Live<W> {
    /// On any output.
    pub fn on(out: W, how: How) -> Self {
        Self { out, how, drawn: Vec::new() }
    }

    /// Says something that stays: above what is drawn in place from then on.
    pub fn say(&mut self, line: &str) {
        let mut text = if self.drawn.is_empty() { String::new() } else { self.erasing() };
        text.push_str(line);
        text.push('\n');
        self.put(&text);
    }

    /// What takes away what is drawn.
    fn erasing(&mut self) -> String {
        frame(&mem::take(&mut self.drawn), &[], u16::MAX, u16::MAX, false)
    }

    fn put(&mut self, text: &str) {
        // All at once, and never half of it. Load goes on when nobody looks.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Live<W> {
    fn drop(&mut self) {
        if !self.drawn.is_empty() {
            let text = self.erasing();
            self.put(&text);
        }
    }
}

/// What draws lines over those that are there, which are so wide.
fn frame(drawn: &[usize], lines: &[Line], width: u16, height: u16, colours: bool) -> String {
    // A terminal that was made narrower has wrapped what did not fit any more.
    let wrapped = |columns: &usize| columns.div_ceil(usize::from(width).max(1)).max(1);
    let rows = drawn.iter().map(wrapped).sum::<usize>().min(usize::from(height).saturating_sub(1));
    let mut frame = String::from("\x1b[?25l\r");
    if rows > 0 {
        // Into a string it never fails.
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
