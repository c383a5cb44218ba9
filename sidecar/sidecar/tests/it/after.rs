use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::Loopback;
use protocol::HEARTBEAT;
use rustix::process::Signal;

use crate::support::hub::{Answer, Event, ScriptedHub};
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE};

#[test]
fn service_starts_once_the_address_accepts_connections() {
    let address = Loopback::new().free().unwrap();
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let mut sidecar = Run::with(&hub, &service).flags(["--after", &address.to_string()]).script(TELLTALE);
    sidecar.logs(&format!("waiting before the service starts after={address}"));
    sidecar.checks(1, &format!("starting: waiting for {address}: connection refused"));
    assert!(sidecar.said().is_empty() && hub.events().is_empty(), "started or registered");
    let _listener = TcpListener::bind(address).unwrap();
    sidecar.says("ready");
    sidecar.checks(0, "healthy and routed");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
}

#[test]
fn service_starts_once_a_hub_says_that_the_other_one_is_routed() {
    let routed = Arc::new(AtomicBool::new(false));
    let script = Arc::clone(&routed);
    let hub = ScriptedHub::start(move |request| match &*request.uri {
        "/v1/routed/demo_a%20b" => {
            Answer::Say(200, format!(r#"{{"routed":{}}}"#, script.load(Ordering::SeqCst)))
        }
        _ => Answer::usual(request),
    });
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--after", "demo_a b"]).script(TELLTALE);
    sidecar.checks(1, "starting: waiting for service demo_a b: not routed");
    let asks = hub.events().iter().all(|event| match event {
        Event::Asked(request) => request.is("GET") && request.uri != HEARTBEAT,
        _ => true,
    });
    assert!(asks && sidecar.said().is_empty());
    routed.store(true, Ordering::SeqCst);
    sidecar.says("ready");
}

#[test]
fn stop_signal_ends_the_wait_at_once() {
    for (run, code) in [(Run::alone(), 143), (Run::new(), 143)] {
        let mut sidecar = run.flags(["--after", "127.0.0.1:1"]).script(TELLTALE);
        sidecar.logs("waiting before the service starts");
        sidecar.signal(Signal::USR1);
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(code));
        assert!(sidecar.said().is_empty());
    }
}

#[test]
fn wait_has_an_end() {
    let flags = ["--after", "db", "--after-timeout", "1s"];
    let mut sidecar = Run::alone().flags(flags).script(TELLTALE);
    sidecar.logs(
        "the service is not started, since --after service db did not hold within 1s: hub at 127.0.0.1: ",
    );
    assert_eq!(sidecar.ends().code(), Some(1));
    let mut sidecar = Run::new().flags(flags).script(TELLTALE);
    sidecar.logs("--after SERVICE needs --hub");
    assert_eq!(sidecar.ends().code(), Some(64));
}
