//! How it ends: by itself, by signals, with which exit code.

use std::sync::{Mutex, mpsc};

use load::headline::headline;
use load::report::Ended;

use crate::peer::{Deed, Peer};
use harness::TIMEOUT;

use crate::run::{Running, report, run};

#[test]
fn ctrl_c_ends_it_with_the_report() {
    let peer = Peer::good();
    let mut load = Running::start(&[&peer.url(), "--rate", "500", "--for", "10m"]);
    peer.wait_for(100, TIMEOUT);
    load.interrupt();
    let (code, report) = load.end();
    assert_eq!((code, report.ended, report.abandoned), (0, Ended::Interrupted, 0));
    assert_eq!((report.ok, report.failed), (peer.requests(), 0));
}

#[test]
fn load_was_sent_until_the_signal_and_not_until_the_last_answer() {
    let peer = Peer::start(|number| if number < 10 { Deed::Answer(200, "a") } else { Deed::Hang });
    let args = ["--connections", "4", "--timeout", "3s", "--for", "20m", "--every", "10m"];
    let mut load = Running::start(&[&[peer.url().as_str()], &args[..]].concat());
    peer.wait_for(14, TIMEOUT);
    load.interrupt();
    let (_, report) = load.end();
    let last = report.failures.listed.last().unwrap();
    assert!(report.seconds < last.at, "{} s, and then {last:?}", report.seconds);
}

#[test]
fn an_answer_that_comes_after_the_end_counts_and_the_time_it_took_is_no_gap() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let peer = Peer::start(move |number| {
        if number == 10 {
            let _ = held.lock().unwrap().recv();
        }
        Deed::Answer(200, "a")
    });
    let mut load = Running::start(&[&peer.url(), "--connections", "1", "--for", "20m", "--gap", "1us"]);
    peer.wait_for(11, TIMEOUT);
    load.interrupt();
    load.says("no more is sent");
    drop(release);
    let (_, report) = load.end();
    assert_eq!((report.requests, report.ok), (11, 11), "{:?}", report.failures);
    let (last, gaps) = (report.instances[0].last, &report.gaps);
    assert!(report.seconds < last, "{} s, and an answer after {last} s", report.seconds);
    let end = gaps.listed.last().unwrap().to;
    assert!((end - report.seconds).abs() < 1e-9, "{gaps:?} in {} s", report.seconds);
}

#[test]
fn a_second_one_ends_it_without_waiting_for_answers() {
    let peer = Peer::start(|number| if number < 10 { Deed::Answer(200, "a") } else { Deed::Hang });
    let mut load = Running::start(&[&peer.url(), "--connections", "4", "--timeout", "10m", "--for", "20m"]);
    peer.wait_for(14, TIMEOUT);
    load.interrupt();
    load.says("Ctrl-C again");
    load.interrupt();
    let (code, report) = load.end();
    assert_eq!((code, report.ended), (0, Ended::Interrupted));
    assert_eq!((report.requests, report.ok, report.failed, report.abandoned), (14, 10, 0, 4));
}

#[test]
fn demands_that_are_not_met_are_exit_code_1() {
    // Each third request of a's fails, and of ten answers nine are a's.
    let peer = Peer::start(|number| match number % 10 {
        9 => Deed::Answer(200, "b"),
        3 => Deed::Answer(500, "a"),
        _ => Deed::Answer(200, "a"),
    });
    for (demand, met) in [
        (["--max-failed", "10"], true),
        (["--max-failed", "9"], false),
        (["--max-failed", "10%"], true),
        (["--max-failed", "9.9%"], false),
        (["--max-gap", "20s"], true),
        (["--max-gap", "1us"], false),
        (["--max-p99", "20s"], true),
        (["--max-p99", "1us"], false),
        (["--min-instances", "2"], true),
        (["--min-instances", "3"], false),
        (["--max-skew", "78%"], true),
        (["--max-skew", "77%"], false),
    ] {
        let (url, before) = (peer.url(), peer.requests());
        assert_eq!(before % 10, 0);
        let (code, report) =
            report(&[&[url.as_str(), "--requests", "100", "--connections", "1"], &demand[..]].concat());
        assert_eq!(
            (code, report.demands.len(), report.demands[0].met),
            (i32::from(!met), 1, met),
            "{demand:?}"
        );
    }
}

#[test]
fn without_one_good_answer_there_is_no_latency_to_be_content_with() {
    let peer = Peer::start(|_| Deed::Answer(500, "a"));
    let (code, report) = report(&[&peer.url(), "--requests", "5", "--max-p99", "20s"]);
    assert_eq!((code, report.demands[0].met), (1, false));
}

#[test]
fn the_report_for_people_has_no_line_of_more_than_80_columns() {
    let peer = Peer::start(|number| match number % 9 {
        0 => Deed::Answer(503, "ping.1@a-host-with-a-very-long-name.example"),
        _ if number % 2 == 0 => Deed::Answer(200, "ping.1@a-host-with-a-very-long-name.example"),
        _ => Deed::Answer(200, "ping.2"),
    });
    let output = run(&[&peer.url(), "--rate", "100", "--for", "3s", "--gap", "1ms", "--max-failed", "0"]);
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
fn the_page_is_of_the_same_report() {
    let peer = Peer::good();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let html = file.to_str().unwrap();
    let (code, report) = report(&[&peer.url(), "--requests", "20", "--html", html]);
    assert_eq!((code, report.ok), (0, 20));
    let page = std::fs::read_to_string(&file).unwrap();
    let title = format!("<title>{}</title>", headline(&report));
    assert!(
        page.starts_with("<!doctype html>") && page.contains(&title),
        "no {title:?} in {} bytes",
        page.len()
    );
}
