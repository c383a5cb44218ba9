//! Answers `GET /KEY` with the value of KEY, and `GET /` with all keys.

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

/// Environment variable for `--entry`.
const ENTRIES: &str = "__VARIABLE___ENTRIES";

#[derive(Args)]
struct Flags {
    /// A key and its value; repeatable, and the last value of a key wins
    #[arg(long = "entry", env = ENTRIES, value_name = "KEY=VALUE")]
    #[arg(value_delimiter = ',', default_value = "hello=world")]
    entries: Vec<Entry>,
}

fn main() -> ExitCode {
    let app = app_info!("Answers `GET /KEY` with the value of KEY").examples(EXAMPLES);
    main_with(app, |flags: Flags, context| {
        let answers = Answers::new(flags.entries, context.host());
        Ok(move |request: &Request| match answers.get(request.uri().path()) {
            Some(answer) => text(answer),
            None => status(StatusCode::NOT_FOUND, "no such key; GET / lists the keys\n"),
        })
    })
}
