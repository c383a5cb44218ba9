use std::time::{Duration, Instant};

use protocol::Health;
use rustix::process::Signal;

use crate::support::hub::{Answer, Request, ScriptedHub};
use crate::support::service::Service;
use crate::support::sidecar::{Run, STUBBORN, Sidecar, TELLTALE};

fn is_withdrawal(request: &Request) -> bool {
    request.is("DELETE")
}

/// Runs `script` until it is routed.
fn routed(run: Run, hub: &ScriptedHub, script: &str) -> Sidecar {
    let sidecar = run.script(script);
    sidecar.says("ready");
    hub.asked_with_health(Health::Healthy);
    sidecar.logs("routed");
    sidecar
}

/// Waits until the service has received all earlier signals, by sending one more.
fn sync(sidecar: &Sidecar) {
    sidecar.signal(Signal::USR1);
    sidecar.says("USR1");
}

#[test]
fn service_gets_the_stop_signal_only_after_the_acknowledgement() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT")] {
        let (hub, held) = ScriptedHub::holding(is_withdrawal);
        let service = Service::healthy();
        let mut sidecar = routed(Run::with(&hub, &service), &hub, TELLTALE);
        sidecar.signal(signal);
        let delete = hub.asked("withdrawal", is_withdrawal);
        assert!(delete.uri.starts_with("/v1/instances/test.") && delete.waits(), "{}", delete.uri);
        sync(&sidecar);
        assert_eq!(sidecar.said(), ["ready", "USR1"]);
        held.answer();
        assert_eq!(sidecar.ends().code(), Some(0));
        assert_eq!(sidecar.said(), ["ready", "USR1", name]);
        assert!(!sidecar.logged("withdrawn routers=\"traefik\"").is_empty());
    }
}

#[test]
fn lease_is_held_during_the_withdrawal() {
    let (hub, held) = ScriptedHub::holding(is_withdrawal);
    let service = Service::healthy();
    let mut sidecar = routed(Run::with(&hub, &service), &hub, TELLTALE);
    sidecar.signal(Signal::TERM);
    hub.asked("withdrawal", is_withdrawal);
    let last = hub.requests().iter().rev().find(|request| request.is("PUT")).unwrap().connection;
    sync(&sidecar);
    assert!(!hub.is_closed(last));
    held.answer();
    sidecar.ends();
    hub.closed(last);
}

#[test]
fn outstanding_registration_does_not_delay_the_withdrawal_and_holds_the_lease() {
    let (hub, held) = ScriptedHub::holding(|request| request.is("DELETE") || request.waits());
    let service = Service::healthy();
    let mut sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.says("ready");
    let put = hub.asked_with_health(Health::Healthy);
    sidecar.signal(Signal::TERM);
    let delete = hub.asked("withdrawal", is_withdrawal);
    assert!(delete.waits() && delete.connection != put.connection);
    sync(&sidecar);
    assert!(!hub.is_closed(put.connection));
    held.answer();
    assert_eq!(sidecar.ends().code(), Some(0));
    hub.closed(put.connection);
}

#[test]
fn second_stop_signal_skips_the_wait_and_third_kills() {
    let (hub, _held) = ScriptedHub::holding(is_withdrawal);
    let service = Service::healthy();
    let mut sidecar = routed(Run::with(&hub, &service), &hub, STUBBORN);
    sidecar.signal(Signal::TERM);
    hub.asked("withdrawal", is_withdrawal);
    sidecar.signal(Signal::INT);
    sidecar.says("INT");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
    assert_eq!(sidecar.said(), ["ready", "INT"]);
}

#[test]
fn without_a_withdrawal_two_stop_signals_are_forwarded_and_the_third_kills() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::start(503);
    let mut sidecar = Run::with(&hub, &service).script(STUBBORN);
    sidecar.says("ready");
    sidecar.signal(Signal::TERM);
    sidecar.says("TERM");
    sidecar.signal(Signal::INT);
    sidecar.says("INT");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
    assert_eq!(sidecar.said(), ["ready", "TERM", "INT"]);
}

#[test]
fn service_that_does_not_exit_is_killed_after_the_grace_period() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let mut sidecar = routed(Run::with(&hub, &service).flags(["--grace", "300ms"]), &hub, STUBBORN);
    sidecar.signal(Signal::TERM);
    sidecar.says("TERM");
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
    assert_eq!(sidecar.logged("did not exit within --grace").len(), 1);
}

#[test]
fn withdrawal_is_repeated_when_the_hub_restarts() {
    let (hub, _held) = ScriptedHub::holding(is_withdrawal);
    let service = Service::healthy();
    let mut sidecar = routed(Run::with(&hub, &service), &hub, TELLTALE);
    sidecar.signal(Signal::TERM);
    hub.asked("withdrawal", is_withdrawal);
    let address = hub.address();
    hub.die();
    sidecar.logs("retrying the withdrawal");
    sync(&sidecar);
    assert_eq!(sidecar.said(), ["ready", "USR1"]);
    let hub = ScriptedHub::start_at(address, Answer::usual);
    assert!(hub.asked("second withdrawal", is_withdrawal).waits());
    assert_eq!(sidecar.ends().code(), Some(0));
    assert!(!sidecar.logged("withdrawn routers").is_empty());
}

/// The service serves until the end of the timeout, and both ends of that time are logged.
#[track_caller]
fn serves_for_the_timeout(mut sidecar: Sidecar, timeout: Duration, problem: &str) {
    let start = Instant::now();
    sidecar.signal(Signal::TERM);
    sidecar.says("TERM");
    assert!(start.elapsed() >= timeout, "{problem}: after {:?}", start.elapsed());
    assert_eq!(sidecar.ends().code(), Some(0));
    let kept = sidecar.logged("not withdrawn; the service keeps serving for up to ");
    assert_eq!(kept.len(), 1, "{problem}");
    assert!(kept[0].contains("WARN") && kept[0].contains(problem), "{problem}: {kept:?}");
    assert_eq!(sidecar.logged("not withdrawn in time; stopping the service").len(), 1, "{problem}");
}

const WITHDRAW_TIMEOUT: Duration = Duration::from_millis(900);
const WITHDRAW_FLAGS: [&str; 2] = ["--withdraw-timeout", "900ms"];

#[test]
fn missing_hub_keeps_the_service_serving_for_the_timeout() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let sidecar = routed(Run::with(&hub, &service).flags(WITHDRAW_FLAGS), &hub, TELLTALE);
    hub.die();
    sidecar.logs("connecting: ");
    serves_for_the_timeout(sidecar, WITHDRAW_TIMEOUT, "connection refused");
}

#[test]
fn hub_that_rejects_the_withdrawal_keeps_the_service_serving_for_the_timeout() {
    for (status, problem) in [(401, "token rejected"), (503, "status 503"), (404, "status 404")] {
        let hub = ScriptedHub::start(move |request| match request.health() {
            None => Answer::error(status, "no"),
            Some(_) => Answer::usual(request),
        });
        let service = Service::healthy();
        let sidecar = routed(Run::with(&hub, &service).flags(WITHDRAW_FLAGS), &hub, TELLTALE);
        serves_for_the_timeout(sidecar, WITHDRAW_TIMEOUT, problem);
    }
}

#[test]
fn routers_that_did_not_acknowledge_are_logged() {
    let hub = ScriptedHub::start(|request| match request.health() {
        None => Answer::Say(200, r#"{"confirmed":["a"],"pending":["b","c"]}"#.to_owned()),
        Some(_) => Answer::usual(request),
    });
    let service = Service::healthy();
    let run = Run::with(&hub, &service).flags(["--withdraw-timeout", "400ms"]);
    let mut sidecar = routed(run, &hub, TELLTALE);
    sidecar.signal(Signal::TERM);
    // A hub that stops responds early. Its successor may know more.
    sidecar.logs("not withdrawn; the service keeps serving");
    assert_eq!(sidecar.ends().code(), Some(0));
    assert!(hub.requests().iter().filter(|request| is_withdrawal(request)).count() > 1);
    assert_eq!(sidecar.logged("not acknowledged by all routers in time routers=\"b,c\"").len(), 1);
}

#[test]
fn service_that_was_never_healthy_is_stopped_at_once() {
    let (hub, held) = ScriptedHub::holding(is_withdrawal);
    let service = Service::start(503);
    let mut sidecar = Run::with(&hub, &service).script(TELLTALE);
    sidecar.says("ready");
    hub.asked_with_health(Health::Starting);
    sidecar.signal(Signal::TERM);
    sidecar.says("TERM");
    // Only now the hub is told, without a wait.
    assert!(!hub.asked("last withdrawal", is_withdrawal).waits());
    drop(held);
    assert_eq!(sidecar.ends().code(), Some(0));
}

#[test]
fn service_that_exits_by_itself_is_withdrawn_without_a_wait() {
    // Even if the hub does not respond any more.
    let (hub, _held) = ScriptedHub::holding(|request| request.health() != Some(Health::Starting));
    let service = Service::healthy();
    let mut sidecar = Run::with(&hub, &service).script("trap 'exit 9' USR1; echo ready; sleep 1000 & wait");
    sidecar.says("ready");
    let put = hub.asked_with_health(Health::Healthy);
    sidecar.signal(Signal::USR1);
    assert!(!hub.asked("last withdrawal", is_withdrawal).waits());
    assert_eq!(sidecar.ends().code(), Some(9));
    hub.closed(put.connection);
}

#[test]
fn ctrl_c_in_a_terminal_that_is_not_stdin_reaches_the_service_only_after_the_withdrawal() {
    let (hub, held) = ScriptedHub::holding(is_withdrawal);
    let service = Service::healthy();
    let mut sidecar = routed(
        Run::with(&hub, &service).in_terminal().under(["sh", "-c", "exec \"$@\" </dev/null", "sh"]),
        &hub,
        TELLTALE,
    );
    sidecar.types(b"\x03");
    hub.asked("withdrawal", is_withdrawal);
    sync(&sidecar);
    let told = |sidecar: &Sidecar| sidecar.said().iter().any(|line| line == "INT");
    assert!(!told(&sidecar));
    held.answer();
    assert_eq!(sidecar.ends().code(), Some(0));
    assert!(told(&sidecar));
}
