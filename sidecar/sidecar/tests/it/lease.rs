use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{Health, Routing};
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::hub::{Answer, Event, ScriptedHub, TICKET};
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE};

/// Writes a token file for one test.
fn token_file(test: &str, token: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.{}", std::process::id()));
    fs::write(&file, token).unwrap();
    file
}

#[test]
fn registration_contains_flags_and_labels() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::start(503);
    let before = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let _sidecar = Run::with(&hub, &service)
        .flags([
            "--service",
            "demo_ping",
            "--slot",
            "2",
            "--node",
            "pi-3",
            "--host",
            "ping-2",
            "--port",
            "81",
        ])
        .flags(["--labels", "a=1%262&b=x+y&", "--label", "b=z"])
        .script(TELLTALE);
    let first = hub.asked("registration", |request| request.is("PUT"));
    assert!(first.token.is_none() && !first.waits());
    let registration = first.registration.unwrap();
    assert_eq!(registration.health, Health::Starting);
    assert_eq!(registration.service, "demo_ping");
    assert_eq!((registration.slot.as_deref(), registration.node.as_deref()), (Some("2"), Some("pi-3")));
    assert_eq!((registration.host.as_str(), registration.port.get()), ("ping-2", 81));
    assert_eq!(registration.address, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(registration.labels.0["a"], "1&2");
    assert_eq!(registration.labels.0["b"], "z");
    assert!(registration.started >= before);
    assert_eq!(registration.ticket, None);
    service.becomes(200);
    assert!(hub.asked_with_health(Health::Healthy).waits());
}

#[test]
fn address_flag_overrides_the_address_of_the_connection() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let _sidecar = Run::with(&hub, &service).flags(["--address", "10.1.2.3"]).script(TELLTALE);
    let registration = hub.asked("registration", |request| request.is("PUT")).registration.unwrap();
    assert_eq!(registration.address, IpAddr::from([10, 1, 2, 3]));
}

#[test]
fn hub_is_found_by_name() {
    let hub = ScriptedHub::start_at("127.0.0.1:0".parse().unwrap(), Answer::usual);
    let service = Service::healthy();
    let url = format!("http://localhost:{}", hub.address().port());
    let sidecar = Run::with(&hub, &service).hub(&url).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    sidecar.logs("registered");
}

#[test]
fn heartbeats_use_one_connection() {
    let hub = ScriptedHub::start(|request| match request.health() {
        Some(_) => Answer::lease(60, Routing::Confirmed),
        None => Answer::withdrawn(),
    });
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    eventually("heartbeats", || (hub.requests().len() >= 20).then_some(()));
    let connections: HashSet<_> = hub.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), 1);
    let registrations: Vec<_> =
        hub.requests().into_iter().filter_map(|request| request.registration).collect();
    assert!(registrations.is_sorted_by_key(|registration| registration.age_ms));
    let (first, last) = (&registrations[0], registrations.last().unwrap());
    assert!(first.age_ms < last.age_ms && last.age_ms < 600_000, "{first:?} {last:?}");
    assert_eq!(last.ticket.as_deref(), Some(TICKET));
    assert_eq!(sidecar.logged("routed").len(), 1);
}

#[test]
fn health_change_is_sent_at_once_while_the_lease_is_held() {
    let (hub, _held) = ScriptedHub::holding(|request| request.health() == Some(Health::Healthy));
    let service = Service::healthy();
    let _sidecar = Run::with(&hub, &service).script(TELLTALE);
    let held = hub.asked_with_health(Health::Healthy);
    service.becomes(503);
    let change = hub.asked_with_health(Health::Unhealthy);
    assert_ne!(change.connection, held.connection);
    hub.closed(held.connection);
    let order: Vec<_> = hub
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Answered(connection) if connection == change.connection => Some("answered"),
            Event::Closed(connection) if connection == held.connection => Some("closed"),
            _ => None,
        })
        .take(2)
        .collect();
    assert_eq!(order, ["answered", "closed"]);
    // The next change uses the remaining connection.
    service.becomes(200);
    let again = hub.asked("PUT once healthy again", |request| {
        request.health() == Some(Health::Healthy) && request.connection == change.connection
    });
    assert!(again.waits());
}

#[test]
fn task_registers_again_with_a_restarted_hub() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    let before = hub.asked_with_health(Health::Healthy).registration;
    sidecar.logs("routed");
    let address = hub.address();
    hub.die();
    sidecar.logs("connecting: ");
    let hub = ScriptedHub::start_at(address, Answer::usual);
    let again = hub.asked_with_health(Health::Healthy).registration.unwrap();
    assert_eq!(again.ticket.as_deref(), Some(TICKET), "another hub learns the order of services");
    assert_eq!(again.started, before.unwrap().started);
    eventually("second registration in the log", || (sidecar.logged("registered").len() == 2).then_some(()));
    assert_eq!(sidecar.logged("routed").len(), 1);
}

#[test]
fn rejected_token_is_logged_once_and_read_again_until_it_works() {
    let hub = ScriptedHub::start(|request| match request.token.as_deref() {
        Some("right") => Answer::usual(request),
        _ => Answer::error(401, "unknown token"),
    });
    let service = Service::healthy();
    let file = token_file("refused-token", "wrong\n");
    let sidecar = Run::with(&hub, &service).flags(["--token-file", file.to_str().unwrap()]).script(TELLTALE);
    eventually("retries", || (hub.requests().len() >= 3).then_some(()));
    assert_eq!(hub.requests()[0].token.as_deref(), Some("wrong"));
    fs::write(&file, "right").unwrap();
    hub.asked("right token", |request| request.token.as_deref() == Some("right"));
    sidecar.logs("routed");
    assert_eq!(sidecar.logged("token rejected").len(), 1);
    assert!(sidecar.logged("token rejected")[0].contains("ERROR"));
    assert!(sidecar.logged("wrong").is_empty());
    fs::remove_file(file).unwrap();
}

#[test]
fn refusal_is_logged_once_per_reason() {
    let hub = ScriptedHub::start(|request| {
        let reason =
            if request.health() == Some(Health::Healthy) { "rule is taken" } else { "rule is faulty" };
        Answer::lease(60, Routing::Refused { reason: reason.to_owned() })
    });
    let service = Service::start(503);
    let sidecar = Run::with(&hub, &service).script(TELLTALE);
    eventually("heartbeats", || (hub.requests().len() >= 3).then_some(()));
    service.becomes(200);
    hub.asked_with_health(Health::Healthy);
    let asked = hub.requests().len();
    eventually("heartbeats", || (hub.requests().len() >= asked + 3).then_some(()));
    assert_eq!(sidecar.logged("reason=\"rule is faulty\"").len(), 1);
    assert_eq!(sidecar.logged("reason=\"rule is taken\"").len(), 1);
}

#[test]
fn server_that_is_not_a_hub_is_logged_once_and_does_not_delay_the_stop() {
    for (status, body, like) in [
        (200, "It works!", "invalid response"),
        (404, "Not Found", "status 404"),
        (422, "{\"error\":\"no\"}", "status 422: no"),
        (401, "", "token rejected"),
    ] {
        let hub = ScriptedHub::start(move |_| Answer::Say(status, body.to_owned()));
        let service = Service::healthy();
        let mut sidecar = Run::with(&hub, &service).script(TELLTALE);
        sidecar.says("ready");
        eventually("retries", || (hub.requests().len() >= 3).then_some(()));
        assert_eq!(sidecar.logged(like).len(), 1, "{like}");
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(0));
        // At most one, if a registration was outstanding. It is not repeated.
        assert!(hub.requests().iter().filter(|request| request.is("DELETE")).count() <= 1, "{like}");
    }
}

#[test]
fn tcp_probe_succeeds_once_the_connection_is_accepted() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::start(0);
    let _sidecar = Run::with(&hub, &service).probe(&service.tcp_url()).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
}

#[test]
fn service_that_accepts_but_does_not_respond_is_unhealthy() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--probe-timeout", "50ms"]).script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    service.becomes(0);
    hub.asked_with_health(Health::Unhealthy);
    sidecar.logs("did not respond within 50ms");
}

#[test]
fn rise_and_fall_count_probes_in_a_row() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--rise", "3", "--fall", "4"]);
    let _sidecar = sidecar.script(TELLTALE);
    hub.asked_with_health(Health::Healthy);
    assert!(service.probes() >= 3);
    let before = service.probes();
    service.becomes(500);
    hub.asked_with_health(Health::Unhealthy);
    assert!(service.probes() >= before + 4);
}
