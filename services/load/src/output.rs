//! Where the report goes.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use swarmlings_cli::{Failure, reason};

use crate::args::Args;
use crate::report::Report;
use crate::text::text;

/// Where the report goes. Files are created before the load, so that it is not sent for nothing.
#[derive(Debug)]
pub struct Output {
    json: Option<Json>,
}

#[derive(Debug)]
enum Json {
    Stdout,
    File(PathBuf, File),
}

impl Output {
    /// As the flags have it.
    pub fn open(args: &Args) -> Result<Self, Failure> {
        let json = match &args.json {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(Json::Stdout),
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    Failure::usage(format_args!("creating {}: {}", path.display(), reason(&error)))
                })?;
                Some(Json::File(path.clone(), file))
            }
        };
        Ok(Self { json })
    }

    /// Writes the report: as text to stdout, unless JSON goes there.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        let json = || {
            let json = serde_json::to_vec(report);
            json.map_err(|error| Failure::new(format_args!("making JSON of the report: {error}")))
        };
        let mut stdout = io::stdout().lock();
        match self.json {
            None => put(&mut stdout, text(report).as_bytes(), "stdout"),
            Some(Json::Stdout) => put(&mut stdout, &[json()?, b"\n".to_vec()].concat(), "stdout"),
            Some(Json::File(path, mut file)) => {
                put(&mut file, &[json()?, b"\n".to_vec()].concat(), &path.display().to_string())?;
                put(&mut stdout, text(report).as_bytes(), "stdout")
            }
        }
    }
}

fn put(to: &mut impl Write, bytes: &[u8], name: &str) -> Result<(), Failure> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .map_err(|error| Failure::new(format_args!("writing the report to {name}: {}", reason(&error))))
}
