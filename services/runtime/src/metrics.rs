//! Metrics of a server: request counts and durations, connections, accept failures.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};

use crate::exposition::{family, metric, sample};
use crate::histogram::Histogram;

/// Label of every method that HTTP does not define, since clients can invent any number of them, and of requests without
/// a route.
const OTHER: &str = "other";

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

/// Metrics of one server: the sums of its threads' counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    threads: Box<[Arc<ThreadCounters>]>,
    /// Names of the service's routes.
    routes: OnceLock<&'static [&'static str]>,
    started: SystemTime,
}

impl Metrics {
    pub(crate) fn new(threads: usize) -> Self {
        let threads = (0..threads).map(|_| Arc::default()).collect();
        Self { threads, routes: OnceLock::new(), started: SystemTime::now() }
    }

    /// Sets the routes to count requests by. Later calls have no effect.
    pub(crate) fn set_routes(&self, routes: &'static [&'static str]) {
        let routes = *self.routes.get_or_init(|| routes);
        for thread in &self.threads {
            let _ = thread.routes.set((0..=routes.len()).map(|_| RouteCounters::default()).collect());
        }
    }

    /// The counters of each thread.
    pub(crate) fn threads(&self) -> &[Arc<ThreadCounters>] {
        &self.threads
    }

    /// Number of responses sent completely since the start.
    pub(crate) fn answered(&self) -> u64 {
        self.sum(|thread| &thread.answered)
    }

    /// Number of requests in progress.
    pub(crate) fn in_flight(&self) -> u64 {
        let count: i64 = self.threads.iter().map(|thread| thread.in_flight.load(Ordering::Relaxed)).sum();
        count.try_into().unwrap_or(0)
    }

    fn sum(&self, counter: impl Fn(&ThreadCounters) -> &AtomicU64) -> u64 {
        self.threads.iter().map(|thread| counter(thread).load(Ordering::Relaxed)).sum()
    }

    /// Appends all metrics in Prometheus' text format.
    pub(crate) fn render(&self, service: &str, version: &str, out: &mut String) {
        let name = "swarmlings_build_info";
        family(out, name, "gauge", "Name and version of the program.");
        sample(out, name, &[("service", service), ("version", version)], 1);
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let name = "process_start_time_seconds";
        metric(out, name, "gauge", "Start time of the program, in Unix time.", started);
        crate::process::render(out);

        let routes = self.routes.get().copied().unwrap_or_default();
        let routes = || routes.iter().copied().chain([OTHER]).enumerate();
        let name = "swarmlings_requests_total";
        family(out, name, "counter", "Requests answered, by method, code and route.");
        for (index, route) in routes() {
            self.render_requests(name, index, route, out);
        }
        let name = "swarmlings_request_duration_seconds";
        family(out, name, "histogram", "Time from a request's header to the end of its response, by route.");
        for (index, route) in routes() {
            let sum = Histogram::default();
            self.route(index).for_each(|counters| sum.add(&counters.durations));
            if !sum.is_empty() {
                sum.render(name, route, out);
            }
        }

        metric(out, "swarmlings_requests_in_flight", "gauge", "Requests in progress.", self.in_flight());
        let connections: i64 =
            self.threads.iter().map(|thread| thread.connections.load(Ordering::Relaxed)).sum();
        metric(out, "swarmlings_connections_open", "gauge", "Open client connections.", connections);
        let name = "swarmlings_connections_rejected_total";
        let help = "Connections closed at once, since too many were open.";
        metric(out, name, "counter", help, self.sum(|thread| &thread.rejected));
        let name = "swarmlings_accept_failures_total";
        let help = "Failures to accept a connection, for example for lack of file descriptors.";
        metric(out, name, "counter", help, self.sum(|thread| &thread.accept_failures));
    }

    /// Appends the request counts of the route at `index`.
    fn render_requests(&self, name: &str, index: usize, route: &str, out: &mut String) {
        let (mut counts, mut overflow): (Vec<(usize, u64)>, u64) = (Vec::new(), 0);
        for counters in self.route(index) {
            for slot in &counters.requests {
                let (key, count) = (slot.key.load(Ordering::Relaxed), slot.count.load(Ordering::Relaxed));
                match counts.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, sum)) => *sum += count,
                    None if key == 0 => {}
                    None => counts.push((key, count)),
                }
            }
            overflow += counters.overflow.load(Ordering::Relaxed);
        }
        for (key, count) in counts {
            let method = METHODS.get(key / 1000).map_or(OTHER, Method::as_str);
            let code = (key % 1000).to_string();
            sample(out, name, &[("method", method), ("code", &code), ("route", route)], count);
        }
        if overflow > 0 {
            sample(out, name, &[("method", OTHER), ("code", OTHER), ("route", route)], overflow);
        }
    }

    /// Each thread's counters of the route at `index`.
    fn route(&self, index: usize) -> impl Iterator<Item = &RouteCounters> {
        self.threads.iter().filter_map(move |thread| thread.routes.get()?.get(index))
    }
}

/// Counters of one thread. Counting needs no allocation, no lock, and no cache line that another thread writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ThreadCounters {
    /// One element per route of the service. The last element counts requests without a route.
    routes: OnceLock<Box<[RouteCounters]>>,
    in_flight: AtomicI64,
    answered: AtomicU64,
    connections: AtomicI64,
    rejected: AtomicU64,
    accept_failures: AtomicU64,
}

/// Counters of one thread's requests to one route.
#[derive(Debug, Default)]
struct RouteCounters {
    /// Requests by method and code. A service uses few combinations, so that a linear search finds most in the first slot.
    requests: [Slot; 32],
    /// Requests with a combination of method and code for which no slot was free.
    overflow: AtomicU64,
    durations: Histogram,
}

#[derive(Debug, Default)]
struct Slot {
    /// Index of the method times 1000, plus the code; 0 while the slot is free.
    key: AtomicUsize,
    count: AtomicU64,
}

/// Index of a method in [`METHODS`], or the length of that array for any other method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MethodIndex(usize);

impl MethodIndex {
    /// For requests that could not be parsed.
    pub(crate) const UNKNOWN: Self = Self(METHODS.len());
}

impl From<&Method> for MethodIndex {
    fn from(method: &Method) -> Self {
        Self(METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len()))
    }
}

/// Index of a route among the service's routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteIndex(pub(crate) usize);

impl RouteIndex {
    /// For requests that could not be parsed.
    pub(crate) const UNKNOWN: Self = Self(usize::MAX);
}

impl ThreadCounters {
    fn route(&self, route: RouteIndex) -> Option<&RouteCounters> {
        let routes = self.routes.get()?;
        routes.get(route.0).or(routes.last())
    }

    /// Counts a response with `code`.
    pub(crate) fn count_response(&self, route: RouteIndex, method: MethodIndex, code: StatusCode) {
        let Some(counters) = self.route(route) else { return };
        let key = method.0 * 1000 + usize::from(code.as_u16());
        let slot = counters.requests.iter().find(|slot| match slot.key.load(Ordering::Relaxed) {
            0 => match slot.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => true,
                Err(taken) => taken == key,
            },
            taken => taken == key,
        });
        slot.map_or(&counters.overflow, |slot| &slot.count).fetch_add(1, Ordering::Relaxed);
    }

    /// Records the time from a request's header to the end of its response.
    pub(crate) fn observe_duration(&self, route: RouteIndex, time: Duration) {
        if let Some(counters) = self.route(route) {
            counters.durations.observe(time);
        }
    }

    pub(crate) fn request_started(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts responses whose last byte was sent.
    pub(crate) fn requests_answered(&self, count: u32) {
        self.answered.fetch_add(count.into(), Ordering::Relaxed);
        self.in_flight.fetch_sub(count.into(), Ordering::Relaxed);
    }

    /// Ends requests whose connection closed before their response was sent.
    pub(crate) fn requests_aborted(&self, count: u32) {
        self.in_flight.fetch_sub(count.into(), Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: RouteIndex = RouteIndex(0);

    fn metrics(threads: usize) -> Metrics {
        let metrics = Metrics::new(threads);
        metrics.set_routes(&["*"]);
        metrics
    }

    fn rendered(metrics: &Metrics) -> String {
        let mut out = String::new();
        metrics.render("ping", "1.2.3", &mut out);
        out
    }

    #[test]
    fn requests_are_counted_by_method_and_code() {
        let metrics = metrics(1);
        let invented = Method::from_bytes(b"FROBNICATE").unwrap();
        for method in [&Method::GET, &Method::GET, &invented] {
            metrics.threads[0].count_response(ROUTE, method.into(), StatusCode::OK);
        }
        metrics.threads[0].count_response(ROUTE, (&Method::GET).into(), StatusCode::NOT_FOUND);
        let text = rendered(&metrics);
        for line in [
            "swarmlings_build_info{service=\"ping\",version=\"1.2.3\"} 1",
            "swarmlings_requests_total{method=\"GET\",code=\"200\",route=\"*\"} 2",
            "swarmlings_requests_total{method=\"other\",code=\"200\",route=\"*\"} 1",
            "swarmlings_requests_total{method=\"GET\",code=\"404\",route=\"*\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn requests_are_counted_and_timed_by_route() {
        let metrics = Metrics::new(1);
        metrics.set_routes(&["/a", "/b"]);
        let thread = &metrics.threads[0];
        for (route, code) in [(0, 200), (1, 201), (1, 201), (usize::MAX, 400)] {
            thread.count_response(
                RouteIndex(route),
                MethodIndex::UNKNOWN,
                StatusCode::from_u16(code).unwrap(),
            );
        }
        thread.observe_duration(RouteIndex(1), Duration::from_millis(3));
        let text = rendered(&metrics);
        for line in [
            "swarmlings_requests_total{method=\"other\",code=\"200\",route=\"/a\"} 1",
            "swarmlings_requests_total{method=\"other\",code=\"201\",route=\"/b\"} 2",
            "swarmlings_requests_total{method=\"other\",code=\"400\",route=\"other\"} 1",
            "swarmlings_request_duration_seconds_bucket{route=\"/b\",le=\"0.0025\"} 0",
            "swarmlings_request_duration_seconds_bucket{route=\"/b\",le=\"0.005\"} 1",
            "swarmlings_request_duration_seconds_count{route=\"/b\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(
            !text.contains("duration_seconds_count{route=\"/a\"}"),
            "a route without requests has no histogram:\n{text}"
        );
    }

    #[test]
    fn combinations_beyond_the_slots_are_counted_as_other() {
        let metrics = metrics(1);
        for code in 200..300 {
            metrics.threads[0].count_response(
                ROUTE,
                (&Method::GET).into(),
                StatusCode::from_u16(code).unwrap(),
            );
        }
        let overflow = "swarmlings_requests_total{method=\"other\",code=\"other\",route=\"*\"} 68\n";
        assert!(rendered(&metrics).contains(overflow));
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = metrics(1);
        metrics.threads[0].count_response(ROUTE, (&Method::GET).into(), StatusCode::OK);
        for line in rendered(&metrics).lines() {
            let value = line.rsplit(' ').next().unwrap();
            assert!(line.starts_with("# ") || value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn counters_of_all_threads_are_summed() {
        let metrics = metrics(2);
        let [one, other] = metrics.threads() else { panic!("expected two threads") };
        for thread in [one, other, other] {
            thread.connection_opened();
            thread.request_started();
            thread.count_response(ROUTE, (&Method::GET).into(), StatusCode::OK);
        }
        other.count_response(ROUTE, (&Method::HEAD).into(), StatusCode::OK);
        other.requests_answered(1);
        one.accept_failed();
        // Connections may close on another thread than the one that opened them.
        one.connection_closed();
        one.connection_closed();
        assert_eq!((metrics.answered(), metrics.in_flight()), (1, 2));
        let text = rendered(&metrics);
        for line in [
            "swarmlings_requests_total{method=\"GET\",code=\"200\",route=\"*\"} 3",
            "swarmlings_requests_total{method=\"HEAD\",code=\"200\",route=\"*\"} 1",
            "swarmlings_requests_in_flight 2",
            "swarmlings_connections_open 1",
            "swarmlings_accept_failures_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
