//! The operational endpoints.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200 as long as the process answers at all |
//! | `GET /readyz` | 200 if requests are welcome, else 503 |
//! | `GET /metrics` | counters, in Prometheus' text format |
//! | `GET /version` | name and version |

use std::fmt;
use std::future::{self, Future};
use std::sync::{Arc, OnceLock, Weak};

use http::{HeaderValue, Method, StatusCode, header};

use crate::exchange::not_allowed;
use crate::metrics::Metrics;
use crate::readiness;
use crate::{About, Connection, Readiness, Request, Response, Service, status, text};

/// Answers `/healthz`, `/readyz`, `/metrics` and `/version`.
#[derive(Clone)]
pub struct Admin(Arc<State>);

struct State {
    about: About,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    /// Weak, as the service may hold this in its turn.
    service: OnceLock<Weak<dyn Exposes>>,
}

/// What `/metrics` wants of a service.
trait Exposes: Send + Sync {
    fn expose(&self, out: &mut String);
}

impl<S: Service> Exposes for S {
    fn expose(&self, out: &mut String) {
        self.metrics(out);
    }
}

impl Admin {
    pub(crate) fn new(about: About, readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(State { about, readiness, metrics, service: OnceLock::new() }))
    }

    /// Shows the metrics of `service` too.
    pub(crate) fn show<S: Service>(&self, service: &Arc<S>) {
        let service: Weak<S> = Arc::downgrade(service);
        let _ = self.0.service.set(service);
    }

    /// The answer, if the request's path is one of these.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        let answer = match request.uri().path() {
            "/healthz" => text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            "/version" => text(format!("{} {}\n", self.0.about.name, self.0.about.version)),
            _ => return None,
        };
        let methods = [Method::GET, Method::HEAD];
        Some(if methods.contains(request.method()) { answer } else { not_allowed(&methods) })
    }

    fn readyz(&self) -> Response {
        match self.0.readiness.state() {
            readiness::State::Serving => text("ready\n"),
            readiness::State::Draining => status(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            readiness::State::Starting => status(StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n"),
        }
    }

    fn metrics(&self) -> Response {
        let mut out = String::new();
        self.0.metrics.render(self.0.about.name, self.0.about.version, &mut out);
        if let Some(service) = self.0.service.get().and_then(Weak::upgrade) {
            service.expose(&mut out);
        }
        let mut response = text(out);
        let prometheus = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, prometheus);
        response
    }
}

/// The admin port's own service.
impl Service for Admin {
    fn call(&self, request: Request, _connection: &Connection) -> impl Future<Output = Response> + Send {
        future::ready(self.answer(&request).unwrap_or_else(|| {
            status(StatusCode::NOT_FOUND, "here are /healthz, /readyz, /metrics and /version\n")
        }))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("about", &self.0.about).finish_non_exhaustive()
    }
}
