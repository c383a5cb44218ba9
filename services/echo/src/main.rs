//! Answers with what it was asked: a drop-in for whoami, with the knobs that routing tests need.

use std::process::ExitCode;

use swarmlings_echo::{Echo, EchoArgs};
use swarmlings_runtime::{about, main_with};

const EXAMPLES: &str = "
  echo
  echo --port 8083 --admin-port 9093 --host echo-1
";

fn main() -> ExitCode {
    let about = about!("Answers with what it was asked").examples(EXAMPLES);
    main_with(about, |args: EchoArgs, context| Echo::new(args, context))
}
