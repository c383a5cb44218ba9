//! Traefik that is paused during an update or a stop. A pause delays requests and fails none.

use std::time::Duration;

use harness::instance::STOP;
use harness::{Fleet, Load, LoadOptions, Signal, TIMEOUT, eventually};

/// Starts load whose requests outlast a pause.
fn patient_load(fleet: &Fleet) -> Load {
    let options = LoadOptions {
        rate: 100,
        connections: 512,
        timeout: Duration::from_mins(1),
        ..LoadOptions::default()
    };
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options).unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    load
}

#[test]
fn traefik_paused_during_an_update_fails_no_request() {
    let mut fleet = Fleet::start().unwrap();
    let mut old = fleet.start_all("ping", 1).unwrap();
    let load = patient_load(&fleet);
    fleet.traefik.process().signal(Signal::STOP).unwrap();
    let mut new = fleet.launch(fleet.spec("ping", "ping-2").unwrap()).unwrap();
    // The new instance is not routed yet, so the old one stays.
    eventually(TIMEOUT, || {
        fleet.hub.instances().unwrap().iter().any(|one| one["health"] == "healthy" && one["host"] == "ping-2")
    })
    .unwrap();
    let listed = fleet.hub.instances().unwrap();
    assert!(
        listed.iter().all(|one| one["host"] != "ping-2" || one["routing"]["state"] == "pending"),
        "{listed:?}"
    );
    fleet.traefik.process().signal(Signal::CONT).unwrap();
    fleet.wait_routed([&mut new]).unwrap();
    old[0].stop().unwrap();
    load.wait_for_more(100, TIMEOUT).unwrap();
    load.pass().unwrap();
}

#[test]
fn traefik_paused_during_a_stop_fails_no_request() {
    let mut fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 2).unwrap();
    let load = patient_load(&fleet);
    fleet.traefik.process().signal(Signal::STOP).unwrap();
    instances[0].sidecar().signal(Signal::TERM).unwrap();
    eventually(TIMEOUT, || fleet.hub.instances().unwrap().len() == 1).unwrap();
    fleet.traefik.process().signal(Signal::CONT).unwrap();
    let status = instances[0].sidecar().wait(STOP).unwrap();
    assert_eq!(status.code(), Some(0), "{}", instances[0].sidecar().tail());
    load.wait_for_more(100, TIMEOUT).unwrap();
    load.pass().unwrap();
}
