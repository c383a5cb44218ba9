//! Answers `Pong from HOST`.

use std::process::ExitCode;

use runtime::{Request, app_info, text};

const EXAMPLES: &str = "
  ping
  ping --port 8081 --admin-port 9091 --host ping-1
  SERVICE_SOCKET=/run/ping.sock ping
";

fn main() -> ExitCode {
    let app = app_info!("Answers `Pong from HOST`, whatever the path").examples(EXAMPLES);
    runtime::main(app, |context| {
        // As long as the process lives this is its answer.
        let pong: &'static str = format!("Pong from {}\n", context.host()).leak();
        move |_: &Request| text(pong)
    })
}
