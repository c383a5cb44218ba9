//! Answers `GET /KEY` with the value that it was started with, and `GET /` with all keys.

use std::process::ExitCode;

use clap::Args;
use runtime::{Request, StatusCode, app_info, main_with, status, text};

mod answers;

use answers::{Answers, Entry};

const EXAMPLES: &str = "
  __NAME__ --entry hello=world --entry answer=42
  __VARIABLE___ENTRIES=hello=world,answer=42 __NAME__
  curl localhost:8080/hello
";

/// The variable that does what `--entry` does.
const ENTRIES: &str = "__VARIABLE___ENTRIES";

#[derive(Args)]
struct Flags {
    /// What is answered at /KEY; may be given more than once, of one KEY the last one counts
    #[arg(long = "entry", env = ENTRIES, value_name = "KEY=VALUE")]
    #[arg(value_delimiter = ',', default_value = "hello=world")]
    entries: Vec<Entry>,
}

fn main() -> ExitCode {
    let app = app_info!("Answers `GET /KEY` with the value that it was started with").examples(EXAMPLES);
    main_with(app, |flags: Flags, context| {
        let answers = Answers::new(flags.entries, context.host());
        Ok(move |request: &Request| match answers.at(request.uri().path()) {
            Some(answer) => text(answer),
            None => status(StatusCode::NOT_FOUND, "there is no such key; / lists them\n"),
        })
    })
}
