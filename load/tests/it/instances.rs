use std::thread;
use std::time::Duration;

use load::report::{Choice, Instance, Report, Verdict};
use load::text::text;

use crate::run::report;
use crate::server::{Action, TestServer};

fn instance<'a>(report: &'a Report, name: &str) -> &'a Instance {
    report.instances.iter().find(|one| one.name.as_deref() == Some(name)).unwrap()
}

#[test]
fn slow_instance_has_not_joined_and_takes_over_from_none() {
    let server = TestServer::start(|number| match number {
        1..50 if number % 2 == 1 => Action::Respond(200, "b"),
        _ => {
            thread::sleep(Duration::from_millis(400));
            Action::Respond(200, "a")
        }
    });
    let args = ["--rate", "50", "--duration", "3s", "--connections", "64"];
    let (_, report) = report(&[&[server.url().as_str()], &args[..]].concat());
    let (a, b) = (instance(&report, "a"), instance(&report, "b"));
    assert!(a.first > 0.4 && !a.joined && !a.left, "{a:?}");
    assert!(b.left && !b.joined, "{b:?}");
    assert_eq!(report.handovers, []);
}

#[test]
fn all_instances_are_counted_and_those_that_are_not_told_apart_have_no_evenness() {
    let server = TestServer::start(|number| Action::Respond(200, format!("i{}", number % 1000).leak()));
    let args = ["--requests", "3000", "--connections", "8", "--threads", "2"];
    let assertions = ["--min-instances", "1000", "--max-skew", "10%"];
    let (_, report) = report(&[&[server.url().as_str()], &args[..], &assertions].concat());
    assert_eq!((report.instances_found, report.instances.len()), (1000, 257));
    assert_eq!(report.evenness, None);
    let verdicts: Vec<_> = report.assertions.iter().map(|one| (one.verdict, one.got.as_str())).collect();
    let reason = "more than 256 instances responded";
    assert_eq!(verdicts, [(Verdict::Met, "1,000"), (Verdict::NotAssessable, reason)]);
    assert!(
        text(&report).contains(&format!("evenness: not assessable, since {reason}\n")),
        "{}",
        text(&report)
    );
    assert!(report.warnings[0].contains("yields 1000 names"), "{:?}", report.warnings);
}

#[test]
fn evenness_of_instances_that_keep_connections_is_that_of_connections() {
    let server = TestServer::start(|_| Action::RespondByConnection);
    let (_, report) = report(&[&server.url(), "--requests", "4000", "--connections", "63"]);
    let even = report.evenness.unwrap();
    assert_eq!((even.of, even.degrees), (Choice::Connections, 2));
    assert!(even.p > 0.9 && even.imbalance < 0.1, "{even:?}");
    let share = |name| instance(&report, name).share;
    assert!(share("b") > 1.5 * share("a"), "requests alone would be uneven: {:?}", report.instances);
}

#[test]
fn share_includes_failed_requests() {
    let server = TestServer::start(|number| match number % 4 {
        0 => Action::Respond(503, "b"),
        2 => Action::Respond(200, "b"),
        _ => Action::Respond(200, "a"),
    });
    let (_, report) = report(&[&server.url(), "--requests", "400", "--connections", "1"]);
    let b = instance(&report, "b");
    assert_eq!((b.ok, b.failed, (b.share * 1000.0).round()), (100, 100, 500.0));
    assert!(report.evenness.unwrap().p > 0.9, "{:?}", report.evenness);
}
