//! A small report for tests of what is made from reports.

use std::collections::BTreeMap;

use crate::report::{
    Asked, Class, Connections, Demand, Ended, Failed, Failures, Gap, Gaps, Instance, Latency, Report,
    Timeline, VERSION, WeightedUrl,
};

/// Two instances, a gap, a failure.
pub(crate) fn sample() -> Report {
    let failed = Failed {
        at: 5.2,
        sent: 5.1,
        class: Class::Status5xx,
        status: Some(503),
        instance: None,
        url: 0,
        text: "status 503".to_owned(),
    };
    let failures = Failures {
        by_class: BTreeMap::from([(Class::Status5xx, 1)]),
        by_status: BTreeMap::from([(503, 1)]),
        listed: vec![failed],
        unlisted: 0,
    };
    Report {
        version: VERSION,
        asked: Asked {
            urls: vec![WeightedUrl { url: "http://swarm/ping".to_owned(), weight: 1 }],
            method: "GET".to_owned(),
            http: "1.1".to_owned(),
            keep_alive: true,
            connections: 64,
            streams: 1,
            threads: 1,
            rate: Some(2000.0),
            ramp: 0.0,
            duration: Some(10.0),
            requests: None,
            timeout: 10.0,
            instance: "header:x-served-by".to_owned(),
        },
        started_unix_ms: 1_700_000_000_000,
        seconds: 10.0,
        ended: Ended::Duration,
        requests: 20_000,
        ok: 19_999,
        failed: 1,
        abandoned: 0,
        rate: 2000.0,
        bytes: 400_000,
        latency: Latency { count: 19_999, p50: 0.001, p99: 0.004, max: 0.3, ..Latency::default() },
        late: None,
        instances: ["ping.1@leader", "ping.2@worker-1"].map(instance).into(),
        evenness: None,
        gaps: Gaps {
            longest: 0.3,
            longest_at: 5.0,
            threshold: 0.25,
            count: 1,
            total: 0.3,
            listed: vec![Gap { from: 5.0, to: 5.3 }],
        },
        handovers: Vec::new(),
        failures,
        connections: Connections::default(),
        timeline: Timeline {
            width: 1.0,
            ok: vec![2000; 10],
            failed: BTreeMap::new(),
            p50: vec![0.001; 10],
            p99: vec![0.004; 10],
            max: vec![0.3; 10],
        },
        generator_load: 0.2,
        warnings: Vec::new(),
        demands: vec![Demand {
            name: "max-gap".to_owned(),
            wanted: "≤ 250 ms".to_owned(),
            got: "300 ms".to_owned(),
            met: false,
        }],
    }
}

fn instance(name: &str) -> Instance {
    Instance {
        name: Some(name.to_owned()),
        share: 0.5,
        ok: 10_000,
        failed: 0,
        failures: BTreeMap::new(),
        latency: Latency::default(),
        first: 0.001,
        last: 9.999,
        first_sent: 0.0,
        last_sent: 9.998,
        joined: false,
        left: false,
        ok_over_time: vec![1000; 10],
        failed_over_time: vec![0; 10],
    }
}
