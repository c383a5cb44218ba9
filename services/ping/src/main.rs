//! Responds with `Pong from HOST`.

use std::process::ExitCode;

use runtime::{Request, app_info, text};

const EXAMPLES: &str = "
  ping
  ping --port 8081 --admin-port 9091 --host ping-1
  SERVICE_SOCKET=/run/ping.sock ping
";

fn main() -> ExitCode {
    let app = app_info!("Responds with `Pong from HOST`, whatever the path").examples(EXAMPLES);
    runtime::main(app, |context| {
        // Leaked once, so that no response allocates memory for its body.
        let pong: &'static str = format!("Pong from {}\n", context.host()).leak();
        move |_: &Request| text(pong)
    })
}
