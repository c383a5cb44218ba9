use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use harness::service_process::{ANY_PORT, connect, get};
use harness::{ServiceProcess, Signal};

use crate::process::{command, run, start};

#[test]
fn every_path_answers_pong() {
    let ping = start(&["--host", "ping-1"]);
    for path in ["/", "/ping", "/a/b?c", "/healthz"] {
        let response = ping.get(path);
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("\r\nx-served-by: ping-1\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\nPong from ping-1\n"), "{response}");
    }
}

#[test]
fn name_defaults_to_the_hostname() {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(start(&[]).get("/").ends_with(&format!("Pong from {host}")));
}

#[test]
fn admin_port_serves_readiness_version_and_metrics() {
    let ping = start(&[]);
    assert!(ping.get_admin("/readyz").ends_with("\r\n\r\nready\n"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(ping.get_admin("/version").ends_with(&format!("\r\n\r\nping {version}\n")));
    let series = format!("swarmlings_build_info{{service=\"ping\",version=\"{version}\"}} 1\n");
    assert!(ping.get_admin("/metrics").contains(&series));
}

#[test]
fn flags_override_the_environment() {
    let mut command = command();
    command.envs([("SERVICE_ADDRESS", "127.0.0.1"), ("SERVICE_PORT", "0"), ("SERVICE_ADMIN_PORT", "0")]);
    command.env("SERVICE_HOST", "from-environment").args(["--host", "from-flag"]);
    assert!(ServiceProcess::spawn(&mut command).get("/").ends_with("Pong from from-flag\n"));
}

#[test]
fn healthcheck_fails_without_a_running_service() {
    let ping = start(&[]);
    let port = ping.admin().port().to_string();
    // Flags may precede or follow the subcommand.
    assert!(run(&["healthcheck", "--admin-port", &port]).status.success());
    assert!(run(&["--address", "127.0.0.1", "--admin-port", &port, "healthcheck"]).status.success());
    drop(ping);
    let output = run(&["healthcheck", "--admin-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, format!("ping: requesting /readyz from 127.0.0.1:{port}: connection refused\n"));
}

#[test]
fn unix_socket_is_served_and_removed_at_exit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = path.to_str().unwrap();
    let mut ping = start(&["--host", "ping-1", "--socket", socket]);
    assert!(ping.listening().contains(&format!("socket={socket}")), "{}", ping.listening());
    assert!(get(UnixStream::connect(&path).unwrap(), "/").ends_with("Pong from ping-1\n"));

    let second = run(&[&ANY_PORT[..], &["--socket", socket]].concat());
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert_eq!(
        (second.status.code(), &*stderr),
        (Some(1), &*format!("ping: listening on {socket}: address already in use\n"))
    );

    ping.signal(Signal::TERM);
    assert!(ping.wait().1.success());
    assert!(!path.exists());
}

#[test]
fn service_listens_on_ipv4_and_ipv6_and_logs_clients_of_ipv4_as_such() {
    let mut command = command();
    command.args(["--port", "0", "--admin-port", "0", "--access-log", "1"]);
    let ping = ServiceProcess::spawn(&mut command);
    assert!(ping.listening().contains("address=[::]:"), "{}", ping.listening());
    for ip in ["127.0.0.1", "::1"] {
        let stream = connect((ip.parse::<IpAddr>().unwrap(), ping.address().port()).into());
        let client = stream.local_addr().unwrap();
        assert!(get(stream, "/").starts_with("HTTP/1.1 200"));
        let line = ping.wait_for_line(&format!(":{}", client.port()));
        assert!(line.contains(&client.to_string()), "{line}");
    }
}
