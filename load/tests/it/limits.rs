use std::thread;
use std::time::{Duration, Instant};

use harness::TIMEOUT;

use crate::run::{Running, report};
use crate::server::{Action, TestServer};

#[test]
fn connections_do_not_exceed_the_maximum() {
    let server = TestServer::start(|number| {
        // Some connections have to be replaced.
        if number % 7 == 0 { Action::Close } else { Action::Respond(200, "a") }
    });
    for args in [&["--requests", "500"][..], &["--requests", "200", "--rate", "2000"]] {
        report(&[&[server.url().as_str(), "--connections", "3"], args].concat());
    }
    // Plus the connection before the run, and one whose end the server has not noticed yet.
    assert!(server.max_connections() <= 5, "{}", server.max_connections());
}

#[test]
fn requests_at_a_rate_are_never_early_and_all_are_sent() {
    let server = TestServer::ok();
    let begun = Instant::now();
    let (_, report) = report(&[&server.url(), "--rate", "200", "--duration", "2s"]);
    assert_eq!((report.ok, report.failed), (400, 0));
    for (number, at) in (0_u32..).zip(&server.times()) {
        let due = Duration::from_millis(5) * number;
        assert!(*at - begun >= due, "request {number} after {:?}, due after {due:?}", *at - begun);
    }
}

#[test]
fn rate_rises_during_the_ramp() {
    let server = TestServer::ok();
    let (_, report) = report(&[&server.url(), "--rate", "300", "--duration", "2s", "--ramp", "2s"]);
    assert_eq!(report.requests, 300, "half the rate on average");
    assert!(report.timeline.ok[0] < report.timeline.ok[1], "{:?}", report.timeline.ok);
}

#[test]
fn latency_at_a_rate_is_measured_from_the_due_time() {
    const STALL: Duration = Duration::from_millis(400);
    let server = TestServer::start(|number| {
        if number == 0 {
            thread::sleep(STALL);
        }
        Action::Respond(200, "a")
    });
    // A request is due every 10 ms, while the only connection waits for the first response.
    let args = [&server.url(), "--rate", "100", "--requests", "40", "--connections", "1"];
    let (_, report) = report(&args);
    assert_eq!(report.ok, 40);
    let late = report.late.unwrap();
    assert!(late.waited >= 30, "{late:?}");
    // Requests due in the first half of the stall wait for at least its second half.
    assert!(report.latency.p50 >= 0.15 && report.latency.max >= 0.4, "{:?}", report.latency);
    assert!(report.outages.longest >= 0.4, "{:?}", report.outages);
    assert!(report.warnings.iter().any(|warning| warning.contains("waited for a connection")));
}

#[test]
fn stall_of_the_load_generator_is_marked_and_is_no_outage() {
    const STALL: Duration = Duration::from_millis(600);
    let server = TestServer::ok();
    let args = ["--rate", "200", "--requests", "400", "--connections", "16", "--quiet"];
    let mut load = Running::start(&[&[server.url().as_str()], &args[..]].concat());
    server.wait_for(40, TIMEOUT);
    load.pause(STALL);
    let (_, report) = load.end();
    assert_eq!(report.ok, 400, "{:?}", report.failures);
    let longest = report.stalls.iter().map(|stall| stall.to - stall.from).fold(0.0, f64::max);
    assert!(longest >= STALL.as_secs_f64(), "{:?}", report.stalls);
    assert!(report.outages.longest < 0.5, "{:?}", report.outages);
    let late = report.late.unwrap();
    // Those that were due during the stall. Others may have waited on a busy machine.
    assert!(late.count >= 100 && late.waited < late.count / 10, "{late:?}");
    assert!(report.warnings[0].starts_with("the load generator did not run"), "{:?}", report.warnings);
}
