//! Counters of what goes on, as Prometheus reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;

mod exposition;
mod histogram;
mod tally;

pub(crate) use exposition::{family, openmetrics, sample};
pub(crate) use tally::{CountedMethod, CountedRoute, Tally};

use histogram::Histogram;
use tally::{METHODS, OTHER};

/// Counters of one server, a [`Tally`] for each of its threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    tallies: Box<[Arc<Tally>]>,
    /// As they are shown.
    routes: OnceLock<&'static [&'static str]>,
    started: SystemTime,
}

impl Metrics {
    /// For so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let tallies = (0..threads).map(|_| Arc::new(Tally::new())).collect();
        Self { tallies, routes: OnceLock::new(), started: SystemTime::now() }
    }

    /// Counts requests by these routes from now on, if there were none before.
    pub(crate) fn set_routes(&self, routes: &'static [&'static str]) {
        let routes = *self.routes.get_or_init(|| routes);
        self.tallies.iter().for_each(|tally| tally.set_routes(routes.len()));
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

    /// Each route as it is shown, with its place in each tally.
    fn routes(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let routes = self.routes.get().copied().unwrap_or_default();
        routes.iter().copied().chain([OTHER]).enumerate()
    }

    /// A route's requests by method and code, as a tally has them, and those that found no place there.
    fn requests(&self, route: usize) -> (Vec<(usize, u64)>, u64) {
        let (mut sums, mut overflow): (Vec<(usize, u64)>, u64) = (Vec::new(), 0);
        for tally in self.tallies.iter().filter_map(|tally| tally.routes().get(route)) {
            for pair in &tally.requests {
                let (key, count) = (pair.key.load(Ordering::Relaxed), pair.count.load(Ordering::Relaxed));
                match sums.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, sum)) => *sum += count,
                    None if key == 0 => {}
                    None => sums.push((key, count)),
                }
            }
            overflow += tally.overflow.load(Ordering::Relaxed);
        }
        (sums, overflow)
    }

    fn durations(&self, route: usize) -> Histogram {
        let sum = Histogram::default();
        for tally in self.tallies.iter().filter_map(|tally| tally.routes().get(route)) {
            sum.add(&tally.durations);
        }
        sum
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
        family(out, name, "counter", "Requests answered, by method, code and route.");
        for (place, route) in self.routes() {
            let (requests, overflow) = self.requests(place);
            for (key, count) in requests {
                let (method, code) = (METHODS.get(key / 1000).map_or(OTHER, Method::as_str), key % 1000);
                let series = format!("{name}{{method=\"{method}\",code=\"{code}\",route=\"{route}\"}}");
                sample(out, &series, count);
            }
            if overflow > 0 {
                let series = format!("{name}{{method=\"{OTHER}\",code=\"{OTHER}\",route=\"{route}\"}}");
                sample(out, &series, overflow);
            }
        }

        let name = "swarmlings_request_duration_seconds";
        family(out, name, "histogram", "From a request's header to the last of its answer, by route.");
        for (place, route) in self.routes() {
            let durations = self.durations(place);
            if !durations.is_empty() {
                durations.render(name, &format!("route=\"{route}\""), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const ROUTE: CountedRoute = CountedRoute(0);

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
            metrics.tallies[0].count(ROUTE, method.into(), StatusCode::OK);
        }
        metrics.tallies[0].count(ROUTE, (&Method::GET).into(), StatusCode::NOT_FOUND);
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
        let tally = &metrics.tallies[0];
        for (route, code) in [(0, 200), (1, 201), (1, 201), (usize::MAX, 400)] {
            tally.count(CountedRoute(route), CountedMethod::UNKNOWN, StatusCode::from_u16(code).unwrap());
        }
        tally.took(CountedRoute(1), std::time::Duration::from_millis(3));
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
        assert!(!text.contains("duration_seconds_count{route=\"/a\"}"), "nothing was timed there:\n{text}");
    }

    #[test]
    fn more_pairs_than_places_are_counted_as_other() {
        let metrics = metrics(1);
        for code in 200..300 {
            metrics.tallies[0].count(ROUTE, (&Method::GET).into(), StatusCode::from_u16(code).unwrap());
        }
        let overflow = "swarmlings_requests_total{method=\"other\",code=\"other\",route=\"*\"} 68\n";
        assert!(rendered(&metrics).contains(overflow));
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = metrics(1);
        metrics.tallies[0].count(ROUTE, (&Method::GET).into(), StatusCode::OK);
        for line in rendered(&metrics).lines() {
            let value = line.rsplit(' ').next().unwrap();
            assert!(line.starts_with("# ") || value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_threads_count_is_added_up() {
        let metrics = metrics(2);
        let [one, other] = metrics.tallies() else { panic!("two were asked for") };
        for tally in [one, other, other] {
            tally.connection_opened();
            tally.request_began();
            tally.count(ROUTE, (&Method::GET).into(), StatusCode::OK);
        }
        other.count(ROUTE, (&Method::HEAD).into(), StatusCode::OK);
        other.requests_answered(1);
        one.accept_failed();
        // A connection that another thread has seen the end of.
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
