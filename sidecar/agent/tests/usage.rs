//! Flags, environment, `--help` and `--version` of the agent.

use harness::process::{command, run};

/// Runs the agent. Returns exit code, stdout and stderr.
fn agent(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = command(env!("CARGO_BIN_EXE_agent"));
    command.env_remove("DOCKER_HOST").args(args).envs(environment.iter().copied());
    let output = run(&mut command).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn bad_usage_exits_64_and_names_the_cause() {
    for (args, environment, cause) in [
        (&[][..], &[][..], "missing --hub or AGENT_HUB"),
        (&[], &[("AGENT_HUB", "")], "missing --hub or AGENT_HUB"),
        (&["--hub", "https://h"], &[], "https://h:443 needs --hub-ca"),
        (&["--hub", "http://h", "--nope"], &[], "--nope"),
        (&["--hub", "http://h"], &[("AGENT_DOCKER", "/run/docker.sock")], "missing scheme"),
        (
            &["--hub", "http://h"],
            &[("DOCKER_HOST", "ssh://h")],
            "DOCKER_HOST=ssh://h: unknown scheme \"ssh\"",
        ),
        (&["--hub", "http://h", "--token-file", "/nowhere/token"], &[], "reading token file /nowhere/token"),
        (&["--hub", "http://h", "--stop-margin", "5"], &[], "missing unit after 5"),
    ] {
        let (code, stdout, stderr) = agent(args, environment);
        assert_eq!(code, Some(64), "{args:?} {environment:?}: {stderr}");
        assert!(stderr.contains(cause) && stdout.is_empty(), "{args:?} {environment:?}: {stderr}");
    }
}

#[test]
fn help_shows_examples_and_the_requests_to_the_engine() {
    let (code, stdout, _) = agent(&["--help"], &[]);
    assert_eq!(code, Some(0));
    for text in ["Examples:", "AGENT_HUB", "/containers/ID/json", "DOCKER_HOST"] {
        assert!(stdout.contains(text), "{text}");
    }
    let (code, stdout, _) = agent(&["--version"], &[]);
    assert_eq!((code, stdout.trim_end()), (Some(0), concat!("agent ", env!("CARGO_PKG_VERSION"))));
}
