//! Echo behind Traefik: HTTP/2, WebSocket, TCP and the PROXY protocol.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use harness::labels::LabelList;
use harness::process::run;
use harness::service_process::connect;
use harness::stack_file::ServiceDefinition;
use harness::{Binaries, Fleet, Instance, TIMEOUT, conformance, eventually, http};
use serde_json::Value;

/// Starts an instance with these labels, without their prefix `traefik.`, and flags.
fn launch(fleet: &Fleet, labels: &[(&str, &str)], flags: &[&str]) -> Instance {
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, "echo", "echo-1").unwrap();
    spec.command.extend(flags.iter().map(Into::into));
    let port = spec.address.port().to_string();
    let label = |(key, value): &(&str, &str)| (format!("traefik.{key}"), value.replace("PORT", &port));
    spec.labels = labels.iter().map(label).collect::<LabelList>();
    fleet.launch(spec).unwrap()
}

/// Starts an instance with a TCP port, and its labels for that port.
fn launch_tcp(fleet: &Fleet, host: &str, labels: impl Fn(u16) -> LabelList, flags: &[&str]) -> Instance {
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, "echo", host).unwrap();
    // A port that no other instance of the fleet has.
    let port = fleet.spec_for(&program, "echo", host).unwrap().address.port();
    spec.labels = labels(port);
    let port = port.to_string();
    spec.command.extend(["--tcp-port", &port, "--tcp-greeting"].iter().chain(flags).map(Into::into));
    fleet.launch(spec).unwrap()
}

/// Connects through Traefik and reads the greeting.
fn greeted(fleet: &Fleet) -> Result<(BufReader<TcpStream>, Value)> {
    let mut stream = BufReader::new(connect(fleet.traefik.options().entry));
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let greeting = serde_json::from_str(&line)?;
    Ok((stream, greeting))
}

/// Sends a line and expects it back.
fn exchange(stream: &mut BufReader<TcpStream>, sent: &str) {
    stream.get_mut().write_all(sent.as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, sent);
}

const ROUTED: [(&str, &str); 2] =
    [("http.routers.echo.rule", "PathPrefix(`/`)"), ("http.services.echo.loadbalancer.server.port", "PORT")];

/// Echo's description of a request through Traefik.
fn get_api(fleet: &Fleet) -> String {
    let url = format!("{}/api", fleet.traefik.url());
    eventually(TIMEOUT, || http::get_ok(&url)).unwrap().body
}

#[test]
fn traefik_uses_http_2_without_tls_for_scheme_h2c() {
    let fleet = Fleet::start().unwrap();
    let scheme = [("http.services.echo.loadbalancer.server.scheme", "h2c")];
    let _echo = launch(&fleet, &[&ROUTED[..], &scheme].concat(), &[]);
    let body = get_api(&fleet);
    assert!(body.contains("\"protocol\":\"HTTP/2.0\""), "{body}");
}

#[test]
fn traefik_uses_http_1_by_default() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    let body = get_api(&fleet);
    assert!(body.contains("\"protocol\":\"HTTP/1.1\""), "{body}");
}

#[test]
fn websocket_works_through_traefik() {
    let fleet = Fleet::start().unwrap();
    let _echo = launch(&fleet, &ROUTED, &[]);
    get_api(&fleet);
    let url = format!("{}/echo", fleet.traefik.url().replacen("http", "ws", 1));
    conformance::check_websocket(&url, None).unwrap();
}

#[test]
fn traefik_sends_the_client_address_by_proxy_protocol() {
    let fleet = Fleet::start().unwrap();
    for version in ["1", "2"] {
        let labels = [
            ("tcp.routers.echo.rule", "HostSNI(`*`)"),
            ("tcp.routers.echo.entrypoints", "web"),
            ("tcp.services.echo.loadbalancer.server.port", "PORT"),
            ("tcp.services.echo.loadbalancer.proxyprotocol.version", version),
        ];
        let flags = ["--proxy-protocol", "required", "--trusted-proxy", "127.0.0.0/8"];
        let mut echo = launch(&fleet, &labels, &flags);
        let body = get_api(&fleet);
        assert!(body.contains("\"from\":\"proxy protocol\""), "version {version}: {body}");
        echo.stop().unwrap();
    }
}

#[test]
fn tcp_router_spreads_connections_and_closes_none_before_its_task_stops() {
    let fleet = Fleet::start().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/echo-tcp.yml");
    let stack = ServiceDefinition::read(&file, "echo").unwrap();
    let labels = |port| {
        let mut labels = stack.labels_at(port);
        let entry = labels.iter_mut().find(|(_, value)| value == "tcp");
        // The fleet has one entry point for clients.
        "web".clone_into(&mut entry.unwrap().1);
        labels
    };
    let flags = ["--proxy-protocol", "required", "--trusted-proxy", "127.0.0.0/8", "--linger", "0s"];
    let mut instances = ["echo-1", "echo-2"].map(|host| launch_tcp(&fleet, host, labels, &flags));

    // Without its router, Traefik would wait for the first bytes of a client.
    for instance in &mut instances {
        instance.sidecar().log().wait_for(" routed", TIMEOUT).unwrap();
    }
    let mut hosts = BTreeSet::new();
    let both = || {
        let (mut stream, greeting) = greeted(&fleet)?;
        // The client's own address, which Traefik passes on.
        assert_eq!(greeting["remoteAddr"], stream.get_ref().local_addr().unwrap().to_string());
        exchange(&mut stream, "GET / HTTP/1.1\r\n");
        stream.get_ref().shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        hosts.insert(greeting["hostname"].as_str().unwrap().to_owned());
        ensure!(hosts.len() == 2, "connections only to {hosts:?}");
        Ok(())
    };
    eventually(TIMEOUT, both).unwrap();

    let (mut open, greeting) = greeted(&fleet).unwrap();
    let (stopped, left) = if greeting["hostname"] == "echo-1" { (0, "echo-2") } else { (1, "echo-1") };
    exchange(&mut open, "before\n");
    instances[stopped].stop().unwrap();
    // The drain ends the stream; it does not reset the connection.
    assert_eq!(open.read(&mut [0]).unwrap(), 0);
    for _ in 0..4 {
        assert_eq!(greeted(&fleet).unwrap().1["hostname"], left);
    }
}

#[test]
fn tcp_router_selects_a_service_by_server_name_and_ends_tls() {
    let fleet = Fleet::start().unwrap();
    let labels = |port: u16| {
        let labels = [
            ("routers.echo.rule", "HostSNI(`echo.test`)"),
            ("routers.echo.tls", "true"),
            ("services.echo.loadbalancer.server.port", &port.to_string()),
        ];
        labels.map(|(key, value)| (format!("traefik.tcp.{key}"), value.to_owned())).into()
    };
    let _echo = launch_tcp(&fleet, "echo-1", labels, &["--idle-timeout", "1s"]);
    let greeting = || -> Result<Value> {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_quiet", "-servername", "echo.test", "-connect"]);
        command.arg(fleet.traefik.options().entry.to_string());
        let text = String::from_utf8(run(&mut command)?.stdout)?;
        Ok(serde_json::from_str(&text)?)
    };
    let greeting = eventually(TIMEOUT, greeting).unwrap();
    assert_eq!((&greeting["hostname"], greeting.get("tls")), (&"echo-1".into(), None));
}
