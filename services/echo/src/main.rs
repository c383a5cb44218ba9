//! A drop-in replacement for whoami with handlers for routing tests.

use std::process::ExitCode;

use echo::{Echo, EchoArgs};
use runtime::{app_info, main_with};

const EXAMPLES: &str = "
  echo
  echo --port 8083 --admin-port 9093 --host echo-1
  echo --trusted-proxy 10.0.0.0/8,fd00::/8
  echo --tcp-port 9000 --tcp-greeting
  curl localhost:8080/status/200:9,503
  curl 'localhost:8080/delay/300ms?status=503&header=x-test:1'
";

fn main() -> ExitCode {
    let app = app_info!("A drop-in replacement for whoami with handlers for routing tests")
        .examples(EXAMPLES)
        .env_aliases(&[("WHOAMI_PORT_NUMBER", "SERVICE_PORT")]);
    main_with(app, |args: EchoArgs, context| Echo::new(args, context))
}
