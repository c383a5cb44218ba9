use std::net::TcpListener;

use crate::process::{ANY_PORT, command, run, run_with};

#[test]
fn bad_usage_ends_with_64_and_names_the_flag() {
    for (args, named) in [
        (&["--port", "many"] as &[&str], "--port"),
        (&["--port", "65536"], "--port"),
        (&["--address", "localhost"], "--address"),
        (&["--grace", "10"], "--grace"),
        (&["--max-header-bytes", "100"], "--max-header-bytes"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--threads", "0"], "--threads"),
        (&["--unknown"], "--unknown"),
        (&["surplus"], "surplus"),
        (&["healthcheck", "surplus"], "surplus"),
        (&["healthcheck", "--admin-port", "0"], "port"),
    ] {
        let output = run_with(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert!(said.contains(named), "{args:?}: {said}");
    }
}

#[test]
fn a_bad_variable_is_bad_usage_too() {
    let output = run(command().env("SERVICE_PORT", "many"));
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--port"));
}

#[test]
fn help_shows_every_flag_with_its_variable_and_examples() {
    let output = run_with(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(help.starts_with("Answers `Pong from HOST`"), "{help}");
    assert!(help.contains("\nExamples:\n  ping\n"), "{help}");
    for flag in help.lines().filter(|line| line.trim_start().starts_with("--")) {
        let name = flag.trim_start().trim_start_matches("--").split(' ').next().unwrap();
        let variable = name.replace('-', "_").to_uppercase();
        let variable = if name.starts_with("log-") { variable } else { format!("SERVICE_{variable}") };
        assert!(flag.contains(&format!("[env: {variable}=")), "{flag}");
    }
    assert_eq!(help.matches("[env: ").count(), 25, "{help}");
}

#[test]
fn version_is_name_and_number() {
    assert_eq!(run_with(&["--version"]).stdout, b"ping 0.1.0\n");
}

#[test]
fn a_port_in_use_is_said_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = (listener.local_addr().unwrap(), listener.local_addr().unwrap().port().to_string());
    for flag in ["--port", "--admin-port"] {
        let mut args = ANY_PORT;
        let place = args.iter().position(|&arg| arg == flag).unwrap();
        args[place + 1] = &port;
        let output = run_with(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        assert!(
            said.ends_with(&format!("ping: listening on {address}: address already in use\n")),
            "{flag}: {said}"
        );
    }
}
