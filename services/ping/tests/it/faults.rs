use std::io::Write;
use std::time::{Duration, Instant};

use harness::service_process::ANY_PORT;
use harness::{ServiceProcess, Signal, TIMEOUT, eventually};
use tempfile::NamedTempFile;

use crate::process::{command, run, start};

#[test]
fn slow_start_delays_readiness() {
    let started = Instant::now();
    let ping = start(&["--slow-start", "100ms"]);
    eventually(TIMEOUT, || ping.get_admin("/readyz").starts_with("HTTP/1.1 200")).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(ping.get_admin("/readyz").ends_with("\r\n\r\nready\nfault: unready for 100ms after the start\n"));
    assert!(ping.get_admin("/metrics").contains("swarmlings_fault_active{fault=\"slow-start\"} 1\n"));

    let ping = start(&["--slow-start", "1h"]);
    assert!(ping.get_admin("/readyz").starts_with("HTTP/1.1 503"));
    assert!(ping.get("/").starts_with("HTTP/1.1 200"), "a service that is not ready still answers");
}

#[test]
fn crash_after_aborts_the_process() {
    let (lines, status) = start(&["--crash-after", "10ms"]).wait();
    assert!(!status.success());
    assert!(lines.iter().any(|line| line.contains("fault: aborting")), "{lines:?}");
}

#[test]
fn ignore_sigterm_keeps_serving() {
    let mut ping = ServiceProcess::spawn(
        command().args(ANY_PORT).env("SERVICE_IGNORE_SIGTERM", "yes").args(["--linger", "0s"]),
    );
    ping.signal(Signal::TERM);
    // SIGTERM has been handled by the time a later SIGINT takes effect.
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));
    assert!(ping.get_admin("/readyz").starts_with("HTTP/1.1 200"));
    ping.signal(Signal::INT);
    assert!(ping.wait().1.success());
}

#[test]
fn hang_on_drain_needs_sigkill() {
    let mut ping = start(&["--hang-on-drain", "--linger", "0s"]);
    ping.signal(Signal::TERM);
    ping.wait_for_line("drained=0 aborted=0");
    ping.signal(Signal::TERM);
    ping.signal(Signal::KILL);
    assert_eq!(ping.wait().1.code(), None, "ended by a signal");
}

#[test]
fn empty_variables_inject_no_fault() {
    let mut command = command();
    command.args(ANY_PORT);
    for name in ["SLOW_START", "CRASH_AFTER", "IGNORE_SIGTERM", "HANG_ON_DRAIN", "ADMIN_TOKEN_FILE", "SLOT"] {
        command.env(format!("SERVICE_{name}"), "");
    }
    let ping = ServiceProcess::spawn(&mut command);
    assert!(ping.get_admin("/readyz").ends_with("\r\n\r\nready\n"));
}

#[test]
fn faults_command_sets_and_clears_a_fault() {
    let mut token = NamedTempFile::new().unwrap();
    writeln!(token, "secret").unwrap();
    let token = token.path().to_str().unwrap();
    let ping = start(&["--admin-token-file", token]);
    let port = ping.admin().port().to_string();
    let faults = |words: &[&str], token: &str| {
        let flags = ["--admin-port", &port, "--admin-token-file", token];
        let flags = if token.is_empty() { &flags[..2] } else { &flags };
        let output = run(&[&["faults"], words, flags].concat());
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), printed)
    };
    assert_eq!(faults(&[], ""), (Some(0), "null\n".to_owned()));
    let (code, printed) = faults(&[r#"{"status":418,"for":"1h"}"#], token);
    assert!(code == Some(0) && printed.starts_with("{\"rate\":1,\"status\":418,"), "{printed}");
    assert!(ping.get("/").starts_with("HTTP/1.1 418"));
    assert_eq!(faults(&["off"], token), (Some(0), "null\n".to_owned()));
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));

    let (code, printed) = faults(&[r#"{"status":418}"#], token);
    assert!(code == Some(1) && printed.starts_with("ping: missing field \"for\""), "{printed}");
    let (code, printed) = faults(&["off"], "");
    assert!(code == Some(1) && printed.contains("missing token"), "{printed}");
    let (code, printed) = faults(&["off"], "/no/such/file");
    assert!(code == Some(1) && printed.contains("reading token file /no/such/file"), "{printed}");
}
