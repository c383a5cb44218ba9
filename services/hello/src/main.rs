//! Responds with `Hello, NAME! (from HOST)`, or a text of one's own. The name is the last segment of the path.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use cli::Failure;
use runtime::{Request, StatusCode, app_info, main_with, status, text};

use crate::template::Template;

mod greeting;
mod template;

const EXAMPLES: &str = "
  hello
  hello --port 8082 --admin-port 9092 --host hello-1
  hello --greeting-file greeting.txt
  curl localhost:8080/viktor
";

#[derive(Args)]
struct Flags {
    /// File with the text of the response, in which {name} and {host} are filled in; read at the start
    #[arg(long, env = "HELLO_GREETING_FILE", value_name = "FILE", help_heading = "Hello")]
    greeting_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let app = app_info!("Responds with `Hello, NAME! (from HOST)`; the name is the last segment of the path")
        .examples(EXAMPLES);
    main_with(app, |flags: Flags, context| {
        let template = flags.greeting_file.as_deref().map(Template::read).transpose();
        let template = template.map_err(Failure::new)?.unwrap_or_default();
        let host = context.host().to_owned();
        Ok(move |request: &Request| match greeting::greeting(&template, request.uri().path(), &host) {
            Ok(greeting) => text(greeting),
            Err(error) => status(StatusCode::BAD_REQUEST, format!("{error}\n")),
        })
    })
}
