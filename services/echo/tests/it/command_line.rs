use crate::process::{Echo, command, run};

#[test]
fn bad_usage_exits_64_and_names_the_flag() {
    for (args, named) in [
        (["--trusted-proxy", "nobody"], "\"nobody\": expected a network such as 10.0.0.0/8"),
        (["--trusted-proxy", "10.0.0.0/8,"], "\"\": expected a network"),
        (["--max-bytes", "1MB"], "--max-bytes"),
        (["--max-delay", "10"], "expected a duration such as 10ms"),
        (["--default-status", "99"], "\"99\": expected a status code from 200 to 999"),
    ] {
        let output = run(command().args(args));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert!(said.contains(named), "{args:?}: {said}");
    }
    let output = run(command().env("SERVICE_EXPOSE_ENV", "perhaps"));
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn help_lists_every_flag_with_its_variable() {
    let output = run(command().arg("--help"));
    let help = String::from_utf8(output.stdout).unwrap();
    // Help is wrapped, so a flag's text may take several lines.
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in [
        "--name",
        "--verbose",
        "--expose-env",
        "--trusted-proxy",
        "--max-bytes",
        "--max-delay",
        "--default-status",
    ] {
        let text = words.split(" --").find(|text| text.starts_with(&flag[2..])).unwrap();
        let variable = flag.trim_start_matches("--").replace('-', "_").to_uppercase();
        let variable =
            if flag == "--name" { "WHOAMI_NAME".to_owned() } else { format!("SERVICE_{variable}") };
        assert!(text.contains(&format!("[env: {variable}]")), "{text}");
    }
    assert!(
        words.contains("0 selects a free one; WHOAMI_PORT_NUMBER is used if SERVICE_PORT is not set "),
        "{help}"
    );
}

#[test]
fn whoami_variables_are_accepted() {
    let mut command = command();
    command.args(["--address", "127.0.0.1", "--admin-port", "0"]);
    command.envs([("WHOAMI_PORT_NUMBER", "0"), ("WHOAMI_NAME", "iamfoo")]);
    let echo = Echo::spawn(&mut command);
    assert_ne!(echo.process.address().port(), 8080);
    assert!(echo.get("/").text().starts_with("Name: iamfoo\n"));
}

#[test]
fn own_variable_and_flag_take_precedence_over_whoami() {
    let base = || {
        let mut command = command();
        command.args(["--address", "127.0.0.1", "--admin-port", "0"]).env("WHOAMI_PORT_NUMBER", "no-port");
        command
    };
    let said = String::from_utf8(run(&mut base()).stderr).unwrap();
    assert!(said.contains("no-port"), "{said}");
    Echo::spawn(base().env("SERVICE_PORT", "0"));
    Echo::spawn(base().args(["--port", "0"]));
    // As in whoami, an empty variable counts as set to an empty text.
    let said =
        String::from_utf8(run(base().env("WHOAMI_PORT_NUMBER", "").args(["--port", ""])).stderr).unwrap();
    assert!(said.contains("--port"), "{said}");
}

#[test]
fn headers_and_json_identify_the_task() {
    let echo = Echo::start(&["--host", "echo-1", "--task", "echo.1.abc", "--slot", "1"]);
    let answer = echo.get("/api");
    for (name, value) in [
        ("x-served-by", Some("echo-1")),
        ("x-task", Some("echo.1.abc")),
        ("x-slot", Some("1")),
        ("x-node", None),
        ("x-version", Some(env!("CARGO_PKG_VERSION"))),
        ("x-state", Some("serving")),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let json = answer.json();
    assert_eq!(json["hostname"], "echo-1");
    assert_eq!((&json["task"], &json["slot"], json.get("node")), (&"echo.1.abc".into(), &"1".into(), None));
    assert_eq!((&json["version"], &json["state"]), (&env!("CARGO_PKG_VERSION").into(), &"serving".into()));
    assert_eq!(echo.get("/bench").header("x-task"), Some("echo.1.abc"));
}

#[test]
fn requests_are_logged_only_with_verbose() {
    let echo = Echo::start(&["--verbose"]);
    echo.get("/bench?secret=1");
    let line = echo.process.wait_for_line("request");
    assert!(line.contains("method=GET path=\"/bench\"") && !line.contains("secret"), "{line}");
}
