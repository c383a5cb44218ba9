use std::sync::{Arc, Mutex};

use protocol::{Health, Routing};
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::hub::{Answer, ScriptedHub};
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE, healthcheck};

#[test]
fn green_means_healthy_and_routed_whatever_becomes_of_the_hub() {
    let routing = Arc::new(Mutex::new(Routing::Pending));
    let script = Arc::clone(&routing);
    let hub = ScriptedHub::start(move |request| match request.health() {
        None => Answer::Hold(std::sync::mpsc::channel().1),
        Some(_) => Answer::lease(30, script.lock().unwrap().clone()),
    });
    let service = Service::start(503);
    let mut sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.says("ready");
    sidecar.checks(1, "starting: ");
    sidecar.checks(1, "was answered with status 503");
    service.becomes(200);
    sidecar.checks(1, "healthy, but not yet routed");
    *routing.lock().unwrap() = Routing::Confirmed;
    sidecar.checks(0, "healthy and routed");
    hub.die();
    sidecar.logs("connecting: ");
    assert_eq!(sidecar.healthcheck(), (Some(0), "healthy and routed".to_owned()));
    service.becomes(500);
    sidecar.checks(1, "unhealthy: ");
    service.becomes(200);
    sidecar.checks(0, "healthy and routed");
    sidecar.signal(Signal::TERM);
    sidecar.checks(1, "stopping");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.healthcheck(), (Some(1), "no sidecar runs here with this environment".to_owned()));
}

#[test]
fn a_service_that_asks_for_no_route_is_green_without_one() {
    let hub = ScriptedHub::start(|_| Answer::lease(3000, Routing::Unrouted));
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.checks(0, "healthy");
}

#[test]
fn a_refused_service_is_told_why_and_is_not_green_after_any_wait() {
    let reason = || Routing::Refused { reason: "rule is taken".to_owned() };
    let hub = ScriptedHub::start(move |_| Answer::lease(30, reason()));
    let service = Service::start(503);
    let sidecar = Run::with(&hub, &service).flags(["--routed-timeout", "1ms"]).script(TELLTALE);
    sidecar.logs("refuses to route");
    service.becomes(200);
    hub.asked_with_health(Health::Healthy);
    let asked = hub.requests().len();
    eventually("heartbeats", || (hub.requests().len() >= asked + 3).then_some(()));
    assert_eq!(sidecar.healthcheck(), (Some(1), "healthy, but refused: rule is taken".to_owned()));
    assert!(sidecar.logged("still not routed").is_empty());
}

#[test]
fn an_unreachable_hub_is_named() {
    let service = Service::healthy();
    let sidecar = Run::new().hub("http://127.0.0.1:1").probe(&service.url()).script(TELLTALE);
    sidecar.checks(1, "healthy, but not yet routed: hub http://127.0.0.1:1: connecting: ");
}

#[test]
fn the_wait_for_a_route_ends_with_one_warning() {
    let hub = ScriptedHub::start(|request| match request.health() {
        None => Answer::withdrawn(),
        Some(_) => Answer::lease(30, Routing::Pending),
    });
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--routed-timeout", "100ms"]).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    sidecar.checks(0, "still not routed");
    sidecar.logs("still not routed");
    sidecar.checks(0, "still not routed");
    assert_eq!(sidecar.logged("still not routed").len(), 1);
    assert!(sidecar.logged("still not routed")[0].contains("WARN"));
}

#[test]
fn without_a_hub_the_service_itself_is_probed() {
    let service = Service::healthy();
    let check = |url: &str| healthcheck("none", None, &["--probe", url]);
    assert_eq!(check(&service.url()), (Some(0), "healthy".to_owned()));
    assert_eq!(check(&service.tcp_url()), (Some(0), "healthy".to_owned()));
    service.becomes(503);
    assert_eq!(check(&service.url()).0, Some(1));
    assert!(check(&service.url()).1.ends_with("was answered with status 503"));
}

#[test]
fn two_sidecars_with_one_name_are_told_so() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let task = format!("twin.{}", std::process::id());
    let first = Run::with(&hub, &service).flags(["--task", &task]).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    let second = Run::with(&hub, &service).flags(["--task", &task]).script(TELLTALE);
    second.logs("another sidecar answers health checks here");
    drop(first);
    eventually("end of the first", || {
        (healthcheck(&task, Some(&hub.url()), &[]).1.starts_with("no sidecar")).then_some(())
    });
}

#[test]
fn a_task_without_a_name_is_found_by_its_namespace() {
    use crate::support::sidecar::{BINARY, plain};

    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    // The name of the service sets it apart from other sidecars in this PID namespace.
    let name = format!("nameless.{}", std::process::id());
    let run = Run::with(&hub, &service).flags(["--task", "", "--service", &name]);
    let _sidecar = run.script(TELLTALE);
    eventually("green", || {
        let mut check = plain(BINARY);
        check.args(["healthcheck", "--service", &name, "--hub", &hub.url()]);
        check.output().unwrap().status.success().then_some(())
    });
}
