//! Starts the program, sends it requests, and stops it.

mod process;

use process::{Service, command, run};

const ENTRIES: &str = "__VARIABLE___ENTRIES";

#[test]
fn path_is_answered_with_the_value_and_the_host() {
    let service = Service::start(command().args(["--entry", "hello=world,answer=42", "--host", "host-1"]));
    let answer = service.get("/answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-served-by: host-1\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n42 (from host-1)\n"), "{answer}");
    assert!(service.get("/").ends_with("\r\n\r\nanswer\nhello\n"));
    assert!(service.get("/unknown").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn entries_can_come_from_the_environment() {
    let service = Service::start(command().env(ENTRIES, "a=1,b=2"));
    assert!(service.get("/").ends_with("\r\n\r\na\nb\n"));
}

#[test]
fn invalid_entry_is_named_and_exits_with_64() {
    let output = run(command().args(["--entry", "a/b=1"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("--entry") && stderr.contains("a/b=1"), "{stderr}");
}

#[test]
fn admin_port_reports_readiness() {
    assert!(Service::start(&mut command()).get_admin("/readyz").ends_with("\r\n\r\nready\n"));
}

#[test]
fn sigterm_drains_and_exits_with_0() {
    let service = Service::start(command().args(["--linger", "0s"]));
    service.get("/");
    let (last_line, status) = service.terminate();
    assert_eq!((last_line.as_str(), status.code()), ("drained=0 aborted=0", Some(0)));
}
