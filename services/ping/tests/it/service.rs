use std::os::unix::net::UnixStream;

use crate::process::{ANY_PORT, Ping, command, get, run, run_with};

#[test]
fn it_pongs_on_every_path() {
    let ping = Ping::start(&["--host", "ping-1"]);
    for path in ["/", "/ping", "/a/b?c", "/healthz"] {
        let answer = ping.get(path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nx-served-by: ping-1\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nPong from ping-1\n"), "{answer}");
    }
}

#[test]
fn its_name_is_the_hosts_unless_given() {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(Ping::start(&[]).get("/").ends_with(&format!("Pong from {host}")));
}

#[test]
fn the_admin_port_answers_what_the_service_does_not() {
    let ping = Ping::start(&[]);
    assert!(ping.admin("/readyz").ends_with("\r\n\r\nready\n"));
    assert!(ping.admin("/version").ends_with("\r\n\r\nping 0.1.0\n"));
    assert!(ping.admin("/metrics").contains("swarmlings_build_info{service=\"ping\",version=\"0.1.0\"} 1\n"));
}

#[test]
fn environment_does_what_flags_do_and_flags_win() {
    let mut command = command();
    command.envs([("SERVICE_ADDRESS", "127.0.0.1"), ("SERVICE_PORT", "0"), ("SERVICE_ADMIN_PORT", "0")]);
    command.env("SERVICE_HOST", "from-environment").args(["--host", "from-flag"]);
    assert!(Ping::spawn(&mut command).get("/").ends_with("Pong from from-flag\n"));
}

#[test]
fn healthcheck_tells_a_running_service_from_none() {
    let ping = Ping::start(&[]);
    let port = ping.place("admin").port().to_string();
    // Both orders are understood.
    assert!(run_with(&["healthcheck", "--admin-port", &port]).status.success());
    assert!(run_with(&["--address", "127.0.0.1", "--admin-port", &port, "healthcheck"]).status.success());
    drop(ping);
    let output = run_with(&["healthcheck", "--admin-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, format!("ping: asking 127.0.0.1:{port} for /readyz: connection refused\n"));
}

#[test]
fn it_serves_a_unix_socket_and_removes_it_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = path.to_str().unwrap();
    let ping = Ping::start(&["--host", "ping-1", "--socket", socket]);
    assert!(ping.listening.contains(&format!("socket={socket}")), "{}", ping.listening);
    assert!(get(UnixStream::connect(&path).unwrap(), "/").ends_with("Pong from ping-1\n"));

    let second = run(command().args(ANY_PORT).args(["--socket", socket]));
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(
        (second.status.code(), &*said),
        (Some(1), &*format!("ping: listening on {socket}: address already in use\n"))
    );

    ping.signal(rustix::process::Signal::TERM);
    assert!(ping.end().1.success());
    assert!(!path.exists());
}
