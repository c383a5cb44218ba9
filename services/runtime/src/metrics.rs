//! Counters of what goes on, as Prometheus reads them.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};

/// Counters of one server, a [`Tally`] for each of its threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    tallies: Box<[Arc<Tally>]>,
    started: SystemTime,
}

/// Counters of one thread. Counting costs an atomic addition or two: no allocation, no formatting, no lock, and no cache
/// line that another thread writes to.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Tally {
    /// Requests by method and code. A service has a handful of such pairs, and its commonest is among the first.
    requests: [Pair; 64],
    /// Requests of pairs that found no place left.
    overflow: AtomicU64,
    in_flight: AtomicI64,
    answered: AtomicU64,
    connections: AtomicI64,
    accept_failures: AtomicU64,
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

impl Tally {
    fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| Pair::default()),
            overflow: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            answered: AtomicU64::new(0),
            connections: AtomicI64::new(0),
            accept_failures: AtomicU64::new(0),
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
}

impl Metrics {
    /// For so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let tallies = (0..threads).map(|_| Arc::new(Tally::new())).collect();
        Self { tallies, started: SystemTime::now() }
    }

    /// The counters of each thread.
    pub(crate) fn tallies(&self) -> &[Arc<Tally>] {
        &self.tallies
    }

    /// Requests answered to the last byte so far.
    pub(crate) fn answered(&self) -> u64 {
        self.sum(|tally| &tally.answered)
    }

    /// Requests being answered now.
    pub(crate) fn in_flight(&self) -> u64 {
        let count: i64 = self.tallies.iter().map(|tally| tally.in_flight.load(Ordering::Relaxed)).sum();
        count.try_into().unwrap_or(0)
    }

    fn connections(&self) -> i64 {
        self.tallies.iter().map(|tally| tally.connections.load(Ordering::Relaxed)).sum()
    }

    fn sum(&self, counter: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        self.tallies.iter().map(|tally| counter(tally).load(Ordering::Relaxed)).sum()
    }

    /// Requests by method and code, as a [`Pair`] has them.
    fn requests(&self) -> Vec<(usize, u64)> {
        let mut sums: Vec<(usize, u64)> = Vec::new();
        for pair in self.tallies.iter().flat_map(|tally| &tally.requests) {
            let (key, count) = (pair.key.load(Ordering::Relaxed), pair.count.load(Ordering::Relaxed));
            match sums.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum += count,
                None if key == 0 => {}
                None => sums.push((key, count)),
            }
        }
        sums
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
        sample(out, name, self.connections());

        let name = "swarmlings_accept_failures_total";
        family(
            out,
            name,
            "counter",
            "Times that no connection could be accepted, as for want of descriptors.",
        );
        sample(out, name, self.sum(|tally| &tally.accept_failures));
    }

    fn render_requests(&self, out: &mut String) {
        let name = "swarmlings_requests_total";
        family(out, name, "counter", "Requests answered, by method and code.");
        for (key, count) in self.requests() {
            let (method, code) = (METHODS.get(key / 1000).map_or(OTHER, Method::as_str), key % 1000);
            let series = format!("{name}{{method=\"{method}\",code=\"{code}\"}}");
            sample(out, &series, count);
        }
        let overflow = self.sum(|tally| &tally.overflow);
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
        let metrics = Metrics::new(1);
        let invented = Method::from_bytes(b"FROBNICATE").unwrap();
        for method in [&Method::GET, &Method::GET, &invented] {
            metrics.tallies[0].count(method.into(), StatusCode::OK);
        }
        metrics.tallies[0].count((&Method::GET).into(), StatusCode::NOT_FOUND);
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
        let metrics = Metrics::new(1);
        for code in 200..300 {
            metrics.tallies[0].count((&Method::GET).into(), StatusCode::from_u16(code).unwrap());
        }
        let overflow = "swarmlings_requests_total{method=\"other\",code=\"other\"} 36\n";
        assert!(rendered(&metrics).contains(overflow));
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::new(1);
        metrics.tallies[0].count((&Method::GET).into(), StatusCode::OK);
        for line in rendered(&metrics).lines() {
            let value = line.rsplit(' ').next().unwrap();
            assert!(line.starts_with("# ") || value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_threads_count_is_added_up() {
        let metrics = Metrics::new(2);
        let [one, other] = metrics.tallies() else { panic!("two were asked for") };
        for tally in [one, other, other] {
            tally.connection_opened();
            tally.request_began();
            tally.count((&Method::GET).into(), StatusCode::OK);
        }
        other.count((&Method::HEAD).into(), StatusCode::OK);
        other.requests_answered(1);
        one.accept_failed();
        // A connection that another thread has seen the end of.
        one.connection_closed();
        one.connection_closed();
        assert_eq!((metrics.answered(), metrics.in_flight()), (1, 2));
        let text = rendered(&metrics);
        for line in [
            "swarmlings_requests_total{method=\"GET\",code=\"200\"} 3",
            "swarmlings_requests_total{method=\"HEAD\",code=\"200\"} 1",
            "swarmlings_requests_in_flight 2",
            "swarmlings_connections_open 1",
            "swarmlings_accept_failures_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
