//! Losing an instance, the hub, Traefik or clients. Invariants 7 and 10.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use harness::{Fleet, FleetOptions, Instance, Load, LoadOptions, Signal, TIMEOUT, eventually, http};

#[test]
fn killed_instance_is_unrouted_and_the_others_serve() {
    // With such a long lease, only the closed connection can reveal the loss.
    let hub_arguments = ["--ttl", "10m"].map(str::to_owned).to_vec();
    let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut instances = fleet.start_all("ping", 2).unwrap();
    instances[0].kill().unwrap();
    fleet.wait_unrouted(&instances[0], TIMEOUT).unwrap();
    fleet.wait_responses("/ping", &instances[1..]).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    load.pass().unwrap();
    let listed = fleet.hub.instances().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[test]
fn clients_that_disconnect_early_do_not_unroute_instances() {
    let fleet = Fleet::start().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/demo.yml");
    let mut instances = ["ping-1", "ping-2", "ping-3"]
        .map(|host| fleet.launch(fleet.spec_from_stack(&file, "ping", host).unwrap()).unwrap());
    fleet.wait_routed(&mut instances).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    for _ in 0..30 {
        // Traefik counts a client that disconnects before its request is forwarded as a failure of the instance, and avoids
        // an instance after ten failures in a row. These are nine, and the requests below reset the counts.
        for _ in 0..9 {
            let mut client = TcpStream::connect(fleet.traefik.options().entry).unwrap();
            client.write_all(b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        }
        load.wait_for_more(30, TIMEOUT).unwrap();
    }
    load.pass().unwrap();
}

#[test]
fn crash_of_the_service_deregisters_it_and_keeps_its_exit_code() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    instances[0].service().unwrap().signal(Signal::KILL);
    let status = instances[0].sidecar().wait(TIMEOUT).unwrap();
    assert_eq!(status.code(), Some(128 + 9));
    assert!(fleet.hub.instances().unwrap().is_empty());
    fleet.wait_unrouted(&instances[0], TIMEOUT).unwrap();
}

#[test]
fn service_without_instances_answers_503() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 2).unwrap();
    instances[0].kill().unwrap();
    instances[1].stop().unwrap();
    for instance in &instances {
        fleet.wait_unrouted(instance, TIMEOUT).unwrap();
    }
    let status = |path| http::get(&format!("{}{path}", fleet.traefik.url())).unwrap().status;
    assert_eq!(status("/ping"), 503);
    assert_eq!(status("/elsewhere"), 404);
}

#[test]
fn killed_and_restarted_hub_fails_no_request_and_removes_no_route() {
    let mut fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 3).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    let api = format!("{}/api/http/services?per_page=1000", fleet.traefik.api_url());
    let urls: Vec<_> = instances.iter().map(Instance::url).collect();
    let servers = || {
        let response = http::get(&api).unwrap();
        urls.iter().filter(|url| response.body.contains(*url)).count()
    };
    assert_eq!(servers(), 3);
    let done = AtomicBool::new(false);
    let fewest = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut fewest = usize::MAX;
            while !done.load(Ordering::Relaxed) {
                fewest = fewest.min(servers());
            }
            fewest
        });
        let mut kill_and_restart = || -> anyhow::Result<()> {
            for _ in 0..2 {
                fleet.hub.kill()?;
                load.wait_for_more(200, TIMEOUT)?;
                // Traefik polls the new hub before any instance has registered there.
                instances.iter_mut().try_for_each(|instance| instance.sidecar().signal(Signal::STOP))?;
                fleet.hub.restart()?;
                fleet.hub.process().log().wait_for("polls", TIMEOUT)?;
                instances.iter_mut().try_for_each(|instance| instance.sidecar().signal(Signal::CONT))?;
                eventually(TIMEOUT, || {
                    let listed = fleet.hub.instances()?;
                    let confirmed = listed.iter().filter(|i| i["routing"]["state"] == "confirmed").count();
                    ensure!(confirmed == 3, "{confirmed} of 3 instances are confirmed: {listed:?}");
                    Ok(())
                })?;
            }
            load.wait_for_more(200, TIMEOUT)
        };
        let outcome = kill_and_restart();
        done.store(true, Ordering::Relaxed);
        outcome.unwrap();
        watch.join().unwrap()
    });
    assert_eq!(fewest, 3, "Traefik listed fewer servers for a while");
    load.pass().unwrap();
    for instance in &mut instances {
        assert!(instance.sidecar().try_wait().unwrap().is_none());
    }
}

#[test]
fn hub_that_is_paused_loses_no_lease_and_fails_no_request() {
    let mut fleet = Fleet::start().unwrap();
    let _instances = fleet.start_all("ping", 3).unwrap();
    let options = LoadOptions::default();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    fleet.hub.process().signal(Signal::STOP).unwrap();
    // 10 s, longer than any lease.
    load.wait_for_more(u64::from(options.rate) * 10, TIMEOUT).unwrap();
    fleet.hub.process().signal(Signal::CONT).unwrap();
    fleet.hub.process().log().wait_for("the hub was paused", TIMEOUT).unwrap();
    // Longer than the hub makes allowances.
    load.wait_for_more(u64::from(options.rate) * 6, TIMEOUT).unwrap();
    load.pass().unwrap();
    assert_eq!(fleet.hub.process().log().count("lost:"), 0);
    assert_eq!(fleet.hub.instances().unwrap().len(), 3);
}

#[test]
fn service_whose_sidecar_is_frozen_keeps_its_routes_across_a_restart_of_the_hub() {
    let mut fleet = Fleet::start().unwrap();
    let mut ping = fleet.start_all("ping", 1).unwrap();
    let mut hello = fleet.start_all("hello", 2).unwrap();
    let options = LoadOptions::default();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options).unwrap();
    ping[0].sidecar().signal(Signal::STOP).unwrap();
    // A server that is gone does not delay the start for long.
    hello[1].kill().unwrap();
    fleet.hub.restart().unwrap();
    fleet.hub.process().log().wait_for("ready: warm-up finished", TIMEOUT).unwrap();
    load.wait_for_more(u64::from(options.rate) * 4, TIMEOUT).unwrap();
    ping[0].sidecar().signal(Signal::CONT).unwrap();
    fleet.wait_unrouted(&hello[1], Duration::from_secs(10)).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    load.pass().unwrap();
    assert!(fleet.traefik.api().servers().unwrap().contains(&ping[0].url()));
}

#[test]
fn hub_is_not_ready_and_serves_no_configuration_before_the_first_registration() {
    let mut fleet = Fleet::start().unwrap();
    let authorization = format!("Bearer {}", fleet.hub.master().unwrap().role("router"));
    let url = format!("{}/traefik", fleet.hub.url());
    let response = http::request("GET", &url, &[("authorization", &authorization)]).unwrap();
    assert_eq!(response.status, 503, "{}", response.body);
    let ready = |hub: &str| http::get(&format!("{hub}/readyz")).unwrap().status;
    assert_eq!(ready(&fleet.hub.url()), 503);
    let _instances = fleet.start_all("ping", 1).unwrap();
    assert_eq!(ready(&fleet.hub.url()), 200);
    assert!(fleet.hub.process().try_wait().unwrap().is_none());
}

#[test]
fn restarted_traefik_gets_all_routes_back() {
    let mut fleet = Fleet::start().unwrap();
    let instances = fleet.start_all("ping", 2).unwrap();
    fleet.traefik.restart().unwrap();
    eventually(TIMEOUT, || {
        let status = http::get(&format!("{}/ping", fleet.traefik.url()))?.status;
        ensure!(status == 200, "status {status}");
        Ok(())
    })
    .unwrap();
    fleet.wait_responses("/ping", &instances).unwrap();
}

#[test]
fn paused_sidecar_does_not_affect_requests() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    instances[0].sidecar().signal(Signal::STOP).unwrap();
    let response = http::get(&format!("{}/ping", fleet.traefik.url())).unwrap();
    instances[0].sidecar().signal(Signal::CONT).unwrap();
    assert_eq!(response.body, "Pong from ping-1\n");
}
