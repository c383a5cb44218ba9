use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::NamedTempFile;

use crate::process::{Ping, command, eventually, run};

#[test]
fn a_slow_start_is_unready_for_its_time_and_says_so() {
    let start = Instant::now();
    let ping = Ping::start(&["--slow-start", "100ms"]);
    eventually("it is ready", || ping.admin("/readyz").starts_with("HTTP/1.1 200"));
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(ping.admin("/readyz").ends_with("\r\n\r\nready\nrehearsal: unready for 100ms\n"));
    assert!(ping.admin("/metrics").contains("swarmlings_fault_active{fault=\"slow-start\"} 1\n"));

    let ping = Ping::start(&["--slow-start", "1h"]);
    assert!(ping.admin("/readyz").starts_with("HTTP/1.1 503"));
    assert!(ping.get("/").starts_with("HTTP/1.1 200"), "unready is not deaf");
}

#[test]
fn a_crash_is_no_end_by_ones_own_will() {
    let (lines, status) = Ping::start(&["--crash-after", "10ms"]).end();
    assert!(!status.success());
    assert!(lines.iter().any(|line| line.contains("rehearsal: aborting")), "{lines:?}");
}

#[test]
fn ignoring_sigterm_it_serves_on() {
    let ping = Ping::spawn(
        command()
            .args(crate::process::ANY_PORT)
            .env("SERVICE_IGNORE_SIGTERM", "yes")
            .args(["--linger", "0s"]),
    );
    ping.signal(Signal::TERM);
    // It has heard the first by the time it acts on the second, which comes by another number.
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));
    assert!(ping.admin("/readyz").starts_with("HTTP/1.1 200"));
    ping.signal(Signal::INT);
    assert!(ping.end().1.success());
}

#[test]
fn hanging_after_its_drain_it_has_to_be_killed() {
    let ping = Ping::start(&["--hang-on-drain", "--linger", "0s"]);
    ping.signal(Signal::TERM);
    ping.says("drained=0 aborted=0");
    ping.signal(Signal::TERM);
    ping.signal(Signal::KILL);
    assert_eq!(ping.end().1.code(), None, "it was ended by the signal");
}

#[test]
fn an_empty_variable_rehearses_nothing() {
    let mut command = command();
    command.args(crate::process::ANY_PORT);
    for name in ["SLOW_START", "CRASH_AFTER", "IGNORE_SIGTERM", "HANG_ON_DRAIN", "ADMIN_TOKEN_FILE", "SLOT"] {
        command.env(format!("SERVICE_{name}"), "");
    }
    let ping = Ping::spawn(&mut command);
    assert!(ping.admin("/readyz").ends_with("\r\n\r\nready\n"));
}

#[test]
fn the_program_itself_asks_the_running_one_for_a_fault() {
    let mut token = NamedTempFile::new().unwrap();
    writeln!(token, "secret").unwrap();
    let token = token.path().to_str().unwrap();
    let ping = Ping::start(&["--admin-token-file", token]);
    let port = ping.place("admin").port().to_string();
    let ask = |words: &[&str], token: &str| {
        let output = run(command().arg("faults").args(words).args([
            "--admin-port",
            &port,
            "--admin-token-file",
            token,
        ]));
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    assert_eq!(ask(&[], ""), (Some(0), "null\n".to_owned()));
    let (code, said) = ask(&[r#"{"status":418,"for":"1h"}"#], token);
    assert!(code == Some(0) && said.starts_with("{\"rate\":1,\"status\":418,"), "{said}");
    assert!(ping.get("/").starts_with("HTTP/1.1 418"));
    assert_eq!(ask(&["off"], token), (Some(0), "null\n".to_owned()));
    assert!(ping.get("/").starts_with("HTTP/1.1 200"));

    let (code, said) = ask(&[r#"{"status":418}"#], token);
    assert!(code == Some(1) && said.starts_with("ping: \"for\" is missing"), "{said}");
    let (code, said) = ask(&["off"], "");
    assert!(code == Some(1) && said.contains("missing token"), "{said}");
    let (code, said) = ask(&["off"], "/no/such/file");
    assert!(code == Some(1) && said.contains("reading token file /no/such/file"), "{said}");
}
