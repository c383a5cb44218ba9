//! Flags and environment variables of all programs.

use std::collections::BTreeSet;

use harness::{Binaries, process};

/// Runs a program. Returns its exit code, stdout and stderr.
fn run(program: &str, args: &[&str], environment: &BTreeSet<String>) -> (Option<i32>, String, String) {
    let mut command = process::command(Binaries::find().unwrap().path(program));
    command.args(args).envs(environment.iter().map(|name| (name, "")));
    let output = process::run(&mut command).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Returns the variables that the help of a program lists.
fn variables(program: &str, args: &[&str]) -> BTreeSet<String> {
    let (_, help, _) = run(program, &[args, &["--help"]].concat(), &BTreeSet::new());
    // Help is wrapped, also within the brackets.
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = words.split("[env: ").skip(1);
    names.filter_map(|rest| Some(rest.split_once(']')?.0.trim_end_matches('=').to_owned())).collect()
}

#[test]
fn empty_variables_count_as_not_set() {
    for (program, subcommand, args) in [
        ("sidecar", &["run"][..], &["run", "--", "true"][..]),
        ("sidecar", &["healthcheck"], &["healthcheck", "--probe", "tcp://127.0.0.1:1"]),
        ("hub", &[], &[]),
        ("agent", &[], &[]),
        ("load", &[], &[]),
        ("ping", &[], &["healthcheck"]),
        ("hello", &[], &["healthcheck"]),
        ("echo", &[], &["healthcheck"]),
    ] {
        let variables = variables(program, subcommand);
        assert!(variables.len() >= 4, "{program}: {variables:?}");
        let (without, with) = (run(program, args, &BTreeSet::new()), run(program, args, &variables));
        assert_eq!(without, with, "{program} {args:?}: {variables:?}");
    }
}

#[test]
fn errors_name_the_variable_that_the_value_comes_from() {
    let named = |program: &str, args: &[&str], variable: (&str, &str)| {
        let mut command = process::command(Binaries::find().unwrap().path(program));
        let output = process::run(command.args(args).env(variable.0, variable.1)).unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{message}");
        assert!(message.contains(&format!("the environment variable {}", variable.0)), "{message}");
    };
    named("ping", &[], ("SERVICE_PORT", "many"));
    named("sidecar", &["run", "--", "true"], ("SIDECAR_GRACE", "5"));
    named("load", &["http://127.0.0.1:1", "--ramp", "5s"], ("LOAD_REQUESTS", "1e5"));
}
