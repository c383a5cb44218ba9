//! Counts: each request once, each failure in its class.

use std::collections::BTreeMap;

use harness::Loopback;
use load::report::{Class, Ended, Report};

use crate::peer::{Deed, Peer};
use crate::run::report;

/// What becomes of request number n.
fn deed(number: u64) -> Deed {
    match number % 20 {
        3 => Deed::Answer(503, "b"),
        6 => Deed::Answer(404, "a"),
        9 => Deed::Close,
        12 => Deed::Reset,
        15 => Deed::Babble,
        18 => Deed::Break,
        even if even.is_multiple_of(2) => Deed::Answer(200, "a"),
        _ => Deed::Answer(204, "b"),
    }
}

fn expected(requests: u64) -> (u64, BTreeMap<Class, u64>) {
    let (mut ok, mut failed) = (0, BTreeMap::new());
    for deed in (0..requests).map(deed) {
        let class = match deed {
            Deed::Answer(status, _) if status < 400 => {
                ok += 1;
                continue;
            }
            Deed::Answer(status, _) if status < 500 => Class::Status4xx,
            Deed::Answer(..) => Class::Status5xx,
            Deed::Last => unreachable!("it is no failure"),
            Deed::Close | Deed::Break => Class::Closed,
            Deed::Reset => Class::Reset,
            Deed::Babble => Class::Protocol,
            Deed::Hang => Class::Timeout,
        };
        *failed.entry(class).or_default() += 1;
    }
    (ok, failed)
}

fn is_exact(peer: &Peer, report: &Report, requests: u64) {
    let (ok, failed) = expected(requests);
    assert_eq!(peer.requests(), requests, "none was sent twice, and none was left out");
    assert_eq!((report.requests, report.ok, report.failed), (requests, ok, requests - ok));
    assert_eq!(report.failures.by_class, failed);
    assert_eq!(report.failures.by_status, BTreeMap::from([(404, requests / 20), (503, requests / 20)]));
    assert_eq!(report.latency.count, ok);
    assert_eq!(report.latency.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), ok);
    assert_eq!(report.timeline.ok.iter().sum::<u64>(), ok);
    let over_time = report.timeline.failed.iter().map(|(class, counts)| (*class, counts.iter().sum()));
    assert_eq!(over_time.collect::<BTreeMap<_, _>>(), failed);
    assert_eq!(report.ended, Ended::Requests);
    // 9 of 10 numbers that are even, and not for a failure, are a's.
    let of = |name: &str| report.instances.iter().find(|one| one.name.as_deref() == Some(name)).unwrap();
    assert_eq!(
        (of("a").failures[&Class::Status4xx], of("b").failures[&Class::Status5xx]),
        (requests / 20, requests / 20)
    );
    assert_eq!(of("a").ok + of("b").ok, ok);
    assert_eq!(of("a").ok_over_time.iter().sum::<u64>(), of("a").ok);
    assert_eq!(report.instances.len(), 2);
}

#[test]
fn every_failure_is_reported_and_none_twice() {
    let peer = Peer::start(deed);
    let (code, report) = report(&[&peer.url(), "--requests", "2000", "--connections", "8"]);
    is_exact(&peer, &report, 2000);
    assert_eq!(code, 0, "nothing was demanded");
    assert_eq!((report.failures.listed.len(), report.failures.unlisted), (600, 0));
    assert!(report.failures.listed.is_sorted_by(|one, next| one.at <= next.at));
    assert!(report.failures.listed.iter().all(|failed| 0.0 < failed.sent && failed.sent <= failed.at));
}

#[test]
fn counts_are_as_exact_at_a_rate_and_with_threads() {
    let peer = Peer::start(deed);
    let args = ["--requests", "1000", "--rate", "1000", "--threads", "3", "--connections", "7"];
    let (_, report) = report(&[&[peer.url().as_str()], &args[..]].concat());
    is_exact(&peer, &report, 1000);
}

#[test]
fn a_list_of_failures_has_an_end_and_their_counts_have_none() {
    let peer = Peer::start(|_| Deed::Answer(500, "a"));
    let (_, report) = report(&[&peer.url(), "--requests", "1500", "--connections", "4"]);
    assert_eq!((report.failed, report.failures.listed.len(), report.failures.unlisted), (1500, 1000, 500));
    assert_eq!(report.timeline.failed[&Class::Status5xx].iter().sum::<u64>(), 1500);
    assert!((report.gaps.longest - report.seconds).abs() < 1e-9, "no answer was good: {:?}", report.gaps);
}

#[test]
fn nobody_who_listens_and_nobody_who_answers_have_their_classes() {
    let nobody = Loopback::new().free().unwrap();
    let args = ["--requests", "20", "--unchecked", "--connections", "4"];
    let (_, refused) = report(&[&[format!("http://{nobody}/").as_str()], &args[..]].concat());
    assert_eq!(refused.failures.by_class, BTreeMap::from([(Class::Refused, 20)]));

    let peer = Peer::start(|number| if number == 2 { Deed::Hang } else { Deed::Answer(200, "a") });
    let (_, late) = report(&[&peer.url(), "--requests", "20", "--timeout", "300ms", "--connections", "2"]);
    assert_eq!(late.failures.by_class, BTreeMap::from([(Class::Timeout, 1)]));
    let failed = &late.failures.listed[0];
    assert!(failed.at - failed.sent >= 0.3, "{failed:?}");

    let args = ["--requests", "2", "--unchecked", "--connections", "1"];
    let (_, unknown) = report(&[&["http://nobody.invalid/"], &args[..]].concat());
    assert_eq!(unknown.failures.by_class, BTreeMap::from([(Class::Dns, 2)]));
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_costs_no_request() {
    let peer = Peer::start(|_| Deed::Last);
    // The next request is due long after the end of the connection has arrived.
    let (_, report) = report(&[&peer.url(), "--requests", "6", "--rate", "5", "--connections", "1"]);
    assert_eq!((report.ok, report.failed, peer.requests()), (6, 0, 6), "{:?}", report.failures);
    assert_eq!((report.connections.opened, report.connections.closed_idle), (6, 5));
}

#[test]
fn of_each_instance_it_is_known_when_the_first_and_the_last_request_was_sent() {
    let peer = Peer::start(|number| match number {
        0..10 => Deed::Answer(200, "a"),
        10 => Deed::Answer(503, "b"),
        _ => Deed::Answer(200, "b"),
    });
    let args = ["--requests", "30", "--rate", "200", "--connections", "1"];
    let (_, report) = report(&[&[peer.url().as_str()], &args[..]].concat());
    let [a, b] = &report.instances[..] else { panic!("{:?}", report.instances) };
    for one in [a, b] {
        assert!(one.first_sent < one.first && one.last_sent < one.last, "{one:?}");
        assert!(one.first_sent < one.last_sent, "{one:?}");
    }
    // By one connection, one after the other: the bad answer is b's first.
    assert!(a.last <= b.first_sent, "{a:?} {b:?}");
    let failed = &report.failures.listed[0];
    assert!((failed.sent, failed.at) == (b.first_sent, b.first), "{failed:?} {b:?}");
}

#[test]
fn without_keep_alive_each_request_has_a_connection() {
    let peer = Peer::good();
    let (_, report) = report(&[&peer.url(), "--requests", "50", "--no-keep-alive"]);
    assert_eq!((report.ok, report.connections.opened, report.connections.closed_idle), (50, 50, 0));
}

#[test]
fn several_urls_have_their_parts() {
    let (one, other) = (Peer::good(), Peer::good());
    let urls = [format!("3:{}", one.url()), format!("1:{}", other.url())];
    let (_, report) = report(&[&urls[0], &urls[1], "--requests", "400"]);
    assert_eq!((one.requests(), other.requests(), report.ok), (300, 100, 400));
}
