use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use harness::process;
use protocol::{Health, Routing};
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::hub::{Answer, ScriptedHub};
use crate::support::proc::unshare;
use crate::support::service::Service;
use crate::support::sidecar::{BINARY, Run, TELLTALE, healthcheck};

#[test]
fn check_succeeds_once_routed_and_then_ignores_the_hub() {
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
    sidecar.checks(1, "responded with status 503");
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
    // A failure would make Swarm send the second signal.
    sidecar.checks(0, "stopping");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.healthcheck(), (Some(1), "no sidecar is running with this environment".to_owned()));
}

#[test]
fn check_of_a_service_without_router_labels_succeeds_without_a_route() {
    let hub = ScriptedHub::start(|_| Answer::lease(3000, Routing::Unrouted));
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.checks(0, "healthy");
}

#[test]
fn check_of_a_refused_service_fails_with_the_reason_even_after_the_timeout() {
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
    assert!(sidecar.logged("no router has polled").is_empty());
}

#[test]
fn container_whose_check_never_succeeded_exits_with_a_failure() {
    let hub =
        ScriptedHub::start(|_| Answer::lease(3000, Routing::Refused { reason: "rule is taken".to_owned() }));
    let service = Service::healthy();
    let mut stopped = Run::with(&hub, &service).under(*unshare()).script(TELLTALE);
    stopped.says("ready");
    stopped.logs("refuses to route");
    stopped.signal(Signal::TERM);
    assert_eq!(stopped.ends().code(), Some(1));
    assert_eq!(stopped.said(), ["ready", "TERM"]);
    // The command's own failures keep their codes.
    for (script, code) in [("exit 0", 1), ("exit 3", 3)] {
        let mut exited = Run::with(&hub, &service).under(*unshare()).script(script);
        assert_eq!(exited.ends().code(), Some(code), "{script}");
    }
}

#[test]
fn check_names_the_hub_that_cannot_be_reached() {
    let service = Service::healthy();
    let sidecar = Run::new().hub("http://127.0.0.1:1").probe(&service.url()).script(TELLTALE);
    sidecar.checks(1, "healthy, but not yet routed: hub http://127.0.0.1:1: connecting: ");
}

#[test]
fn check_succeeds_after_the_timeout_with_one_warning_if_no_router_polls() {
    let hub = ScriptedHub::start(|request| match request.health() {
        None => Answer::withdrawn(),
        Some(_) => Answer::lease_with(30, Routing::Pending, 0),
    });
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--routed-timeout", "100ms"]).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    sidecar.checks(0, "healthy, but not routed: no router polls the hub");
    sidecar.logs("no router has polled the hub for 100ms");
    let asked = hub.requests().len();
    eventually("heartbeats", || (hub.requests().len() >= asked + 3).then_some(()));
    assert_eq!(sidecar.logged("no router has polled").len(), 1);
    assert!(sidecar.logged("no router has polled")[0].contains("WARN"));
    sidecar.checks(0, "no router polls the hub");
}

/// No timeout makes the check succeed while the hub grants no lease, or while a router that polls lags behind.
#[test]
fn check_fails_for_as_long_as_the_hub_confirms_no_route() {
    for (status, body, reason) in [
        (401, "{}", "token rejected"),
        (500, "{\"error\":\"broken\"}", "status 500: broken"),
        (404, "Not Found", "status 404"),
        (200, "It works!", "invalid response"),
        (200, "{\"generation\":1,\"ttl_ms\":30,\"routing\":{\"state\":\"confirmed\"}}", "missing field"),
        (
            200,
            "{\"generation\":1,\"ttl_ms\":30,\"routing\":{\"state\":\"pending\"},\"routers\":[\"a\",\"b\"]}",
            "waiting for 2 router(s)",
        ),
    ] {
        let hub = ScriptedHub::start(move |_| Answer::Say(status, body.to_owned()));
        let service = Service::healthy();
        let sidecar = Run::with(&hub, &service).flags(["--routed-timeout", "1ms"]).script(TELLTALE);
        hub.asked_with_health(Health::Healthy);
        eventually("retries", || (hub.requests().len() >= 4).then_some(()));
        sidecar.checks(1, "healthy, but not yet routed: ");
        sidecar.checks(1, reason);
    }
}

#[test]
fn later_refusal_does_not_turn_a_green_task_red() {
    let is_refused = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&is_refused);
    let hub = ScriptedHub::start(move |_| {
        let refused = Routing::Refused { reason: "rule is taken".to_owned() };
        Answer::lease(30, if script.load(Ordering::SeqCst) { refused } else { Routing::Confirmed })
    });
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.checks(0, "healthy and routed");
    is_refused.store(true, Ordering::SeqCst);
    sidecar.logs("the hub refuses to route the service");
    assert_eq!(sidecar.healthcheck(), (Some(0), "healthy and routed".to_owned()));
}

#[test]
fn without_a_hub_the_check_probes_the_service() {
    let service = Service::healthy();
    let check = |url: &str| healthcheck("none", None, &["--probe", url]);
    assert_eq!(check(&service.url()), (Some(0), "healthy".to_owned()));
    assert_eq!(check(&service.tcp_url()), (Some(0), "healthy".to_owned()));
    service.becomes(503);
    assert_eq!(check(&service.url()).0, Some(1));
    assert!(check(&service.url()).1.ends_with("responded with status 503"));
}

#[test]
fn second_sidecar_with_the_same_task_name_logs_a_warning() {
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
fn sidecar_without_a_task_name_is_found_by_its_pid_namespace() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    // The service name distinguishes it from other sidecars in this PID namespace.
    let name = format!("nameless.{}", std::process::id());
    let run = Run::with(&hub, &service).task("").flags(["--service", &name]);
    let _sidecar = run.script(TELLTALE);
    eventually("successful check", || {
        let mut check = process::command(BINARY);
        check.args(["healthcheck", "--service", &name, "--hub", &hub.url()]);
        process::run(&mut check).unwrap().status.success().then_some(())
    });
}
