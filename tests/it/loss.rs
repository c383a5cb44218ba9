//! What vanishes without a word: a task, the hub, Traefik, clients. Invariants 3 and 8.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use harness::{Fleet, FleetOptions, Instance, Load, LoadOptions, Signal, eventually, http};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn killed_instance_leaves_the_routing_and_the_others_serve() {
    // Only its connection can tell: its lease would hold on.
    let hub_arguments = ["--ttl", "10m"].map(str::to_owned).to_vec();
    let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut instances = fleet.start_all("ping", 2).unwrap();
    instances[0].kill().unwrap();
    fleet.wait_unrouted(&instances[0], SOON).unwrap();
    fleet.wait_responses("/ping", &instances[1..]).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, SOON).unwrap();
    load.pass().unwrap();
    let listed = fleet.hub.instances().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[test]
fn clients_who_leave_at_once_take_no_instance_away_from_the_others() {
    let fleet = Fleet::start().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/demo.yml");
    let mut instances = ["ping-1", "ping-2", "ping-3"]
        .map(|host| fleet.launch(fleet.spec_from_stack(&file, "ping", host).unwrap()).unwrap());
    fleet.wait_routed(&mut instances).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, SOON).unwrap();
    for _ in 0..30 {
        // Traefik takes it for an instance's failure when a client leaves before its request is passed on. An instance is
        // left alone after ten in a row, which these are too few for; and each is well again before the next ones.
        for _ in 0..9 {
            let mut client = TcpStream::connect(fleet.traefik.options().entry).unwrap();
            client.write_all(b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        }
        load.wait_for_more(30, SOON).unwrap();
    }
    load.pass().unwrap();
}

#[test]
fn service_that_dies_takes_its_registration_with_it_and_its_exit_code_stays() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    instances[0].service().unwrap().signal(Signal::KILL);
    let status = instances[0].sidecar().wait(SOON).unwrap();
    assert_eq!(status.code(), Some(128 + 9));
    assert!(fleet.hub.instances().unwrap().is_empty());
    fleet.wait_unrouted(&instances[0], SOON).unwrap();
}

#[test]
fn service_whose_instances_are_all_gone_answers_503_and_not_404() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 2).unwrap();
    instances[0].kill().unwrap();
    instances[1].stop().unwrap();
    for instance in &instances {
        fleet.wait_unrouted(instance, SOON).unwrap();
    }
    let status = |path| http::get(&format!("{}{path}", fleet.traefik.url())).unwrap().status;
    assert_eq!(status("/ping"), 503);
    assert_eq!(status("/elsewhere"), 404);
}

#[test]
fn hub_that_is_killed_and_restarted_loses_no_request_and_never_empties_the_routes() {
    let mut fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 3).unwrap();
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &LoadOptions::default()).unwrap();
    load.wait_for_more(100, SOON).unwrap();
    let api = format!("{}/api/http/services?per_page=1000", fleet.traefik.api_url());
    let urls: Vec<_> = instances.iter().map(Instance::url).collect();
    let servers = || {
        let answer = http::get(&api).unwrap();
        urls.iter().filter(|url| answer.body.contains(*url)).count()
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
                load.wait_for_more(200, SOON)?;
                // Traefik comes back first, to a hub that knows nobody.
                instances.iter_mut().try_for_each(|instance| instance.sidecar().signal(Signal::STOP))?;
                fleet.hub.restart()?;
                fleet.hub.process().log().wait_for("polls", SOON)?;
                instances.iter_mut().try_for_each(|instance| instance.sidecar().signal(Signal::CONT))?;
                eventually(SOON, || {
                    let listed = fleet.hub.instances()?;
                    let confirmed = listed.iter().filter(|i| i["routing"]["state"] == "confirmed").count();
                    ensure!(confirmed == 3, "{confirmed} of 3 are confirmed: {listed:?}");
                    Ok(())
                })?;
            }
            load.wait_for_more(200, SOON)
        };
        let outcome = kill_and_restart();
        done.store(true, Ordering::Relaxed);
        outcome.unwrap();
        watch.join().unwrap()
    });
    assert_eq!(fewest, 3, "Traefik listed fewer servers meanwhile");
    load.pass().unwrap();
    for instance in &mut instances {
        assert!(instance.sidecar().try_wait().unwrap().is_none());
    }
}

#[test]
fn hub_that_has_just_started_gives_traefik_no_configuration() {
    let mut fleet = Fleet::start().unwrap();
    let answer = http::get(&format!("{}/traefik", fleet.hub.url())).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    let ready = |hub: &str| http::get(&format!("{hub}/readyz")).unwrap().status;
    assert_eq!(ready(&fleet.hub.url()), 503);
    let _instances = fleet.start_all("ping", 1).unwrap();
    assert_eq!(ready(&fleet.hub.url()), 200);
    assert!(fleet.hub.process().try_wait().unwrap().is_none());
}

#[test]
fn traefik_that_is_restarted_gets_all_routes_back() {
    let mut fleet = Fleet::start().unwrap();
    let instances = fleet.start_all("ping", 2).unwrap();
    fleet.traefik.restart().unwrap();
    eventually(SOON, || {
        let status = http::get(&format!("{}/ping", fleet.traefik.url()))?.status;
        ensure!(status == 200, "status {status}");
        Ok(())
    })
    .unwrap();
    fleet.wait_responses("/ping", &instances).unwrap();
}

#[test]
fn sidecar_that_stands_still_is_not_in_the_data_path() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    instances[0].sidecar().signal(Signal::STOP).unwrap();
    let answer = http::get(&format!("{}/ping", fleet.traefik.url())).unwrap();
    instances[0].sidecar().signal(Signal::CONT).unwrap();
    assert_eq!(answer.body, "Pong from ping-1\n");
}
