//! Never more than it was told.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Deed, Peer};
use crate::run::report;

#[test]
fn there_are_no_more_connections_than_it_was_told() {
    let peer = Peer::start(|number| {
        // Some connections have to be made anew.
        if number % 7 == 0 { Deed::Close } else { Deed::Answer(200, "a") }
    });
    for args in [&["--requests", "500"][..], &["--requests", "200", "--rate", "2000"]] {
        report(&[&[peer.url().as_str(), "--connections", "3"], args].concat());
    }
    // The one that it finds out by whether there is somebody, and one that the server has not seen the end of.
    assert!(peer.most_connections() <= 5, "{}", peer.most_connections());
}

#[test]
fn at_a_rate_all_is_sent_when_it_is_due_and_not_before() {
    let peer = Peer::good();
    // Nothing is due before it is started.
    let begun = Instant::now();
    let (_, report) = report(&[&peer.url(), "--rate", "200", "--for", "2s"]);
    let late = report.late.unwrap();
    assert_eq!((report.ok + report.failed, late.unsent), (400, 0));
    for (number, at) in (0_u32..).zip(&peer.times()) {
        let due = Duration::from_millis(5) * number;
        assert!(*at - begun >= due, "request {number} after {:?}, due after {due:?}", *at - begun);
    }
}

#[test]
fn in_a_ramp_the_rate_rises() {
    let peer = Peer::good();
    let (_, report) = report(&[&peer.url(), "--rate", "300", "--for", "2s", "--ramp", "2s"]);
    assert_eq!(report.requests, 300, "half of the rate, in the mean");
    assert!(report.timeline.ok[0] < report.timeline.ok[1], "{:?}", report.timeline.ok);
}

#[test]
fn latency_at_a_rate_is_from_when_a_request_was_due() {
    const STALL: Duration = Duration::from_millis(400);
    let peer = Peer::start(|number| {
        if number == 0 {
            thread::sleep(STALL);
        }
        Deed::Answer(200, "a")
    });
    // One is due each 10 ms, and the only connection waits for the first one's answer.
    let args = [&peer.url(), "--rate", "100", "--requests", "40", "--connections", "1"];
    let (_, report) = report(&args);
    assert_eq!(report.ok, 40);
    let late = report.late.unwrap();
    assert!(late.waited >= 30, "{late:?}");
    // Those that were due in the first half of the stall have waited for the other one.
    assert!(report.latency.p50 >= 0.15 && report.latency.max >= 0.4, "{:?}", report.latency);
    assert!(report.gaps.longest >= 0.4, "{:?}", report.gaps);
    assert!(report.warnings.iter().any(|warning| warning.contains("waited for a connection")));
}
