//! Responds with `Hello, NAME! (from HOST)`. The name is the last segment of the path.

use std::process::ExitCode;

use runtime::{Request, StatusCode, app_info, status, text};

mod greeting;

const EXAMPLES: &str = "
  hello
  hello --port 8082 --admin-port 9092 --host hello-1
  curl localhost:8080/viktor
";

fn main() -> ExitCode {
    let app = app_info!("Responds with `Hello, NAME! (from HOST)`; the name is the last segment of the path")
        .examples(EXAMPLES);
    runtime::main(app, |context| {
        let host = context.host().to_owned();
        move |request: &Request| match greeting::greeting(request.uri().path(), &host) {
            Ok(greeting) => text(greeting),
            Err(error) => status(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    })
}
