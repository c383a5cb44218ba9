//! Where the report goes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cli::{Failure, reason};

use crate::args::Args;
use crate::page::page;
use crate::report::Report;
use crate::text::text;

/// Where the report goes. Files are created before the load, so that it is not sent for nothing.
#[derive(Debug)]
pub struct Output {
    json: Option<Json>,
    html: Option<Created>,
}

#[derive(Debug)]
enum Json {
    Stdout,
    File(Created),
}

/// A file that was created, and its path.
#[derive(Debug)]
struct Created(PathBuf, File);

impl Output {
    /// As the flags have it.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let json = match &args.json {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Json::Stdout),
            Some(path) => Some(Json::File(Created::new(path)?)),
        };
        let html = args.html.as_deref().map(Created::new).transpose()?;
        Ok(Self { json, html })
    }

    /// Writes the report: as text to stdout, unless JSON goes there.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        let json = || {
            let json = serde_json::to_vec(report);
            json.map_err(|error| Failure::new(format_args!("making JSON of the report: {error}")))
        };
        if let Some(mut file) = self.html {
            file.put(page(report).as_bytes())?;
        }
        let mut stdout = io::stdout().lock();
        match self.json {
            None => put(&mut stdout, text(report).as_bytes(), "stdout"),
            Some(Json::Stdout) => put(&mut stdout, &[json()?, b"\n".to_vec()].concat(), "stdout"),
            Some(Json::File(mut file)) => {
                file.put(&[json()?, b"\n".to_vec()].concat())?;
                put(&mut stdout, text(report).as_bytes(), "stdout")
            }
        }
    }
}

impl Created {
    fn new(path: &Path) -> Result<Self, Failure> {
        let created = File::create(path);
        created
            .map(|file| Self(path.to_owned(), file))
            .map_err(|error| Failure::usage(format_args!("creating {}: {}", path.display(), reason(&error))))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Self(path, file) = self;
        put(file, bytes, &path.display().to_string())
    }
}

fn put(to: &mut impl Write, bytes: &[u8], name: &str) -> Result<(), Failure> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .map_err(|error| Failure::new(format_args!("writing the report to {name}: {}", reason(&error))))
}
