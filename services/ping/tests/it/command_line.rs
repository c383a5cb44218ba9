use std::net::TcpListener;

use harness::service_process::ANY_PORT;

use crate::process::{command, run};

#[test]
fn bad_usage_exits_64_and_names_the_flag() {
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
        let output = run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
}

#[test]
fn bad_environment_variable_exits_64() {
    let output = harness::process::run(command().env("SERVICE_PORT", "many")).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--port"));
}

#[test]
fn help_lists_every_flag_with_its_variable_and_examples() {
    let output = run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(help.starts_with("Responds with `Pong from HOST`"), "{help}");
    assert!(help.contains("\nExamples:\n  ping\n"), "{help}");
    // Help is wrapped, so a flag's text may take several lines.
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in words.split(" --").skip(1).filter(|flag| flag.contains("[env: ")) {
        let name = flag.split(' ').next().unwrap();
        let variable = name.replace('-', "_").to_uppercase();
        let variable = if name.starts_with("log-") { variable } else { format!("SERVICE_{variable}") };
        assert!(flag.contains(&format!("[env: {variable}]")), "{flag}");
    }
    assert_eq!(words.matches("[env: ").count(), 26, "{help}");
}

#[test]
fn version_prints_name_and_number() {
    let expected = concat!("ping ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]).stdout, expected.as_bytes());
}

#[test]
fn port_in_use_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = (listener.local_addr().unwrap(), listener.local_addr().unwrap().port().to_string());
    for (flag, variable) in [("--port", "SERVICE_PORT"), ("--admin-port", "SERVICE_ADMIN_PORT")] {
        let mut args = ANY_PORT;
        let index = args.iter().position(|&arg| arg == flag).unwrap();
        args[index + 1] = &port;
        let output = run(&args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let error = format!("ping: listening on {address}: address already in use");
        assert!(
            stderr.ends_with(&format!("{error}; set {flag} or {variable} to another port\n")),
            "{stderr}"
        );
    }
}
