//! A small report for unit tests.

use std::collections::BTreeMap;

use crate::report::{
    Assertion, EndReason, ErrorClass, FailedRequest, Failures, Instance, Latency, Outage, Outages, Report,
    Settings, Timeline, VERSION, Verdict, WeightedUrl,
};

/// A run of 10 s with two instances, one outage and one failure.
pub(crate) fn sample() -> Report {
    let failed = FailedRequest {
        at: 5.2,
        sent: 5.1,
        class: ErrorClass::Status5xx,
        status: Some(503),
        instance: None,
        url: 0,
        text: "status 503".to_owned(),
    };
    let assertion = |name: &str, wanted: &str, got: &str| Assertion {
        name: name.to_owned(),
        wanted: wanted.to_owned(),
        got: got.to_owned(),
        verdict: Verdict::NotMet,
    };
    Report {
        version: VERSION,
        settings: Settings {
            urls: vec![WeightedUrl { url: "http://swarm/ping".to_owned(), weight: 1 }],
            rate: Some(2000.0),
            duration: Some(10.0),
            ..Settings::default()
        },
        seconds: 10.0,
        ended: EndReason::Duration,
        requests: 20_000,
        ok: 19_999,
        failed: 1,
        rate: 2000.0,
        ok_rate: 1999.9,
        latency: Latency {
            count: 19_999,
            p50: 0.001,
            p95: 0.003,
            p99: 0.004,
            max: 0.3,
            ..Latency::default()
        },
        instances: ["ping.1@leader", "ping.2@worker-1"].map(instance).into(),
        instances_found: 2,
        no_evenness: Some("no two instances responded at the same time".to_owned()),
        outages: Outages {
            longest: 0.3,
            longest_at: 5.0,
            threshold: 0.25,
            count: 1,
            total: 0.3,
            listed: vec![Outage { from: 5.0, to: 5.3 }],
        },
        failures: Failures {
            by_class: BTreeMap::from([(ErrorClass::Status5xx, 1)]),
            by_status: BTreeMap::from([(503, 1)]),
            listed: vec![failed],
            unlisted: 0,
        },
        timeline: Timeline {
            width: 1.0,
            ok: vec![2000; 10],
            failed: BTreeMap::new(),
            p50: vec![0.001; 10],
            p99: vec![0.004; 10],
            max: vec![0.3; 10],
        },
        assertions: vec![assertion("max-gap", "≤ 250 ms", "300 ms")],
        ..Report::default()
    }
}

fn instance(name: &str) -> Instance {
    Instance {
        name: Some(name.to_owned()),
        share: 0.5,
        ok: 10_000,
        first: 0.001,
        last: 9.999,
        ok_over_time: vec![1000; 10],
        failed_over_time: vec![0; 10],
        ..Instance::default()
    }
}
