use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use harness::TIMEOUT;
use load::report::{EndReason, ErrorClass, Verdict};
use load::text::text;

use crate::run::{Running, refusal, report, run};
use crate::server::{Action, TestServer};

#[test]
fn interrupt_ends_the_run_with_a_report() {
    let server = TestServer::ok();
    let args = ["--rate", "500", "--duration", "10m"];
    for (assertion, expected) in [(&[][..], 0), (&["--max-failed", "0"], 1)] {
        let mut load = Running::start(&[&[server.url().as_str()], &args[..], assertion].concat());
        server.wait_for(usize::try_from(server.requests()).unwrap() + 100, TIMEOUT);
        load.interrupt();
        let (code, report) = load.end();
        assert_eq!((code, report.ended, report.abandoned), (expected, EndReason::Interrupted, 0));
        assert_eq!((report.ok, report.failed), (report.requests, 0));
        for assertion in report.assertions {
            assert_eq!(assertion.verdict, Verdict::NotAssessable);
            assert!(assertion.got.starts_with("interrupted after "), "{assertion:?}");
            assert!(assertion.got.ends_with(" of 10 min"), "{assertion:?}");
        }
    }
}

#[test]
fn interrupted_run_lasts_until_the_signal() {
    let server =
        TestServer::start(|number| if number < 10 { Action::Respond(200, "a") } else { Action::Hang });
    let args = ["--connections", "4", "--timeout", "3s", "--duration", "20m", "--every", "10m"];
    let mut load = Running::start(&[&[server.url().as_str()], &args[..]].concat());
    server.wait_for(14, TIMEOUT);
    load.interrupt();
    let (_, report) = load.end();
    let last = report.failures.listed.last().unwrap();
    assert!(report.seconds < last.at, "{} s, and then {last:?}", report.seconds);
}

#[test]
fn response_after_the_end_counts_without_extending_an_outage() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = TestServer::start(move |number| {
        if number == 10 {
            let _ = held.lock().unwrap().recv();
        }
        Action::Respond(200, "a")
    });
    let args = ["--connections", "1", "--duration", "20m", "--gap", "1us"];
    let mut load = Running::start(&[&[server.url().as_str()], &args[..]].concat());
    server.wait_for(11, TIMEOUT);
    load.interrupt();
    load.says("finishing requests in flight");
    drop(release);
    let (_, report) = load.end();
    assert_eq!((report.requests, report.ok), (11, 11), "{:?}", report.failures);
    let (last, outages) = (report.instances[0].last, &report.outages);
    assert!(report.seconds < last, "{} s, and a response after {last} s", report.seconds);
    let end = outages.listed.last().unwrap().to;
    assert!((end - report.seconds).abs() < 1e-9, "{outages:?} in {} s", report.seconds);
}

#[test]
fn second_interrupt_abandons_requests_in_flight() {
    let server =
        TestServer::start(|number| if number < 10 { Action::Respond(200, "a") } else { Action::Hang });
    let args = ["--connections", "4", "--timeout", "10m", "--duration", "20m"];
    let mut load = Running::start(&[&[server.url().as_str()], &args[..]].concat());
    server.wait_for(14, TIMEOUT);
    load.interrupt();
    load.says("Ctrl-C again");
    load.interrupt();
    let (code, report) = load.end();
    assert_eq!((code, report.ended), (0, EndReason::Interrupted));
    assert_eq!((report.requests, report.ok, report.failed, report.abandoned), (14, 10, 0, 4));
}

#[test]
fn failed_assertion_is_exit_code_1() {
    // Of ten requests, nine go to a, one of which fails.
    let server = TestServer::start(|number| match number % 10 {
        9 => Action::Respond(200, "b"),
        3 => Action::Respond(500, "a"),
        _ => Action::Respond(200, "a"),
    });
    for (assertion, met) in [
        (["--max-failed", "10"], true),
        (["--max-failed", "9"], false),
        (["--max-failed", "10%"], true),
        (["--max-failed", "9.9%"], false),
        (["--max-gap", "20s"], true),
        (["--max-gap", "1us"], false),
        (["--max-p95", "20s"], true),
        (["--max-p95", "1us"], false),
        (["--max-p99", "20s"], true),
        (["--max-p99", "1us"], false),
        (["--min-rate", "0.01"], true),
        (["--min-rate", "1e9"], false),
        (["--min-instances", "2"], true),
        (["--min-instances", "3"], false),
        (["--max-skew", "81%"], true),
        (["--max-skew", "79%"], false),
    ] {
        let (url, before) = (server.url(), server.requests());
        assert_eq!(before % 10, 0);
        let args = [url.as_str(), "--requests", "100", "--connections", "1"];
        let (code, report) = report(&[&args[..], &assertion].concat());
        assert_eq!(
            (code, report.assertions.len(), report.assertions[0].verdict == Verdict::Met),
            (i32::from(!met), 1, met),
            "{assertion:?}"
        );
    }
}

#[test]
fn assertion_without_evidence_is_exit_code_1() {
    let failing = TestServer::start(|_| Action::Respond(500, "a"));
    let single = TestServer::ok();
    for (server, assertion, reason) in [
        (&failing, ["--max-p99", "20s"], "no successful response"),
        (&failing, ["--max-failed", "100%"], "no successful response"),
        (&single, ["--max-skew", "10%"], "no two instances responded at the same time"),
    ] {
        let (code, report) = report(&[&[server.url().as_str(), "--requests", "5"], &assertion[..]].concat());
        let [checked] = &report.assertions[..] else { panic!("{:?}", report.assertions) };
        assert_eq!((code, checked.verdict), (1, Verdict::NotAssessable), "{assertion:?}");
        assert_eq!(checked.got, reason);
    }
}

#[test]
fn unsent_requests_are_failures() {
    // Each of two connections sends a request per 200 ms: in two seconds, at most 20 of 200.
    let server = TestServer::start(|_| {
        thread::sleep(Duration::from_millis(200));
        Action::Respond(200, "a")
    });
    let args = ["--rate", "200", "--duration", "1s", "--connections", "2"];
    let (code, report) = report(&[&[server.url().as_str(), "--max-failed", "0"], &args[..]].concat());
    assert_eq!((code, report.ended, report.requests), (1, EndReason::Duration, 200));
    let unsent = report.failures.by_class[&ErrorClass::Unsent];
    assert!(unsent >= 180, "{:?}", report.failures);
    assert_eq!((report.ok + unsent, report.failed), (200, unsent));
    let over_time = &report.timeline.failed[&ErrorClass::Unsent];
    assert_eq!(over_time.iter().sum::<u64>(), unsent, "{over_time:?}");
    assert_eq!(report.failures.unlisted, 0);
    let line = format!("\nunsent: {unsent} requests (");
    assert!(text(&report).contains(&line), "{}", text(&report));
}

#[test]
fn throughput_is_at_most_the_capacity_of_the_server() {
    // Each of four connections yields ten responses per second, also in the second after the end.
    let server = TestServer::start(|_| {
        thread::sleep(Duration::from_millis(100));
        Action::Respond(200, "a")
    });
    let args = ["--rate", "400", "--duration", "1s", "--connections", "4"];
    let (_, report) = report(&[&[server.url().as_str()], &args[..]].concat());
    assert!(report.rate > 0.0 && report.rate <= 40.0, "{}", report.rate);
    assert!((report.ok_rate - report.rate).abs() < 1e-9);
}

#[test]
fn reports_are_compared() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let [good, bad] = ["good.json", "bad.json"].map(file);
    for (file, status) in [(&good, 200), (&bad, 503)] {
        let server =
            TestServer::start(move |number| Action::Respond(if number == 7 { status } else { 200 }, "a"));
        run(&[&server.url(), "--requests", "100", "--json", file]);
    }
    // The rate and the latency of runs this short vary.
    let args = ["--threshold", "100000%"];
    for (old, new, expected) in [(&good, &good, 0), (&good, &bad, 1), (&bad, &good, 0)] {
        let output = run(&[&["compare", old, new], &args[..]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{text}");
        assert!(text.contains("ok rate") && text.contains("p99.9"), "{text}");
    }
    let (code, message) = refusal(&["compare", "/nowhere.json", &good]);
    assert_eq!(code, 64, "{message}");
    assert!(message.contains("reading report /nowhere.json: no such file"), "{message}");
}

#[test]
fn text_report_fits_80_columns() {
    let server = TestServer::start(|number| match number % 9 {
        0 => Action::Respond(503, "ping.1@a-host-with-a-very-long-name.example"),
        _ if number % 2 == 0 => Action::Respond(200, "ping.1@a-host-with-a-very-long-name.example"),
        _ => Action::Respond(200, "ping.2"),
    });
    let args = ["--rate", "100", "--duration", "3s", "--gap", "1ms", "--max-failed", "0"];
    let output = run(&[&[server.url().as_str()], &args[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let [text, progress] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line:?} of\n{text}");
    }
    for expected in ["300 requests", "34 failed", "evenness χ²", "ping.2", "at ", "status 503", "NOT MET"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(progress.lines().count() >= 2, "{progress}");
}

#[test]
fn html_page_shows_the_same_report() {
    let server = TestServer::ok();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let html = file.to_str().unwrap();
    let (code, report) = report(&[&server.url(), "--requests", "20", "--html", html]);
    assert_eq!((code, report.ok), (0, 20));
    let page = std::fs::read_to_string(&file).unwrap();
    let title = "<title>20 requests in ";
    assert!(
        page.starts_with("<!doctype html>") && page.contains(title),
        "no {title:?} in {} bytes",
        page.len()
    );
}
