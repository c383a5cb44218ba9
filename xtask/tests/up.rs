//! `cargo xtask up` as a user sees it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use harness::{Process, Signal, SpawnOptions, http, proc};

/// Built binaries are at hand in CI; elsewhere a release build may come first.
const READY: Duration = Duration::from_mins(9);
const END: Duration = Duration::from_mins(1);

fn up(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let options = SpawnOptions { own_group: true, ..SpawnOptions::default() };
    Process::spawn("up", command.arg("up").args(arguments), options).unwrap()
}

/// The URLs of the line that says "ready".
fn ready(up: &mut Process) -> Vec<String> {
    let line = up.log().wait_for("ready in", READY).unwrap();
    let urls = line.split_whitespace().filter(|word| word.starts_with("http://"));
    urls.map(str::to_owned).collect()
}

#[test]
fn ctrl_c_ends_everything_in_order() {
    let mut up = up(&["--port", "0", "--ping", "2", "--hello", "1", "--verbose"]);
    let urls = ready(&mut up);
    let [ping, hello, dashboard] = urls.as_slice() else { panic!("{urls:?}") };
    assert!(http::get_ok(ping).unwrap().body.starts_with("Pong from ping-"));
    assert_eq!(http::get_ok(hello).unwrap().body, "Hello, Viktor! (from hello-1)\n");
    assert!(http::get_ok(dashboard).is_ok());

    let parts = proc::descendants(up.pid());
    // Hub, Traefik, and three sidecars with their services.
    assert_eq!(parts.len(), 8);
    up.signal_group(Signal::INT).unwrap();
    assert!(up.wait(END).unwrap().success());
    assert!(!parts.iter().any(proc::ProcessHandle::is_alive));
    assert!(TcpStream::connect(address_of(ping)).is_err());

    up.log().wait_for_end(END).unwrap();
    let lines = up.log().lines();
    let before =
        lines.iter().take_while(|line| !line.contains("traefik | ") || !line.contains("I have to go"));
    let withdrawn = before.filter(|line| line.contains("withdrawn routers=")).count();
    assert_eq!(withdrawn, 3, "Traefik and hub stay until all instances are out");
}

#[test]
fn a_part_that_dies_is_named_and_the_rest_is_ended() {
    let mut up = up(&["--port", "0", "--ping", "1", "--hello", "1"]);
    ready(&mut up);
    let parts = proc::descendants(up.pid());
    let sidecars: Vec<_> =
        proc::children(up.pid()).into_iter().filter(|part| !proc::children(part.pid()).is_empty()).collect();
    assert_eq!(sidecars.len(), 2);
    proc::children(sidecars[1].pid())[0].signal(Signal::KILL);

    assert_eq!(up.wait(END).unwrap().code(), Some(1));
    up.log().wait_for("xtask: hello-1 has ended by itself (exit status: 137)", END).unwrap();
    assert!(!parts.iter().any(proc::ProcessHandle::is_alive));
}

#[test]
fn a_port_in_use_is_said_before_anything_starts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--dashboard-port"] {
        let other = if flag == "--port" { "--dashboard-port" } else { "--port" };
        let mut up = up(&[flag, &port, other, "0"]);
        assert_eq!(up.wait(END).unwrap().code(), Some(1));
        up.log().wait_for_end(END).unwrap();
        let said =
            format!("xtask: port {port} is in use; stop what listens there, or choose another with {flag}");
        assert_eq!(up.log().lines(), [said]);
    }
}

#[test]
fn absurd_numbers_are_refused_with_a_reason() {
    let refused = |arguments: &[&str], reason: &str| {
        let mut up = up(arguments);
        assert!(!up.wait(END).unwrap().success());
        up.log().wait_for(reason, END).unwrap();
    };
    refused(&["--ping", "1000"], "at most 50");
    refused(&["--hello", "-1"], "from 0 to 50");
    refused(&["--ping", "many"], "from 0 to 50");
    refused(&["--ping", "0", "--hello", "0"], "there is nothing to start");
    refused(&["--port", "70000"], "70000");
}

fn address_of(url: &str) -> SocketAddr {
    url.split('/').nth(2).and_then(|address| address.parse().ok()).unwrap()
}
