//! Clients that take as much as they can get, beside three real sidecars and Traefik. Log lines.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use harness::proc::resident_kib;
use harness::{
    Binaries, Fleet, FleetOptions, Load, LoadOptions, TIMEOUT, binaries, eventually, http, process,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// Maximum numbers of the hub.
const ROUTERS: usize = 64;
const FOLLOWERS: usize = 64;

/// An address of this machine other than loopback, as another container has.
fn outside() -> IpAddr {
    // Sends nothing.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).expect("this machine has a network");
    socket.local_addr().unwrap().ip()
}

fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    // Programs that other tests start meanwhile must not inherit thousands of connections.
    let client = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&client, &SocketAddr::new(from, 0))?;
    connect(&client, &to)?;
    let client = TcpStream::from(client);
    client.set_read_timeout(Some(TIMEOUT))?;
    Ok(client)
}

/// Lets this process open thousands of connections.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Reads the status of a response; 0 if the connection closes first.
fn status(mut client: &TcpStream) -> u16 {
    let mut head = [0; 12];
    match client.read_exact(&mut head) {
        Ok(()) => std::str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

/// The project's binaries, with a hub that may open 256 files.
fn with_few_descriptors() -> (TempDir, Binaries) {
    let (directory, all) = (tempfile::tempdir().unwrap(), Binaries::find().unwrap());
    for name in binaries::names().into_iter().filter(|name| *name != "hub") {
        symlink(all.path(name), directory.path().join(name)).unwrap();
    }
    let (hub, script) = (all.path("hub"), directory.path().join("hub"));
    fs::write(&script, format!("#!/bin/sh\nulimit -n 256\nexec '{}' \"$@\"\n", hub.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let binaries = Binaries::at(directory.path()).unwrap();
    (directory, binaries)
}

/// Sends requests with wrong tokens, and polls as a new router each time, until `done`. Returns the number of both.
fn hammer(hub: SocketAddr, token: &str, done: &AtomicBool) -> (u64, u64) {
    let (rejected, polls) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let Ok(mut client) = connect_from(outside(), hub) else { continue };
                let request = "PUT /v1/instances/a HTTP/1.1\r\nhost: hub\r\ncontent-length: 0\r\n\
                               authorization: Bearer wrong\r\nconnection: close\r\n\r\n";
                if client.write_all(request.as_bytes()).is_ok() && status(&client) == 401 {
                    rejected.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let Ok(mut client) = connect_from(outside(), hub) else { continue };
                let number = polls.load(Ordering::Relaxed);
                let request = format!(
                    "GET /traefik?wait=0s&router=fake-{number} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\n\r\n"
                );
                if client.write_all(request.as_bytes()).is_ok() && status(&client) != 0 {
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    });
    (rejected.into_inner(), polls.into_inner())
}

fn resident(fleet: &mut Fleet) -> u64 {
    resident_kib(fleet.hub.process().pid()).unwrap()
}

fn check_leases(fleet: &mut Fleet, instances: usize) {
    assert_eq!(fleet.hub.process().log().count("lost:"), 0);
    assert_eq!(fleet.hub.instances().unwrap().len(), instances);
}

/// Floods the hub over loopback, where only totals are bounded, and from another address.
#[test]
fn flood_of_thousands_of_polls_and_followers_fails_no_request_and_loses_no_lease() {
    let (polls, followers) = (4000, 2000);
    raise_descriptor_limit();
    let mut fleet = Fleet::start().unwrap();
    let _instances = fleet.start_all("ping", 3).unwrap();
    let (hub, token) = (fleet.hub.options().address, fleet.hub.token().unwrap());
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(400, TIMEOUT).unwrap();
    let attack = |count: usize, path: &str| -> (Vec<TcpStream>, Vec<u16>) {
        let clients: Vec<_> = (0..count)
            .map(|_| {
                let mut client = connect_from(Ipv4Addr::LOCALHOST.into(), hub).unwrap();
                let request =
                    format!("GET {path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\n\r\n");
                // The second poll of a router is held.
                client.write_all((request.clone() + &request).as_bytes()).unwrap();
                client
            })
            .collect();
        let statuses = clients.iter().map(status).collect();
        (clients, statuses)
    };
    let before = resident(&mut fleet);

    let (pollers, statuses) = attack(polls, "/traefik?wait=1m");
    // Traefik has one of them.
    assert_eq!((count(&statuses, 200), count(&statuses, 503)), (ROUTERS - 1, polls + 1 - ROUTERS));
    let (streams, statuses) = attack(followers, "/v1/events");
    assert_eq!((count(&statuses, 200), count(&statuses, 503)), (FOLLOWERS, followers - FOLLOWERS));
    let started = Instant::now();
    let done = AtomicBool::new(false);
    let (rejected, fakes) = thread::scope(|scope| {
        let hammer = scope.spawn(|| hammer(hub, &token, &done));
        let loaded = load.wait_for_more(1200, TIMEOUT);
        done.store(true, Ordering::Relaxed);
        loaded.unwrap();
        hammer.join().unwrap()
    });
    assert!(rejected > 100 && fakes > 100, "{rejected} wrong tokens, {fakes} polls of new routers");
    check_leases(&mut fleet, 3);
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    for kind in ["request rejected", "too many routers", "too many followers"] {
        let lines = fleet.hub.process().log().count(kind);
        assert!((1..=seconds + 20).contains(&lines), "{lines} lines with `{kind}` in {seconds} s");
    }
    let peak = resident(&mut fleet);

    drop((pollers, streams));
    eventually(TIMEOUT, || open_connections(&fleet).is_ok_and(|open| open < 20)).unwrap();
    // The allocator keeps some free memory, and code that ran for the first time stays resident.
    let allowed = before * 12 / 10 + 4 * 1024;
    eventually(TIMEOUT, || {
        let after = resident(&mut fleet);
        ensure!(
            after <= allowed,
            "{after} KiB resident after the flood, {before} before, {peak} at its peak"
        );
        Ok(())
    })
    .unwrap();
    // Everything still works.
    let mut hello = fleet.start_all("hello", 1).unwrap();
    load.wait_for_more(400, TIMEOUT).unwrap();
    check_leases(&mut fleet, 4);
    hello[0].stop().unwrap();
    load.pass().unwrap();
}

/// Fails if the request gets no response: in a flood, its connection may wait behind many others.
fn open_connections(fleet: &Fleet) -> Result<u64> {
    let metrics = http::get_ok(&format!("{}/metrics", fleet.hub.url()))?.body;
    let value = metrics.lines().find_map(|line| line.strip_prefix("swarmlings_connections_open "));
    Ok(value.context("no metric swarmlings_connections_open")?.parse()?)
}

#[test]
fn silent_connections_of_one_address_leave_room_for_others() {
    let (_directory, binaries) = with_few_descriptors();
    let options = FleetOptions { binaries: Some(binaries), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut instances = fleet.start_all("ping", 3).unwrap();
    let hub = fleet.hub.options().address;
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    let silent: Vec<_> = (0..300).map(|_| connect_from(outside(), hub).unwrap()).collect();
    // One address has at most half of 188.
    eventually(TIMEOUT, || {
        let open = open_connections(&fleet)?;
        ensure!((94..120).contains(&open), "{open} connections are open");
        Ok(())
    })
    .unwrap();
    // Tasks are still registered, confirmed and withdrawn.
    let hello = fleet.start_all("hello", 1).unwrap();
    fleet.wait_responses("/hello/viktor", &hello).unwrap();
    instances.pop().unwrap().stop().unwrap();
    load.wait_for_more(400, TIMEOUT).unwrap();
    load.pass().unwrap();
    check_leases(&mut fleet, 3);
    assert_eq!(fleet.hub.process().log().count("accepting a connection"), 0, "descriptors ran out");
    drop(silent);
}

#[test]
fn health_check_succeeds_while_clients_hold_all_connections() {
    let mut fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.command.extend(["--max-connections", "50"].map(Into::into));
    let mut instance = fleet.launch(spec).unwrap();
    fleet.wait_routed([&mut instance]).unwrap();
    let (address, admin) = (instance.spec().address, instance.spec().admin);
    let hold =
        |to: SocketAddr| -> Vec<_> { (0..100).map(|_| connect_from(outside(), to).unwrap()).collect() };
    let clients = (hold(address), hold(admin));
    instance
        .sidecar()
        .wait_until(TIMEOUT, || -> bool {
            connect_from(outside(), address).is_ok_and(|client| status(&client) == 0)
        })
        .unwrap();
    let mut command = process::command(Binaries::find().unwrap().path("ping"));
    let (ip, port) = (admin.ip().to_string(), admin.port().to_string());
    command.args(["healthcheck", "--address", &ip, "--admin-port", &port]);
    let output = process::run(&mut command).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    instance.sidecar().log().wait_for("connection closed: too many are open", TIMEOUT).unwrap();
    drop(clients);
    assert_eq!(fleet.hub.process().log().count("lost:"), 0);
    assert_eq!(instance.stop().unwrap().code(), Some(0));
}

#[test]
fn names_from_clients_cannot_forge_log_lines() {
    let mut fleet = Fleet::start().unwrap();
    let token = fleet.hub.token().unwrap();
    let forged = "x\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}";
    let key = format!("traefik.http.routers.{forged}.x");
    for labels in [
        serde_json::json!({"traefik.http.routers.a.rule": "Path(`/a`)", (key): forged}),
        // Valid, with a warning.
        serde_json::json!({"traefik.docker.lbswarm": "true"}),
    ] {
        let body = serde_json::json!({
            "service": forged, "host": forged, "address": "127.0.0.1", "port": 8080, "started": 1, "health": "healthy",
            "labels": labels,
        });
        let url = format!("{}/v1/instances/a.1?wait=5s", fleet.hub.url());
        let request = ureq::http::Request::put(url).header("authorization", format!("Bearer {token}"));
        let request = request.body(body.to_string()).unwrap();
        assert_eq!(http::agent(TIMEOUT, false).run(request).unwrap().status(), 200);
    }
    let poll = format!("{}/traefik?wait=1ms&router=a%0Aforged%1B", fleet.hub.url());
    let request = ureq::http::Request::get(poll).header("authorization", format!("Bearer {token}"));
    http::agent(TIMEOUT, false).run(request.body(()).unwrap()).unwrap();
    fleet.hub.process().log().wait_for("refused", TIMEOUT).unwrap();
    fleet.hub.process().log().wait_for("has no effect", TIMEOUT).unwrap();
    fleet.hub.process().log().wait_for("a\\nforged", TIMEOUT).unwrap();
    for line in fleet.hub.process().log().lines() {
        assert!(line.starts_with("20") && !line.starts_with("2026-01-01"), "{line}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
