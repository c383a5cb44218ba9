//! Counters of what goes on, as Prometheus reads them.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};

/// Counters of one server. Counting costs an atomic addition or two: no allocation, no formatting, no lock.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Requests by method and code. A service has a handful of such pairs, and its commonest is among the first.
    requests: [Pair; 64],
    /// Requests of pairs that found no place left.
    overflow: AtomicU64,
    in_flight: AtomicI64,
    answered: AtomicU64,
    connections: AtomicI64,
    accept_failures: AtomicU64,
    started: SystemTime,
}

#[derive(Debug, Default)]
struct Pair {
    /// Zero until the place is taken.
    key: AtomicUsize,
    count: AtomicU64,
}

const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// Stands for every method that is not one of HTTP's own: clients may invent any number of them.
const OTHER: &str = "other";

/// A request's method, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedMethod(usize);

impl CountedMethod {
    /// For a request that could not even be read.
    pub(crate) const UNKNOWN: Self = Self(METHODS.len());
}

impl From<&Method> for CountedMethod {
    fn from(method: &Method) -> Self {
        Self(METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len()))
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| Pair::default()),
            overflow: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            answered: AtomicU64::new(0),
            connections: AtomicI64::new(0),
            accept_failures: AtomicU64::new(0),
            started: SystemTime::now(),
        }
    }

    /// A request is answered with `code`.
    pub(crate) fn count(&self, method: CountedMethod, code: StatusCode) {
        let key = method.0 * 1000 + usize::from(code.as_u16());
        let place = self.requests.iter().find(|pair| match pair.key.load(Ordering::Relaxed) {
            0 => match pair.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => true,
                Err(taken) => taken == key,
            },
            taken => taken == key,
        });
        place.map_or(&self.overflow, |pair| &pair.count).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests have been answered to the last byte.
    pub(crate) fn requests_answered(&self, count: u32) {
        self.answered.fetch_add(count.into(), Ordering::Relaxed);
        self.in_flight.fetch_sub(count.into(), Ordering::Relaxed);
    }

    /// Requests will not be answered, as their connection has ended.
    pub(crate) fn requests_given_up(&self, count: u32) {
        self.in_flight.fetch_sub(count.into(), Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests answered to the last byte so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests being answered now.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// Appends all of it in Prometheus' text format.
    pub(crate) fn render(&self, service: &str, version: &str, out: &mut String) {
        let info = format!("swarmlings_build_info{{service=\"{service}\",version=\"{version}\"}}");
        family(out, "swarmlings_build_info", "gauge", "Which program this is.");
        sample(out, &info, 1);

        let name = "process_start_time_seconds";
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        family(out, name, "gauge", "When the program started, in Unix time.");
        sample(out, name, started.as_secs_f64());

        self.render_requests(out);

        let name = "swarmlings_requests_in_flight";
        family(out, name, "gauge", "Requests being answered.");
        sample(out, name, self.in_flight());

        let name = "swarmlings_connections_open";
        family(out, name, "gauge", "Connections of clients.");
        sample(out, name, self.connections.load(Ordering::Relaxed));

        let name = "swarmlings_accept_failures_total";
        family(
            out,
            name,
            "counter",
            "Times that no connection could be accepted, as for want of descriptors.",
        );
        sample(out, name, self.accept_failures.load(Ordering::Relaxed));
    }

    fn render_requests(&self, out: &mut String) {
        let name = "swarmlings_requests_total";
        family(out, name, "counter", "Requests answered, by method and code.");
        let taken = self.requests.iter().map(|pair| (pair.key.load(Ordering::Relaxed), &pair.count));
        for (key, count) in taken.take_while(|&(key, _)| key != 0) {
            let (method, code) = (METHODS.get(key / 1000).map_or(OTHER, Method::as_str), key % 1000);
            let series = format!("{name}{{method=\"{method}\",code=\"{code}\"}}");
            sample(out, &series, count.load(Ordering::Relaxed));
        }
        let overflow = self.overflow.load(Ordering::Relaxed);
        if overflow > 0 {
            sample(out, &format!("{name}{{method=\"{OTHER}\",code=\"{OTHER}\"}}"), overflow);
        }
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, series: &str, value: impl Display) {
    let _ = writeln!(out, "{series} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(metrics: &Metrics) -> String {
        let mut out = String::new();
        metrics.render("ping", "1.2.3", &mut out);
        out
    }

    #[test]
    fn requests_are_counted_by_method_and_code() {
        let metrics = Metrics::new();
        let invented = Method::from_bytes(b"FROBNICATE").unwrap();
        for method in [&Method::GET, &Method::GET, &invented] {
            metrics.count(method.into(), StatusCode::OK);
        }
        metrics.count((&Method::GET).into(), StatusCode::NOT_FOUND);
        let text = rendered(&metrics);
        for line in [
            "swarmlings_build_info{service=\"ping\",version=\"1.2.3\"} 1",
            "swarmlings_requests_total{method=\"GET\",code=\"200\"} 2",
            "swarmlings_requests_total{method=\"other\",code=\"200\"} 1",
            "swarmlings_requests_total{method=\"GET\",code=\"404\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn more_pairs_than_places_are_counted_as_other() {
        let metrics = Metrics::new();
        for code in 200..300 {
            metrics.count((&Method::GET).into(), StatusCode::from_u16(code).unwrap());
        }
        let overflow = "swarmlings_requests_total{method=\"other\",code=\"other\"} 36\n";
        assert!(rendered(&metrics).contains(overflow));
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::new();
        metrics.count((&Method::GET).into(), StatusCode::OK);
        for line in rendered(&metrics).lines() {
            let value = line.rsplit(' ').next().unwrap();
            assert!(line.starts_with("# ") || value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
