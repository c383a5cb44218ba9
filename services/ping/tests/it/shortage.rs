use std::io::{Read, Write};
use std::net::TcpStream;

use harness::service_process::ANY_PORT;
use harness::{ServiceProcess, TIMEOUT, eventually};

/// Sends a request on a connection that stays open.
fn pong(client: &mut TcpStream) {
    const END: &[u8] = b"Pong from ping-1\n";
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(END) {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

#[test]
fn out_of_file_descriptors_open_connections_are_served_and_accept_backs_off() {
    let limited = r#"ulimit -n 16; exec "$0" "$@""#;
    let mut command = harness::process::command("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_ping"), "--host", "ping-1"]).args(ANY_PORT);
    let ping = ServiceProcess::spawn(&mut command);
    let mut first = ping.connect();
    pong(&mut first);

    let crowd: Vec<_> = (0..20).map(|_| ping.connect()).collect();
    ping.wait_for_line("accepting a connection: too many open files");
    for _ in 0..500 {
        pong(&mut first);
    }
    drop(crowd);
    ping.wait_for_line("accepting connections again");
    pong(&mut ping.connect());

    // Without a pause, accept would have failed at least once for each of the requests above.
    let mut failures = 0;
    eventually(TIMEOUT, || {
        let metrics = ping.get_admin("/metrics");
        let count = metrics.lines().find_map(|line| line.strip_prefix("swarmlings_accept_failures_total "));
        failures = count.map_or(0, |count| count.parse().unwrap());
        failures > 0
    })
    .unwrap();
    assert!(failures < 100, "{failures} failures");
}
