//! Counters of one thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use super::histogram::Histogram;

/// Counters of one thread. Counting costs an atomic addition or two: no allocation, no formatting, no lock, and no cache
/// line that another thread writes to.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Tally {
    /// For each of the service's routes, and last for what was answered without asking which.
    routes: OnceLock<Box<[RouteTally]>>,
    pub(super) in_flight: AtomicI64,
    pub(super) answered: AtomicU64,
    pub(super) connections: AtomicI64,
    /// Those of them which hyper has buffers for.
    buffered: AtomicUsize,
    pub(super) accept_failures: AtomicU64,
}

/// Counters of one thread's requests to one route.
#[derive(Debug, Default)]
pub(super) struct RouteTally {
    /// Requests by method and code. A service has a handful of such pairs, and its commonest is among the first.
    pub(super) requests: [Pair; 32],
    /// Requests of pairs that found no place left.
    pub(super) overflow: AtomicU64,
    pub(super) durations: Histogram,
}

#[derive(Debug, Default)]
pub(super) struct Pair {
    /// Zero until the place is taken.
    pub(super) key: AtomicUsize,
    pub(super) count: AtomicU64,
}

pub(super) const METHODS: [Method; 9] = [
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

/// Stands for every method that is not one of HTTP's own: clients may invent any number of them; and for what is not of a
/// route.
pub(super) const OTHER: &str = "other";

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

/// Which of a service's routes a request is for, by its place among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedRoute(pub(crate) usize);

impl CountedRoute {
    /// For a request that could not even be read.
    pub(crate) const UNKNOWN: Self = Self(usize::MAX);
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            routes: OnceLock::new(),
            in_flight: AtomicI64::new(0),
            answered: AtomicU64::new(0),
            connections: AtomicI64::new(0),
            buffered: AtomicUsize::new(0),
            accept_failures: AtomicU64::new(0),
        }
    }

    /// Counts requests by so many routes from now on.
    pub(super) fn set_routes(&self, count: usize) {
        let _ = self.routes.set((0..=count).map(|_| RouteTally::default()).collect());
    }

    pub(super) fn routes(&self) -> &[RouteTally] {
        self.routes.get().map_or(&[], |routes| routes)
    }

    fn route(&self, route: CountedRoute) -> Option<&RouteTally> {
        let routes = self.routes();
        routes.get(route.0).or(routes.last())
    }

    /// A request is answered with `code`.
    pub(crate) fn count(&self, route: CountedRoute, method: CountedMethod, code: StatusCode) {
        let Some(tally) = self.route(route) else { return };
        let key = method.0 * 1000 + usize::from(code.as_u16());
        let place = tally.requests.iter().find(|pair| match pair.key.load(Ordering::Relaxed) {
            0 => match pair.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => true,
                Err(taken) => taken == key,
            },
            taken => taken == key,
        });
        place.map_or(&tally.overflow, |pair| &pair.count).fetch_add(1, Ordering::Relaxed);
    }

    /// A request has taken so long, from its header to the last of its answer.
    pub(crate) fn took(&self, route: CountedRoute, time: Duration) {
        if let Some(tally) = self.route(route) {
            tally.durations.observe(time);
        }
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

    /// hyper begins with a connection, or is done with it.
    pub(crate) fn buffers(&self, taken: bool) {
        if taken {
            self.buffered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.buffered.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many connections hyper has buffers for.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }
}
