//! On a pseudo-terminal of the kernel's. What a terminal would show is worked out by a small one, of the sequences that
//! are used here.

use std::fs::File;
use std::io::Read;

use harness::Pty;
use rustix::termios::tcgetattr;

use super::*;
use crate::sample::sample;

/// Shows load on it.
fn live(pty: &Pty, colours: bool) -> Live<File> {
    Live::on(pty.program.try_clone().unwrap(), How::Screen { colours })
}

/// What was written since this was called last. A mark of its own says where that ends.
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

/// What is on a terminal's screen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    cursor: bool,
    plain: bool,
}

impl Shown {
    fn new(height: usize) -> Self {
        Self { rows: vec![Vec::new(); height], at: (0, 0), cursor: true, plain: true }
    }

    fn take(&mut self, written: &str) {
        let mut signs = written.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '\r' => self.at.1 = 0,
                '\n' if self.at.0 + 1 == self.rows.len() => {
                    self.rows.remove(0);
                    self.rows.push(Vec::new());
                }
                '\n' => self.at.0 += 1,
                '\x1b' => {
                    assert_eq!(signs.next(), Some('['));
                    let parameter: String = signs.clone().take_while(|sign| !sign.is_alphabetic()).collect();
                    let command = signs.nth(parameter.chars().count()).unwrap();
                    self.obey(&parameter, command);
                }
                sign => {
                    assert!(!sign.is_control(), "{sign:?}");
                    let (row, column) = self.at;
                    let row = &mut self.rows[row];
                    row.resize(row.len().max(column + 1), ' ');
                    row[column] = sign;
                    self.at.1 += 1;
                }
            }
        }
    }

    fn obey(&mut self, parameter: &str, command: char) {
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
            _ => panic!("{parameter}{command} is not known"),
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
fn it_is_drawn_over_what_was_drawn_before_and_gone_at_the_end() {
    let pty = Pty::open(80, 24).unwrap();
    let mut shown = Shown::new(24);
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
fn after_each_drawing_the_terminal_is_as_it_was() {
    let pty = Pty::open(80, 24).unwrap();
    let modes = |pty: &Pty| format!("{:?}", tcgetattr(&pty.program).unwrap());
    let before = modes(&pty);
    let mut live = live(&pty, true);
    for seconds in [3.0, 4.0] {
        live.show(&running(seconds));
        let mut shown = Shown::new(24);
        shown.take(&written(&pty));
        assert!(shown.cursor && shown.plain && shown.at.1 == 0, "{shown:?}");
        assert_eq!(modes(&pty), before);
    }
}

#[test]
fn a_panic_leaves_what_was_said_of_it_below() {
    let pty = Pty::open(80, 24).unwrap();
    let mut live = live(&pty, true);
    live.show(&running(3.0));
    let mut shown = Shown::new(24);
    shown.take(&written(&pty));
    // Without unwinding nothing more is done.
    std::mem::forget(live);
    let above = shown.text();
    shown.take("thread 'main' panicked\r\n");
    assert_eq!(shown.text(), format!("{above}\nthread 'main' panicked"));
}

#[test]
fn what_is_said_stays_above() {
    let pty = Pty::open(80, 24).unwrap();
    let mut shown = Shown::new(24);
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
fn it_follows_the_terminal_s_size() {
    let pty = Pty::open(80, 24).unwrap();
    let mut live = live(&pty, false);
    live.show(&running(3.0));
    written(&pty);
    for (width, height) in [(40, 24), (120, 30), (30, 10), (80, 5)] {
        pty.resize(width, height).unwrap();
        live.show(&running(4.0));
        let mut shown = Shown::new(40);
        shown.take(&written(&pty));
        let lines = shown.text();
        assert!(lines.lines().count() < usize::from(height), "{lines}");
        assert!(lines.lines().all(|line| line.chars().count() < usize::from(width)), "{lines}");
    }
}

#[test]
fn what_was_wrapped_by_a_narrower_terminal_is_drawn_over_too() {
    let line = |text: &str| Line::new().with(crate::live::Style::Plain, text);
    assert_eq!(
        frame(&[79, 10, 40], &[line("a")], 40, 24, false),
        "\x1b[?25l\r\x1b[4Aa\x1b[K\r\n\x1b[J\x1b[?25h"
    );
    assert_eq!(
        frame(&[79; 30], &[], 40, 24, false),
        "\x1b[?25l\r\x1b[23A\x1b[J\x1b[?25h",
        "no more than there is"
    );
    assert_eq!(frame(&[], &[], 0, 0, false), "\x1b[?25l\r\x1b[J\x1b[?25h");
}

#[test]
fn without_colours_there_are_none() {
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
fn where_it_cannot_be_drawn_in_place_there_are_lines() {
    let screen = |colours| How::Screen { colours };
    assert_eq!(How::suits(true, Some("xterm-256color"), None), screen(true));
    assert_eq!(How::suits(true, Some("xterm"), Some("")), screen(true));
    assert_eq!(How::suits(true, Some("xterm"), Some("1")), screen(false));
    assert_eq!(How::suits(true, Some("dumb"), None), How::Lines);
    assert_eq!(How::suits(true, None, None), How::Lines);
    assert_eq!(How::suits(false, Some("xterm"), None), How::Lines);

    let pty = Pty::open(80, 24).unwrap();
    let mut live = Live::on(pty.program.try_clone().unwrap(), How::Lines);
    live.show(&running(3.0));
    drop(live);
    let written = written(&pty);
    assert!(written.ends_with("\r\n") && written.matches('\n').count() == 1, "{written:?}");
    assert!(!written.contains('\x1b'));
}
