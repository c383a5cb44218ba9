//! `cargo xtask up`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use harness::{Process, Signal, SpawnOptions, http, proc};

/// Includes a build, if `SWARMLINGS_BIN_DIR` is not set.
const READY_TIMEOUT: Duration = Duration::from_mins(9);
const TIMEOUT: Duration = Duration::from_mins(1);

fn up(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let options = SpawnOptions { own_group: true, ..SpawnOptions::default() };
    Process::spawn("up", command.arg("up").args(arguments), options).unwrap()
}

/// Waits for the line with the URLs, and returns them.
fn ready(up: &mut Process) -> Vec<String> {
    let line = up.log().wait_for("ready in", READY_TIMEOUT).unwrap();
    let urls = line.split_whitespace().filter(|word| word.starts_with("http://"));
    urls.map(str::to_owned).collect()
}

#[test]
fn ctrl_c_withdraws_instances_before_traefik_and_hub_stop() {
    let mut up = up(&["--port", "0", "--ping", "2", "--hello", "1", "--verbose"]);
    let urls = ready(&mut up);
    let [ping, hello, dashboard] = urls.as_slice() else { panic!("{urls:?}") };
    assert!(http::get_ok(ping).unwrap().body.starts_with("Pong from ping-"));
    assert_eq!(http::get_ok(hello).unwrap().body, "Hello, Viktor! (from hello-1)\n");
    assert!(http::get_ok(dashboard).is_ok());

    let processes = proc::descendants(up.pid());
    // The hub, Traefik, and three sidecars, each with its service.
    assert_eq!(processes.len(), 8);
    up.signal_group(Signal::INT).unwrap();
    assert!(up.wait(TIMEOUT).unwrap().success());
    assert!(!processes.iter().any(proc::ProcessHandle::is_alive));
    assert!(TcpStream::connect(address_of(ping)).is_err());

    up.log().wait_for_end(TIMEOUT).unwrap();
    let lines = up.log().lines();
    let before =
        lines.iter().take_while(|line| !line.contains("traefik | ") || !line.contains("I have to go"));
    let withdrawn = before.filter(|line| line.contains("withdrawn routers=")).count();
    assert_eq!(withdrawn, 3, "Traefik and the hub run until all instances are withdrawn");
}

#[test]
fn crashed_process_is_named_and_all_others_are_stopped() {
    let mut up = up(&["--port", "0", "--ping", "1", "--hello", "1"]);
    ready(&mut up);
    let processes = proc::descendants(up.pid());
    let sidecars: Vec<_> = proc::children(up.pid())
        .into_iter()
        .filter(|process| !proc::children(process.pid()).is_empty())
        .collect();
    assert_eq!(sidecars.len(), 2);
    proc::children(sidecars[1].pid())[0].signal(Signal::KILL);

    assert_eq!(up.wait(TIMEOUT).unwrap().code(), Some(1));
    up.log().wait_for("xtask: hello-1 exited unexpectedly (exit status: 137)", TIMEOUT).unwrap();
    assert!(!processes.iter().any(proc::ProcessHandle::is_alive));
}

#[test]
fn port_in_use_is_reported_before_anything_starts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--dashboard-port"] {
        let other = if flag == "--port" { "--dashboard-port" } else { "--port" };
        let mut up = up(&[flag, &port, other, "0"]);
        assert_eq!(up.wait(TIMEOUT).unwrap().code(), Some(1));
        up.log().wait_for_end(TIMEOUT).unwrap();
        let lines = up.log().lines();
        assert!(lines[0].starts_with(&format!("xtask: {flag}: port {port} is in use; ")), "{lines:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn invalid_arguments_are_rejected_with_a_reason() {
    let rejected = |arguments: &[&str], reason: &str| {
        let mut up = up(arguments);
        assert!(!up.wait(TIMEOUT).unwrap().success());
        up.log().wait_for(reason, TIMEOUT).unwrap();
    };
    rejected(&["--ping", "1000"], "from 0 to 50");
    rejected(&["--hello", "-1"], "from 0 to 50");
    rejected(&["--ping", "many"], "from 0 to 50");
    rejected(&["--ping", "0", "--hello", "0"], "nothing to start");
    rejected(&["--port", "70000"], "70000");
}

fn address_of(url: &str) -> SocketAddr {
    url.split('/').nth(2).and_then(|address| address.parse().ok()).unwrap()
}
