//! Several hubs behind one name.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use protocol::{Health, Routing, Withdrawal};
use rustix::process::Signal;

use crate::support::eventually;
use crate::support::hub::{Answer, Request, ScriptedHub};
use crate::support::proc::with_file;
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE};

/// Starts another hub, with the port of `first`.
fn beside(
    first: &ScriptedHub,
    number: u8,
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> ScriptedHub {
    let IpAddr::V4(address) = first.address().ip() else { panic!("IPv4") };
    let [a, b, c, d] = address.octets();
    ScriptedHub::start_at(SocketAddr::from(([a, b, c, d + 80 * number], first.address().port())), script)
}

/// Lines of `/etc/hosts` with the name `hubs.test` for each hub.
fn hosts(hubs: &[&ScriptedHub]) -> String {
    let lines: Vec<_> = hubs.iter().map(|hub| format!("{} hubs.test\n", hub.address().ip())).collect();
    lines.concat()
}

fn run(first: &ScriptedHub, service: &Service) -> Run {
    Run::with(first, service).hub(&format!("http://hubs.test:{}", first.address().port()))
}

fn is_withdrawal(request: &Request) -> bool {
    request.is("DELETE")
}

#[test]
fn task_is_routed_once_every_hub_has_confirmed_and_is_withdrawn_from_all() {
    let confirms = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&confirms);
    let first = ScriptedHub::start(Answer::usual);
    let second = beside(&first, 1, move |request| match request.health() {
        Some(Health::Healthy) if !script.load(Ordering::SeqCst) => Answer::lease(30, Routing::Pending),
        _ => Answer::usual(request),
    });
    let service = Service::healthy();
    let hosts = with_file("two-hubs", "/etc/hosts", &hosts(&[&first, &second]));
    let mut sidecar = run(&first, &service).under(hosts).script(TELLTALE);
    first.asked_with_health(Health::Healthy);
    sidecar.checks(1, "waiting for 1 router(s) to acknowledge");
    confirms.store(true, Ordering::SeqCst);
    sidecar.checks(0, "healthy and routed");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    for hub in [first, second] {
        hub.asked("withdrawal", is_withdrawal);
    }
}

#[test]
fn withdrawal_waits_until_the_routers_of_a_lost_hub_poll_another_one() {
    let confirmed = Arc::new(Mutex::new(vec!["traefik.1".to_owned()]));
    let script = Arc::clone(&confirmed);
    let first = ScriptedHub::start(move |request| match request.health() {
        None => {
            let confirmed = script.lock().unwrap().clone();
            let withdrawal = Withdrawal { confirmed, ..Withdrawal::default() };
            Answer::Say(200, serde_json::to_string(&withdrawal).unwrap())
        }
        Some(_) => Answer::usual(request),
    });
    let second = beside(&first, 1, |request| match request.health() {
        Some(Health::Healthy) => Answer::lease_with(600_000, Routing::Confirmed, 2),
        _ => Answer::usual(request),
    });
    let service = Service::healthy();
    let hosts = with_file("lost-hub", "/etc/hosts", &hosts(&[&first, &second]));
    let mut sidecar = run(&first, &service).under(hosts).script(TELLTALE);
    sidecar.checks(0, "healthy and routed");
    second.die();
    sidecar.logs("connecting: ");
    sidecar.signal(Signal::TERM);
    eventually("repeated withdrawals", || {
        (first.requests().iter().filter(|request| is_withdrawal(request)).count() > 2).then_some(())
    });
    assert_eq!(sidecar.said(), ["ready"], "a router of the lost hub may still use the task");
    confirmed.lock().unwrap().push("traefik.2".to_owned());
    assert_eq!(sidecar.ends().code(), Some(0));
    assert!(!sidecar.logged("withdrawn routers=\"traefik.1,traefik.2\"").is_empty());
}

#[test]
fn new_hub_is_found_and_a_connection_outlasts_its_place_in_dns() {
    let first = ScriptedHub::start(Answer::usual);
    let second = beside(&first, 1, Answer::usual);
    let third = beside(&first, 2, Answer::usual);
    let service = Service::healthy();
    let file = with_file("new-hub", "/etc/hosts", &hosts(&[&first]));
    let path = file[5].clone();
    let sidecar = run(&first, &service).under(file).script(TELLTALE);
    sidecar.checks(0, "healthy and routed");
    fs::write(&path, hosts(&[&first, &second])).unwrap();
    second.asked_with_health(Health::Healthy);
    fs::write(&path, hosts(&[&second, &third])).unwrap();
    third.asked_with_health(Health::Healthy);
    let last = first.requests().last().unwrap().connection;
    assert!(!first.is_closed(last), "its lease is still held");
}
