//! Invariant 5: stopping is withdraw, confirmed, SIGTERM, drain, exit. Nobody notices.

use std::time::Duration;

use harness::instance::STOP;
use harness::load::text;
use harness::{Fleet, Load, LoadOptions, Signal, eventually, http};

const SOON: Duration = Duration::from_secs(20);

fn restart_all_under_load(keep_alive: bool) {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 3).unwrap();
    let options = LoadOptions { keep_alive, ..LoadOptions::default() };
    let load = Load::start(format!("{}/ping", fleet.traefik.url()), &options).unwrap();
    for instance in &mut instances {
        load.wait_for_more(100, SOON).unwrap();
        let status = instance.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{}", instance.sidecar().tail());
        instance.sidecar().log().wait_for(" aborted=0", SOON).unwrap();
        load.wait_for_more(100, SOON).unwrap();
        instance.restart().unwrap();
        fleet.wait_routed([instance]).unwrap();
    }
    load.wait_for_more(100, SOON).unwrap();
    let report = load.pass().unwrap();
    assert_eq!(report.instances.len(), 3, "{}", text(&report));
}

#[test]
fn every_instance_restarted_in_turn_fails_no_request_on_kept_connections() {
    restart_all_under_load(true);
}

#[test]
fn every_instance_restarted_in_turn_fails_no_request_on_new_connections() {
    restart_all_under_load(false);
}

#[test]
fn withdrawn_task_is_not_told_to_stop_before_the_router_has_confirmed() {
    let mut fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    let instance = &mut instances[0];
    let service = instance.service().unwrap();
    // A router that stands still confirms nothing, and may still send requests.
    fleet.traefik.process().signal(Signal::STOP).unwrap();
    instance.sidecar().signal(Signal::TERM).unwrap();
    eventually(SOON, || {
        fleet.hub.instances().map(|list| list.is_empty())?.then_some(()).ok_or(anyhow::anyhow!("listed"))
    })
    .unwrap();
    assert!(service.is_alive());
    assert_eq!(http::get(&instance.url()).unwrap().status, 200, "it serves as before");
    assert_eq!(
        http::get(&format!("{}/readyz", instance.admin_url())).unwrap().status,
        200,
        "it was told nothing"
    );
    fleet.traefik.process().signal(Signal::CONT).unwrap();
    let status = instance.sidecar().wait(STOP).unwrap();
    assert_eq!(status.code(), Some(0), "{}", instance.sidecar().tail());
    assert!(!service.is_alive());
    assert!(!fleet.traefik.api().servers().unwrap().contains(&instance.url()));
}

#[test]
fn withdrawal_that_nobody_confirms_ends_with_its_time_out() {
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
