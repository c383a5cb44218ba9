//! Invariant 4: withdraw, confirmation by every router, SIGTERM, drain, exit. A restart fails no request.

use harness::instance::STOP;
use harness::load::text;
use harness::{Fleet, Load, LoadOptions, Signal, TIMEOUT, eventually, http};

fn restart_all_under_load(keep_alive: bool) {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 3).unwrap();
    let options = LoadOptions { keep_alive, ..LoadOptions::default() };
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options).unwrap();
    for instance in &mut instances {
        load.wait_for_more(100, TIMEOUT).unwrap();
        let status = instance.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{}", instance.sidecar().tail());
        instance.sidecar().log().wait_for(" aborted=0", TIMEOUT).unwrap();
        load.wait_for_more(100, TIMEOUT).unwrap();
        instance.restart().unwrap();
        fleet.wait_routed([instance]).unwrap();
    }
    load.wait_for_more(100, TIMEOUT).unwrap();
    let report = load.pass().unwrap();
    assert_eq!(report.instances.len(), 3, "{}", text(&report));
}

#[test]
fn rolling_restart_fails_no_request_on_kept_connections() {
    restart_all_under_load(true);
}

#[test]
fn rolling_restart_fails_no_request_on_new_connections() {
    restart_all_under_load(false);
}

#[test]
fn service_gets_no_stop_signal_before_the_router_confirms_the_withdrawal() {
    let mut fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    let instance = &mut instances[0];
    let service = instance.service().unwrap();
    // A paused router confirms nothing, and may still send requests later.
    fleet.traefik.process().signal(Signal::STOP).unwrap();
    instance.sidecar().signal(Signal::TERM).unwrap();
    eventually(TIMEOUT, || {
        anyhow::ensure!(fleet.hub.instances()?.is_empty(), "still listed");
        Ok(())
    })
    .unwrap();
    assert!(service.is_alive());
    assert_eq!(http::get(&instance.url()).unwrap().status, 200, "the service still answers");
    assert_eq!(
        http::get(&format!("{}/readyz", instance.admin_url())).unwrap().status,
        200,
        "the service got no signal"
    );
    fleet.traefik.process().signal(Signal::CONT).unwrap();
    let status = instance.sidecar().wait(STOP).unwrap();
    assert_eq!(status.code(), Some(0), "{}", instance.sidecar().tail());
    assert!(!service.is_alive());
    assert!(!fleet.traefik.api().servers().unwrap().contains(&instance.url()));
}

#[test]
fn unconfirmed_withdrawal_ends_after_its_timeout() {
    let mut fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.sidecar_arguments = ["--withdraw-timeout", "300ms"].map(str::to_owned).to_vec();
    let mut instance = fleet.launch(spec).unwrap();
    fleet.wait_routed([&mut instance]).unwrap();
    fleet.traefik.process().signal(Signal::STOP).unwrap();
    let status = instance.stop();
    fleet.traefik.process().signal(Signal::CONT).unwrap();
    assert_eq!(status.unwrap().code(), Some(0), "{}", instance.sidecar().tail());
}
