//! `hub labels`: translates labels of Traefik 1 and 2 in stack files and lists of labels to Traefik 3. [`yaml`] parses a
//! file, [`input`] finds the labels in it, [`translate`] translates those of a service, [`sharing`] decides where the
//! results go, [`edit`] changes the text, and [`diff`] shows the changes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use cli::{Failure, reason};
use runtime::SubcommandHandler;
use traefik::{DefaultRule, Exposure};

use self::report::Report;

mod diff;
mod edit;
mod input;
mod report;
mod sharing;
#[cfg(test)]
mod tests;
mod translate;
mod yaml;

/// Flags of `hub labels`.
#[derive(Args, Debug)]
pub struct LabelsCommand {
    /// Stack file, map of labels (JSON or YAML), or lines of KEY=VALUE; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Show the changes as a unified diff
    #[arg(long)]
    diff: bool,
    /// Write the changes to the files
    #[arg(long)]
    in_place: bool,
    /// Name of the stack, which Swarm prepends to the names of its services
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Name of the service, for labels that are not in a stack file
    #[arg(long, value_name = "NAME", default_value = "service")]
    service: String,
    /// Rule for services without one, such as Host(`{{.Name}}.lan`); replaces --docker.domain of Traefik 1
    #[arg(long, value_name = "TEMPLATE")]
    default_rule: Option<DefaultRule>,
}

impl SubcommandHandler for LabelsCommand {
    const NAME: &'static str = "labels";
    const DESCRIPTION: &'static str = "Translate labels of Traefik 1 and 2 to labels of Traefik 3";
    const EXAMPLES: &'static str = "
  hub labels --diff stack.yml
  hub labels --in-place --stack demo stack.yml
  docker inspect -f '{{json .Spec.Labels}}' ping | hub labels --service ping
  echo traefik.frontend.rule=PathPrefixStrip:/ping | hub labels

Prints the file with the new labels; comments, order and everything else stay. Notes, warnings and errors go to stderr. The
labels of a service with an error stay as they are.

Exit code: 0 if all labels are valid, 1 if a label is invalid or a file cannot be read or written, 64 for invalid usage.
";

    fn run(self) -> Result<ExitCode, Failure> {
        if self.in_place && self.files.iter().any(|file| is_stdin(file)) {
            return Err(Failure::usage("--in-place needs a file, not standard input"));
        }
        let mut code = ExitCode::SUCCESS;
        for (number, file) in self.files.iter().enumerate() {
            let shown = if is_stdin(file) { "standard input".into() } else { file.display().to_string() };
            let mut report = Report::default();
            let result = self.translate_file(file, &shown, number, &mut report);
            let error = result.err().map(|error| format!("hub: {error}\n"));
            if error.is_some() || report.has_errors() {
                code = ExitCode::FAILURE;
            }
            let text = report.lines(&shown) + &error.unwrap_or_default();
            // A closed stderr does not stop the translation.
            let _ = io::stderr().write_all(text.as_bytes());
        }
        Ok(code)
    }
}

impl LabelsCommand {
    fn translate_file(
        &self,
        file: &Path,
        shown: &str,
        number: usize,
        report: &mut Report,
    ) -> Result<(), String> {
        let text = read(file).map_err(|error| format!("reading {shown}: {}", reason(&error)))?;
        let exposure = Exposure { default_rule: self.default_rule.clone(), ..Exposure::default() };
        let naming = sharing::Naming { stack: self.stack.as_deref(), service: &self.service };
        let edits = sharing::translate(&text, &naming, &exposure, report)
            .map_err(|error| format!("reading {shown}: {error}"))?;
        if self.in_place && !edits.is_empty() {
            replace(file, &edit::apply(&text, 0, &edits))
                .map_err(|error| format!("writing {shown}: {}", reason(&error)))?;
        }
        let output = match (self.diff, self.in_place) {
            (true, _) => diff::unified(shown, &text, &edits),
            (false, true) => return Ok(()),
            (false, false) => as_document(edit::apply(&text, 0, &edits), number, self.files.len()),
        };
        let write = io::stdout().write_all(output.as_bytes());
        write.map_err(|error| format!("writing to standard output: {}", reason(&error)))
    }
}

/// Makes the text of a file one of several documents in the output.
fn as_document(mut text: String, number: usize, count: usize) -> String {
    if number > 0 {
        text.insert_str(0, "---\n");
    }
    if number + 1 < count && !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn read(file: &Path) -> io::Result<String> {
    if !is_stdin(file) {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces the content of a file at once, with its owner and permissions.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    let old = fs::metadata(&file)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".hub-labels-{}", std::process::id()));
    let new = file.with_file_name(name);
    let write = || {
        let mut output = File::create_new(&new)?;
        // Only root may give files away.
        let _ = chown(&new, Some(old.uid()), Some(old.gid()));
        fs::set_permissions(&new, fs::Permissions::from_mode(old.mode()))?;
        output.write_all(text.as_bytes())?;
        output.sync_all()?;
        fs::rename(&new, &file)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))
}
