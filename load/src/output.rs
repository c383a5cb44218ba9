//! Writes the report to stdout and files.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use cli::{Failure, reason};
use rustix::termios::tcgetwinsize;

use crate::args::Args;
use crate::page::page;
use crate::report::Report;
use crate::text::{WIDTH, text_within};

/// Destinations of the report. Files are created before the run, so that an invalid path does not waste it.
#[derive(Debug)]
pub struct Output {
    json: Option<Destination>,
    html: Option<Destination>,
}

/// A file, or stdout if it is `None`, with the name for error messages.
#[derive(Debug)]
struct Destination(String, Option<File>);

impl Output {
    /// Creates the files that the flags name.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let json = args.json.as_deref().map(|path| match path.to_str() {
            Some("-") => Ok(Destination::stdout()),
            _ => Destination::create(path),
        });
        let html = args.html.as_deref().map(Destination::create);
        Ok(Self { json: json.transpose()?, html: html.transpose()? })
    }

    /// Writes the report, as text too unless stdout is the destination of the JSON report.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        if let Some(html) = self.html {
            html.write(page(report).as_bytes())?;
        }
        let mut has_stdout = false;
        if let Some(json) = self.json {
            has_stdout = json.1.is_none();
            let mut text = serde_json::to_vec(report)
                .map_err(|error| Failure::new(format_args!("serializing the report: {error}")))?;
            text.push(b'\n');
            json.write(&text)?;
        }
        if has_stdout { Ok(()) } else { print(&text_within(report, columns())) }
    }
}

/// Number of columns of the terminal, if stdout is one that reports it.
fn columns() -> usize {
    let stdout = io::stdout();
    let size = if stdout.is_terminal() { tcgetwinsize(&stdout).ok() } else { None };
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

/// Writes text to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    Destination::stdout().write(text.as_bytes())
}

impl Destination {
    fn stdout() -> Self {
        Self("stdout".to_owned(), None)
    }

    fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self(name, Some(file))),
            Err(error) => Err(Failure::usage(format_args!("creating {name}: {}", reason(&error)))),
        }
    }

    fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let Self(name, file) = self;
        let written = match file {
            Some(mut file) => file.write_all(bytes),
            None => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        };
        written
            .map_err(|error| Failure::new(format_args!("writing the report to {name}: {}", reason(&error))))
    }
}
