use crate::process::{Running, command, run};

const ENTRIES: &str = "__VARIABLE___ENTRIES";

#[test]
fn each_path_is_answered_with_its_value_and_by_whom() {
    let running = Running::start(command().args(["--entry", "hello=world,answer=42", "--host", "host-1"]));
    let answer = running.get("/answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-served-by: host-1\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n42 (from host-1)\n"), "{answer}");
    assert!(running.get("/").ends_with("\r\n\r\nanswer\nhello\n"));
    assert!(running.get("/nobody").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn the_environment_does_what_flags_do() {
    let running = Running::start(command().env(ENTRIES, "a=1,b=2"));
    assert!(running.get("/").ends_with("\r\n\r\na\nb\n"));
}

#[test]
fn a_bad_entry_ends_it_with_64_and_is_named() {
    let output = run(command().args(["--entry", "a/b=1"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("--entry") && said.contains("a/b=1"), "{said}");
}

#[test]
fn its_admin_port_says_that_it_is_ready() {
    assert!(Running::start(&mut command()).admin("/readyz").ends_with("\r\n\r\nready\n"));
}

#[test]
fn on_sigterm_it_ends_in_order() {
    let running = Running::start(command().args(["--linger", "0s"]));
    running.get("/");
    let (last, status) = running.terminate();
    assert_eq!((last.as_str(), status.code()), ("drained=0 aborted=0", Some(0)));
}
