//! Processor time of the hub's checks for 100 kB and for 1 MB of labels of one service.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, ensure};
use protocol::Labels;
use rustix::time::{ClockId, clock_gettime};
use traefik::{Exposure, ServiceConfig};

use crate::table::Table;

const SMALL: usize = 100_000;
const LARGE: usize = 1_000_000;

/// Maximum ratio of the sums of the times.
const MAX_RATIO: f64 = 12.0;

/// Measurements of which the shortest counts.
const ROUNDS: usize = 5;

/// A label by its number.
type Label = fn(usize) -> (String, String);

/// Shapes of labels.
const SHAPES: [(&str, Label); 9] = [
    ("routers", |n| (format!("http.routers.r{n}.rule"), format!("Host(`a{n}.lan`) && PathPrefix(`/{n}`)"))),
    ("routers without a service, and services", |n| match n % 2 {
        0 => (format!("http.routers.r{n}.rule"), "Path(`/a`)".to_owned()),
        _ => (format!("http.services.s{n}.loadbalancer.server.port"), "80".to_owned()),
    }),
    ("chain of chains", |n| (format!("http.middlewares.c{n}.chain.middlewares"), format!("c{}", n + 1))),
    ("TCP services that refer to each other", |n| {
        (format!("tcp.services.w{}.weighted.services[{}].name", n / 9, n % 9), format!("w{}", n / 9 + 1))
    }),
    ("headers of one middleware", |n| {
        (format!("http.middlewares.m.headers.customrequestheaders.X-{n}"), format!("value {n}"))
    }),
    ("names in two cases", |n| {
        (
            format!("http.routers.{}{}.rule", if n % 2 == 0 { "Name" } else { "nAME" }, n / 2),
            "Path(`/a`)".to_owned(),
        )
    }),
    ("unknown options", |n| (format!("http.routers.r.rulle{n}"), "Path(`/a`)".to_owned())),
    ("long list", |n| {
        (format!("http.middlewares.m{n}.ipallowlist.sourcerange"), vec!["10.0.0.0/8"; 1000].join(","))
    }),
    ("long rules", |n| (format!("http.routers.r{n}.rule"), vec!["Host(`a.lan`)"; 500].join(" || "))),
];

/// Measures all shapes, and prints the times.
pub(super) fn run() -> Result<()> {
    let mut table = Table::new(&["labels", "100 kB", "1 MB", "ratio"]);
    let mut row = |name: &str, small: Duration, large: Duration| {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        table.row(&[name.to_owned(), milliseconds(small), milliseconds(large), format!("{ratio:.1}")]);
        ratio
    };
    let mut sums = (Duration::ZERO, Duration::ZERO);
    for (name, label) in SHAPES {
        let (small, large) = (time(&labels(SMALL, label)), time(&labels(LARGE, label)));
        sums = (sums.0 + small, sums.1 + large);
        row(name, small, large);
    }
    let ratio = row("all", sums.0, sums.1);
    print!("{table}");
    ensure!(ratio <= MAX_RATIO, "1 MB costs {ratio:.1} times as much as 100 kB");
    Ok(())
}

fn labels(size: usize, label: Label) -> Labels {
    let mut labels = Labels::default();
    let mut length = 0;
    for number in 0.. {
        let (key, value) = label(number);
        length += "traefik.".len() + key.len() + value.len();
        if length > size {
            break;
        }
        labels.0.insert(format!("traefik.{key}"), value);
    }
    labels
}

/// Processor time of this thread, which other programs on the machine do not prolong.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Returns the shortest time of several rounds.
fn time(labels: &Labels) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let started = processor_time();
        let config = ServiceConfig::read("service", labels, &Exposure::default());
        let _ = black_box(config.map_err(|errors| errors.to_string()));
        processor_time().saturating_sub(started)
    });
    rounds.min().unwrap_or_default()
}
