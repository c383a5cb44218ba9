//! Answers with what it was asked: a drop-in for whoami, with the knobs that routing tests need.

use std::process::ExitCode;

use echo::{Echo, EchoArgs};
use runtime::{app_info, main_with};

const EXAMPLES: &str = "
  echo
  echo --port 8083 --admin-port 9093 --host echo-1
  echo --trusted-proxy 10.0.0.0/8,fd00::/8
  curl localhost:8080/status/200:9,503
";

fn main() -> ExitCode {
    let app = app_info!("Answers with what it was asked, as whoami does")
        .examples(EXAMPLES)
        .env_aliases(&[("WHOAMI_PORT_NUMBER", "SERVICE_PORT")]);
    main_with(app, |args: EchoArgs, context| Echo::new(args, context))
}
