use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;

use harness::Loopback;
use load::report::{EndReason, ErrorClass, Report};
use load::text::text;

use crate::run::report;
use crate::server::{Action, TestServer};

/// A mixture of successes and of all failures except timeouts.
fn mixed(number: u64) -> Action {
    match number % 20 {
        3 => Action::Respond(503, "b"),
        6 => Action::Respond(404, "a"),
        9 => Action::Close,
        12 => Action::Reset,
        15 => Action::SendGarbage,
        18 => Action::CloseInBody,
        even if even.is_multiple_of(2) => Action::Respond(200, "a"),
        _ => Action::Respond(204, "b"),
    }
}

/// Number of successes and of failures by class for [`mixed`] requests.
fn expected(requests: u64) -> (u64, BTreeMap<ErrorClass, u64>) {
    let (mut ok, mut failed) = (0, BTreeMap::new());
    for action in (0..requests).map(mixed) {
        let class = match action {
            Action::Respond(status, _) if status < 400 => {
                ok += 1;
                continue;
            }
            Action::Respond(status, _) if status < 500 => ErrorClass::Status4xx,
            Action::Respond(..) => ErrorClass::Status5xx,
            Action::Close | Action::CloseInBody => ErrorClass::Closed,
            Action::Reset => ErrorClass::Reset,
            Action::SendGarbage => ErrorClass::Protocol,
            Action::RespondAndClose | Action::RespondByConnection | Action::Hang => {
                unreachable!("not in the mixture")
            }
        };
        *failed.entry(class).or_default() += 1;
    }
    (ok, failed)
}

fn assert_exact(server: &TestServer, report: &Report, requests: u64) {
    let (ok, failed) = expected(requests);
    assert_eq!(server.requests(), requests, "each request is sent once");
    assert_eq!((report.requests, report.ok, report.failed), (requests, ok, requests - ok));
    assert_eq!(report.failures.by_class, failed);
    assert_eq!(report.failures.by_status, BTreeMap::from([(404, requests / 20), (503, requests / 20)]));
    assert_eq!(report.latency.count, ok);
    assert_eq!(report.latency.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), ok);
    assert_eq!(report.timeline.ok.iter().sum::<u64>(), ok);
    let over_time = report.timeline.failed.iter().map(|(class, counts)| (*class, counts.iter().sum()));
    assert_eq!(over_time.collect::<BTreeMap<_, _>>(), failed);
    assert_eq!(report.ended, EndReason::Requests);
    let of = |name: &str| report.instances.iter().find(|one| one.name.as_deref() == Some(name)).unwrap();
    assert_eq!(
        (of("a").failures[&ErrorClass::Status4xx], of("b").failures[&ErrorClass::Status5xx]),
        (requests / 20, requests / 20)
    );
    assert_eq!(of("a").ok + of("b").ok, ok);
    assert_eq!(of("a").ok_over_time.iter().sum::<u64>(), of("a").ok);
    assert_eq!(report.instances.len(), 2);
}

#[test]
fn each_failure_is_reported_once() {
    let server = TestServer::start(mixed);
    let (code, report) = report(&[&server.url(), "--requests", "2000", "--connections", "8"]);
    assert_exact(&server, &report, 2000);
    assert_eq!(code, 0, "no assertion was made");
    assert_eq!((report.failures.listed.len(), report.failures.unlisted), (600, 0));
    assert!(report.failures.listed.is_sorted_by(|one, next| one.at <= next.at));
    assert!(report.failures.listed.iter().all(|failed| 0.0 < failed.sent && failed.sent <= failed.at));
}

#[test]
fn counts_are_exact_at_a_rate_with_several_threads() {
    let server = TestServer::start(mixed);
    let args = ["--requests", "1000", "--rate", "1000", "--threads", "3", "--connections", "7"];
    let (_, report) = report(&[&[server.url().as_str()], &args[..]].concat());
    assert_exact(&server, &report, 1000);
}

#[test]
fn status_is_a_success_if_it_is_expected() {
    let server = TestServer::start(|number| match number % 4 {
        0 => Action::Respond(200, "a"),
        1 => Action::Respond(301, "a"),
        2 => Action::Respond(404, "a"),
        _ => Action::Respond(204, "a"),
    });
    let by_class =
        |report: &Report| report.failures.by_class.keys().map(|class| class.name()).collect::<Vec<_>>();
    for (expect, good, classes) in [
        (&[][..], &[200, 204][..], &["3xx", "4xx"][..]),
        (&["--expect", "200,404"], &[200, 404], &["2xx", "3xx"]),
        (&["--expect", "2xx,301"], &[200, 204, 301], &["4xx"]),
    ] {
        let args = ["--requests", "40", "--connections", "1"];
        let (_, report) = report(&[&[server.url().as_str()], &args[..], expect].concat());
        assert_eq!(report.ok_by_status.keys().copied().collect::<Vec<_>>(), good, "{expect:?}");
        assert!(report.ok_by_status.values().all(|count| *count == 10), "{:?}", report.ok_by_status);
        assert_eq!(by_class(&report), classes, "{expect:?}");
        assert!(text(&report).contains("\nstatuses: 200 × 10, 204 × 10, 301 × 10, 404 × 10\n"));
    }
}

#[test]
fn list_of_failures_is_bounded_and_counts_are_not() {
    let server = TestServer::start(|_| Action::Respond(500, "a"));
    let (_, report) = report(&[&server.url(), "--requests", "1500", "--connections", "4"]);
    assert_eq!((report.failed, report.failures.listed.len(), report.failures.unlisted), (1500, 1000, 500));
    assert_eq!(report.timeline.failed[&ErrorClass::Status5xx].iter().sum::<u64>(), 1500);
    let outages = &report.outages;
    assert!((outages.longest - report.seconds).abs() < 1e-9, "no request was successful: {outages:?}");
}

#[test]
fn refused_connection_timeout_and_unknown_host_have_their_classes() {
    let free = Loopback::new().free().unwrap();
    let args = ["--requests", "20", "--unchecked", "--connections", "4"];
    let (_, refused) = report(&[&[format!("http://{free}/").as_str()], &args[..]].concat());
    assert_eq!(refused.failures.by_class, BTreeMap::from([(ErrorClass::Refused, 20)]));

    let server =
        TestServer::start(|number| if number == 2 { Action::Hang } else { Action::Respond(200, "a") });
    let (_, late) = report(&[&server.url(), "--requests", "20", "--timeout", "300ms", "--connections", "2"]);
    assert_eq!(late.failures.by_class, BTreeMap::from([(ErrorClass::Timeout, 1)]));
    let failed = &late.failures.listed[0];
    assert!(failed.at - failed.sent >= 0.3, "{failed:?}");

    let args = ["--requests", "2", "--unchecked", "--connections", "1"];
    let (_, unknown) = report(&[&["http://unknown.invalid/"], &args[..]].concat());
    assert_eq!(unknown.failures.by_class, BTreeMap::from([(ErrorClass::Dns, 2)]));
}

#[test]
fn idle_connection_closed_by_the_server_fails_no_request() {
    let server = TestServer::start(|_| Action::RespondAndClose);
    // The end of the connection arrives long before the next request is due.
    let (_, report) = report(&[&server.url(), "--requests", "6", "--rate", "5", "--connections", "1"]);
    assert_eq!((report.ok, report.failed, server.requests()), (6, 0, 6), "{:?}", report.failures);
    assert_eq!((report.connections.opened, report.connections.closed_idle), (6, 5));
}

#[test]
fn instance_has_the_sending_times_of_its_first_and_last_request() {
    let server = TestServer::start(|number| match number {
        0..10 => Action::Respond(200, "a"),
        10 => Action::Respond(503, "b"),
        _ => Action::Respond(200, "b"),
    });
    let args = ["--requests", "30", "--rate", "200", "--connections", "1"];
    let (_, report) = report(&[&[server.url().as_str()], &args[..]].concat());
    let [a, b] = &report.instances[..] else { panic!("{:?}", report.instances) };
    for one in [a, b] {
        assert!(one.first_sent < one.first && one.last_sent < one.last, "{one:?}");
        assert!(one.first_sent < one.last_sent, "{one:?}");
    }
    // The single connection sends one request after the other.
    assert!(a.last <= b.first_sent, "{a:?} {b:?}");
    let failed = &report.failures.listed[0];
    assert!((failed.sent, failed.at) == (b.first_sent, b.first), "{failed:?} {b:?}");
}

#[test]
fn no_keep_alive_opens_a_connection_for_each_request() {
    let server = TestServer::ok();
    let (_, report) = report(&[&server.url(), "--requests", "50", "--no-keep-alive"]);
    assert_eq!((report.ok, report.connections.opened, report.connections.closed_idle), (50, 50, 0));
}

#[test]
fn urls_and_body_come_from_files_and_stdin() {
    let server = TestServer::ok();
    let urls = format!("{0}one\n{0}two\n", server.url());
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    load.args(["--url-file", "-", "--requests", "10", "--json", "-", "--quiet"]);
    let mut load = load.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    load.stdin.take().unwrap().write_all(urls.as_bytes()).unwrap();
    let report: Report = serde_json::from_slice(&load.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(report.urls.iter().map(|url| url.ok).collect::<Vec<_>>(), [5, 5]);
}

#[test]
fn requests_are_sent_to_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 1024];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let head = String::from_utf8_lossy(&request).into_owned();
                    let status = if head.contains("host: swarm\r\n") { 200 } else { 400 };
                    let response = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(response.as_bytes());
                }
            });
        }
    });
    let socket = path.to_str().unwrap();
    let args = ["http://swarm/", "--unix-socket", socket, "--requests", "20", "--connections", "2"];
    let (code, report) = report(&args);
    assert_eq!((code, report.ok, report.connections.opened), (0, 20, 2), "{:?}", report.failures);
}

#[test]
fn requests_are_distributed_to_urls_by_weight() {
    let (one, other) = (TestServer::ok(), TestServer::ok());
    let urls = [format!("3:{}", one.url()), format!("1:{}", other.url())];
    let (_, report) = report(&[&urls[0], &urls[1], "--requests", "400"]);
    assert_eq!((one.requests(), other.requests(), report.ok), (300, 100, 400));
    assert_eq!(
        report.urls.iter().map(|url| (url.ok, url.latency.count)).collect::<Vec<_>>(),
        [(300, 300), (100, 100)]
    );
    let text = text(&report);
    assert!(text.contains(&urls[1][2..]) && text.contains("\n      300       0 "), "{text}");
    let phases = &report.phases;
    assert_eq!((phases.connect.count, phases.tls.count), (report.connections.opened, 0));
    assert_eq!(phases.first_byte.count, 400);
    assert!(phases.first_byte.max <= report.latency.max, "{phases:?}");
}
