//! `hub labels`: translates labels of Traefik 1 in stack files and lists of labels. [`input`] parses, [`translate`]
//! translates with [`variables`] kept, [`output`] writes.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use cli::{Failure, reason};
use runtime::SubcommandHandler;
use traefik::{DefaultRule, Exposure};

mod input;
mod output;
mod translate;
mod variables;

/// Flags of `hub labels`.
#[derive(Args, Debug)]
pub struct LabelsCommand {
    /// Stack file, map of labels (JSON or YAML), or lines of KEY=VALUE; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "yaml")]
    format: Format,
    /// Name of the stack, which Swarm prepends to the names of its services
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Name of the service, for labels that are not in a stack file
    #[arg(long, value_name = "NAME", default_value = "service")]
    service: String,
    /// Rule for services without one, such as Host(`{{.Name}}.lan`)
    #[arg(long, value_name = "TEMPLATE")]
    default_rule: Option<DefaultRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// YAML to paste into a stack file
    Yaml,
    /// Lines of KEY=VALUE
    List,
}

impl SubcommandHandler for LabelsCommand {
    const NAME: &'static str = "labels";
    const DESCRIPTION: &'static str = "Translate labels of Traefik 1 to labels of Traefik 3";
    const EXAMPLES: &'static str = "
  hub labels stack.yml
  hub labels --stack demo --format list stack.yml
  docker inspect -f '{{json .Spec.Labels}}' ping | hub labels --service ping
  echo traefik.frontend.rule=PathPrefixStrip:/ping | hub labels

Warnings and errors go to stderr, and into the output as comments.

Exit code: 0 if all labels are valid, 1 if a label is invalid or a file cannot be read, 64 for invalid usage.
";

    fn run(self) -> Result<ExitCode, Failure> {
        let exposure = Exposure { default_rule: self.default_rule, ..Exposure::default() };
        let mut code = ExitCode::SUCCESS;
        let (mut translation, mut diagnostics) = (String::new(), String::new());
        for (number, file) in self.files.iter().enumerate() {
            let shown =
                if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
            let reading = |error: String| Failure::new(format_args!("reading {shown}: {error}"));
            let text = read(file).map_err(|error| reading(reason(&error)))?;
            let sets: Vec<_> = input::parse(&text)
                .map_err(reading)?
                .into_iter()
                .map(|set| translate::translate(set, self.stack.as_deref(), &self.service, &exposure))
                .collect();
            if sets.iter().any(|set| !set.errors.is_empty()) {
                code = ExitCode::FAILURE;
            }
            if number > 0 && self.format == Format::Yaml {
                translation.push_str("---\n");
            }
            translation.push_str(&output::write(&sets, self.format));
            for line in sets.iter().flat_map(output::diagnostics) {
                diagnostics.extend([&*shown, ": ", &*line, "\n"]);
            }
        }
        // A closed stderr does not stop the translation.
        let _ = io::stderr().write_all(diagnostics.as_bytes());
        io::stdout()
            .write_all(translation.as_bytes())
            .map_err(|error| Failure::new(format_args!("writing the translation: {}", reason(&error))))?;
        Ok(code)
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file.as_os_str() != "-" {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
