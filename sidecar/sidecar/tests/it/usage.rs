use harness::process::{command, run};

use crate::support::sidecar::BINARY;

/// Runs the sidecar and returns its exit code, stdout and stderr.
fn sidecar(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = run(command(BINARY).args(args).envs(environment.iter().copied())).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn bad_usage_exits_64_and_names_the_error() {
    let missing = format!("{}/missing", env!("CARGO_TARGET_TMPDIR"));
    let empty = format!("{}/empty.{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&empty, "\n").unwrap();
    for (args, environment, expected) in [
        (&["run"][..], &[][..], "<CMD>"),
        (&["run", "--hub", "http://h", "true"], &[], "unexpected argument 'true'"),
        (&["run", "--nope", "--", "true"], &[], "--nope"),
        (&["run", "--hub", "https://h", "--", "true"], &[], "https://h:443 needs --hub-ca"),
        (&["run", "--hub", "https://h", "--hub-ca", &missing, "--", "true"], &[], "missing: no such file"),
        (&["run", "--hub", "https://h", "--hub-ca", &empty, "--", "true"], &[], "not valid PEM"),
        (
            &["run", "--hub", "http://h", "--", "true"],
            &[("SIDECAR_HUB_CA", empty.as_str())],
            "no effect on http://h:80",
        ),
        (&["run", "--probe", "https://h", "--", "true"], &[], "probes do not support https"),
        (&["run", "--", "true"], &[("SIDECAR_LABELS", "a=1&b")], "label 2 (\"b\"): missing '='"),
        (&["run", "--", "true"], &[("SIDECAR_PROBE", "127.0.0.1:1")], "missing scheme"),
        (&["run", "--", "true"], &[("SIDECAR_GRACE", "5")], "missing unit after 5"),
        (&["run", "--", "true"], &[("SIDECAR_GRACE", "5")], "environment variable SIDECAR_GRACE"),
        (&["run", "--", "true"], &[("SIDECAR_GROUP", "maybe")], "expected true or false"),
        (&["run", "--stop-signal", "KILL", "--", "true"], &[], "expected a signal that a program can catch"),
        (&["run", "--", "true"], &[("SIDECAR_STOP_SIGNAL", "x")], "environment variable SIDECAR_STOP_SIGNAL"),
        (&["healthcheck", "--task", "a/b"], &[], "instance ID \"a/b\""),
        (
            &["run", "--hub", "http://h", "--token-file", &missing, "--", "true"],
            &[],
            "missing: no such file or directory",
        ),
        (&["run", "--hub", "http://h", "--", "true"], &[("SIDECAR_TOKEN_FILE", &empty)], "the file is empty"),
    ] {
        let (code, stdout, stderr) = sidecar(args, environment);
        assert_eq!(code, Some(64), "{args:?} {environment:?}: {stderr}");
        assert!(stderr.contains(expected) && stdout.is_empty(), "{args:?} {environment:?}: {stderr}");
    }
    std::fs::remove_file(empty).unwrap();
}

#[test]
fn help_has_examples_and_version_is_printed() {
    for args in [&["run", "--help"][..], &["healthcheck", "--help"]] {
        let (code, stdout, _) = sidecar(args, &[]);
        assert_eq!(code, Some(0));
        assert!(stdout.contains("Examples:") && stdout.contains("SIDECAR_HUB"));
    }
    let (code, stdout, _) = sidecar(&["--version"], &[]);
    assert_eq!((code, stdout.trim_end()), (Some(0), concat!("sidecar ", env!("CARGO_PKG_VERSION"))));
}
