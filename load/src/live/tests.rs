//! Tests on a pseudo-terminal. [`Screen`] interprets the ANSI sequences that the view uses.

use std::fs::File;
use std::io::Read;

use harness::Pty;
use rustix::termios::tcgetattr;

use super::*;
use crate::sample::sample;

fn live(pty: &Pty, colours: bool) -> LiveView<File> {
    LiveView::new(pty.program.try_clone().unwrap(), Mode::Screen { colours })
}

/// Reads what was written since the last call. A marker is written first, to know where that ends.
fn written(pty: &Pty) -> String {
    (&pty.program).write_all(b"\x04").unwrap();
    let mut written = Vec::new();
    while written.last() != Some(&4) {
        let mut byte = [0];
        (&pty.master).read_exact(&mut byte).unwrap();
        written.push(byte[0]);
    }
    written.pop();
    String::from_utf8(written).unwrap()
}

/// Content and state of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Screen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    cursor: bool,
    plain: bool,
}

impl Screen {
    fn new(height: usize) -> Self {
        Self { rows: vec![Vec::new(); height], at: (0, 0), cursor: true, plain: true }
    }

    fn take(&mut self, written: &str) {
        let mut chars = written.chars();
        while let Some(char) = chars.next() {
            match char {
                '\r' => self.at.1 = 0,
                '\n' if self.at.0 + 1 == self.rows.len() => {
                    self.rows.remove(0);
                    self.rows.push(Vec::new());
                }
                '\n' => self.at.0 += 1,
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['));
                    let parameter: String = chars.clone().take_while(|char| !char.is_alphabetic()).collect();
                    let command = chars.nth(parameter.chars().count()).unwrap();
                    self.execute(&parameter, command);
                }
                char => {
                    assert!(!char.is_control(), "{char:?}");
                    let (row, column) = self.at;
                    let row = &mut self.rows[row];
                    row.resize(row.len().max(column + 1), ' ');
                    row[column] = char;
                    self.at.1 += 1;
                }
            }
        }
    }

    fn execute(&mut self, parameter: &str, command: char) {
        let (row, column) = self.at;
        match (parameter, command) {
            (number, 'A') => self.at.0 = row.saturating_sub(number.parse().unwrap()),
            ("", 'K') => self.rows[row].truncate(column),
            ("", 'J') => {
                self.rows[row].truncate(column);
                self.rows[row + 1..].iter_mut().for_each(Vec::clear);
            }
            ("?25", 'l') => self.cursor = false,
            ("?25", 'h') => self.cursor = true,
            (code, 'm') => self.plain = code.is_empty(),
            _ => panic!("{parameter}{command} is not supported"),
        }
    }

    fn text(&self) -> String {
        let rows: Vec<String> =
            self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

fn running(seconds: f64) -> Report {
    Report { seconds, ..sample() }
}

#[test]
fn view_is_redrawn_in_place_and_erased_at_the_end() {
    let pty = Pty::open(80, 24).unwrap();
    let mut shown = Screen::new(24);
    shown.take("$ load\r\n");
    let before = shown.clone();
    let mut live = live(&pty, true);
    for seconds in [3.0, 4.0, 5.0] {
        live.show(&running(seconds));
        shown.take(&written(&pty));
        let text = shown.text();
        assert!(text.starts_with(&format!("$ load\n{seconds:.1} s of 10 s")), "{text}");
        assert_eq!(text.matches(" of 10 s").count(), 1, "{text}");
        assert_eq!(text.matches("ping.1@leader").count(), 1, "{text}");
    }
    drop(live);
    shown.take(&written(&pty));
    assert_eq!(shown, before);
}

#[test]
fn each_update_leaves_the_terminal_in_its_normal_state() {
    let pty = Pty::open(80, 24).unwrap();
    let modes = |pty: &Pty| format!("{:?}", tcgetattr(&pty.program).unwrap());
    let before = modes(&pty);
    let mut live = live(&pty, true);
    for seconds in [3.0, 4.0] {
        live.show(&running(seconds));
        let mut shown = Screen::new(24);
        shown.take(&written(&pty));
        assert!(shown.cursor && shown.plain && shown.at.1 == 0, "{shown:?}");
        assert_eq!(modes(&pty), before);
    }
}

#[test]
fn panic_message_is_printed_below_the_view() {
    let pty = Pty::open(80, 24).unwrap();
    let mut live = live(&pty, true);
    live.show(&running(3.0));
    let mut shown = Screen::new(24);
    shown.take(&written(&pty));
    // With panic=abort, nothing is dropped.
    std::mem::forget(live);
    let above = shown.text();
    shown.take("thread 'main' panicked\r\n");
    assert_eq!(shown.text(), format!("{above}\nthread 'main' panicked"));
}

#[test]
fn message_stays_above_the_view() {
    let pty = Pty::open(80, 24).unwrap();
    let mut shown = Screen::new(24);
    let mut live = live(&pty, true);
    live.say("first");
    live.show(&running(3.0));
    live.say("second");
    live.show(&running(4.0));
    shown.take(&written(&pty));
    let text = shown.text();
    assert!(text.starts_with("first\nsecond\n4.0 s of 10 s"), "{text}");
    assert_eq!(text.matches(" of 10 s").count(), 1, "{text}");
    drop(live);
    shown.take(&written(&pty));
    assert_eq!(shown.text(), "first\nsecond");
}

#[test]
fn view_follows_the_size_of_the_terminal() {
    let pty = Pty::open(80, 24).unwrap();
    let mut live = live(&pty, false);
    live.show(&running(3.0));
    written(&pty);
    for (width, height) in [(40, 24), (120, 30), (30, 10), (80, 5)] {
        pty.resize(width, height).unwrap();
        live.show(&running(4.0));
        let mut shown = Screen::new(40);
        shown.take(&written(&pty));
        let lines = shown.text();
        assert!(lines.lines().count() < usize::from(height), "{lines}");
        assert!(lines.lines().all(|line| line.chars().count() < usize::from(width)), "{lines}");
    }
}

#[test]
fn lines_that_a_narrower_terminal_wrapped_are_redrawn() {
    let line = |text: &str| Line::new().with(line::Style::Plain, text);
    assert_eq!(
        frame(&[79, 10, 40], &[line("a")], 40, 24, false),
        "\x1b[?25l\r\x1b[4Aa\x1b[K\r\n\x1b[J\x1b[?25h"
    );
    assert_eq!(
        frame(&[79; 30], &[], 40, 24, false),
        "\x1b[?25l\r\x1b[23A\x1b[J\x1b[?25h",
        "limited to the height"
    );
    assert_eq!(frame(&[], &[], 0, 0, false), "\x1b[?25l\r\x1b[J\x1b[?25h");
}

#[test]
fn no_colour_mode_uses_no_colours() {
    let pty = Pty::open(80, 24).unwrap();
    let mut live = live(&pty, false);
    live.show(&running(3.0));
    let sequences: Vec<String> =
        written(&pty).split('\x1b').skip(1).map(|rest| rest.chars().take(2).collect()).collect();
    assert!(
        sequences.iter().all(|sequence| ["[?", "[K", "[J"].contains(&sequence.as_str())),
        "{sequences:?}"
    );
}

#[test]
fn status_lines_are_used_without_a_capable_terminal() {
    let screen = |colours| Mode::Screen { colours };
    assert_eq!(Mode::select(true, Some("xterm-256color"), None), screen(true));
    assert_eq!(Mode::select(true, Some("xterm"), Some("")), screen(true));
    assert_eq!(Mode::select(true, Some("xterm"), Some("1")), screen(false));
    assert_eq!(Mode::select(true, Some("dumb"), None), Mode::Lines);
    assert_eq!(Mode::select(true, None, None), Mode::Lines);
    assert_eq!(Mode::select(false, Some("xterm"), None), Mode::Lines);

    let pty = Pty::open(80, 24).unwrap();
    let mut live = LiveView::new(pty.program.try_clone().unwrap(), Mode::Lines);
    live.show(&running(3.0));
    drop(live);
    let written = written(&pty);
    assert!(written.ends_with("\r\n") && written.matches('\n').count() == 1, "{written:?}");
    assert!(!written.contains('\x1b'));
}
