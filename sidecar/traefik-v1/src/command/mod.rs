//! `hub labels`: what Traefik 1's labels are in Traefik 3's words, for stack files and lists of labels.
//!
//! - [`input`]: what is to be translated, read from YAML, JSON or lines; [`variables`] are what a stack file leaves open;
//! - [`translated`]: what comes of the labels at one place, and what is to be said of it;
//! - [`output`]: that as YAML or as lines.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use cli::{Failure, reason};
use runtime::SubcommandHandler;
use traefik::{DefaultRule, Exposure};

mod input;
mod output;
mod translated;
mod variables;

use input::Input;
use translated::{Naming, Translated};

/// The flags of `hub labels`.
#[derive(Args, Debug)]
pub struct LabelsCommand {
    /// Stack file, map of labels as JSON or YAML, or lines of KEY=VALUE; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// How the translation is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "yaml")]
    format: Format,
    /// Name of the stack, which Swarm puts before the names of its services
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Name of the service that a list of labels is of
    #[arg(long, value_name = "NAME", default_value = "service")]
    service: String,
    /// Rule for services without one, with {{ .Name }} or {{ normalize .Name }} for the service
    #[arg(long, value_name = "TEMPLATE")]
    default_rule: Option<DefaultRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A map to be pasted into a stack file
    Yaml,
    /// Lines of KEY=VALUE
    List,
}

impl SubcommandHandler for LabelsCommand {
    const NAME: &'static str = "labels";
    const DESCRIPTION: &'static str =
        "Translates labels of Traefik 1 to those of Traefik 3: exit code 0, or 1 if one is faulty";
    const EXAMPLES: &'static str = "
  hub labels stack.yml
  hub labels --stack demo --format list stack.yml
  docker inspect --format '{{json .Spec.Labels}}' demo_ping | hub labels --service demo_ping
  echo traefik.frontend.rule=PathPrefixStrip:/ping | hub labels
";

    fn run(self) -> Result<ExitCode, Failure> {
        let exposure = Exposure { default_rule: self.default_rule, ..Exposure::default() };
        let naming = Naming { stack: self.stack.as_deref(), service: &self.service, exposure: &exposure };
        let mut code = ExitCode::SUCCESS;
        let mut written = String::new();
        let mut said = String::new();
        for (number, file) in self.files.iter().enumerate() {
            let shown = if is_standard(file) { "standard input".into() } else { file.display().to_string() };
            let read = |error: &dyn std::fmt::Display| Failure::new(format_args!("reading {shown}: {error}"));
            let text = text_of(file).map_err(|error| read(&reason(&error)))?;
            let input = Input::read(&text).map_err(|why| read(&why))?;
            let translated = Translated::of(&input, &naming);
            if translated.iter().any(Translated::is_faulty) {
                code = ExitCode::FAILURE;
            }
            if number > 0 && self.format == Format::Yaml {
                written.push_str("---\n");
            }
            written.push_str(&output::write(&translated, self.format));
            for remark in translated.iter().flat_map(Translated::remarks) {
                said.extend([&*shown, ": ", &*remark, "\n"]);
            }
        }
        // Nothing is left to do when stderr is closed.
        let _ = io::stderr().write_all(said.as_bytes());
        let print = io::stdout().write_all(written.as_bytes());
        print.map_err(|error| Failure::new(format_args!("writing the translation: {}", reason(&error))))?;
        Ok(code)
    }
}

fn is_standard(file: &std::path::Path) -> bool {
    file.as_os_str() == "-"
}

fn text_of(file: &std::path::Path) -> io::Result<String> {
    if !is_standard(file) {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
