//! The operational endpoints.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200 as long as the process answers at all |
//! | `GET /readyz` | 200 if requests are welcome, else 503 |
//! | `GET /metrics` | counters and durations, in Prometheus' text format or `OpenMetrics`' |
//! | `GET /version` | name and version |
//! | `GET /log-level` | the least level that is logged |
//! | `PUT /log-level` | sets it to the body's, such as `debug` (token) |
//! | `GET /faults` | the fault that is on, as JSON, or `null` |
//! | `POST /faults` | begins one, as `{"rate": 0.3, "status": 503, "delay": "200ms", "for": "60s", "slot": 2}` (token) |
//! | `DELETE /faults` | ends it (token) |
//!
//! The last five are on an admin port only. Without a token nothing can be changed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::exchange::not_allowed;
use crate::exposition::to_openmetrics;
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::{
    AppInfo, Connection, Identity, Readiness, ReadinessState, Request, Response, Service, status, text,
};

mod control;

/// Answers `/healthz`, `/readyz`, `/metrics` and `/version`; and, on an admin port, `/log-level` and `/faults`.
#[derive(Clone)]
pub struct Admin(Arc<Shared>);

struct Shared {
    about: AppInfo,
    identity: Identity,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    /// Whoever wants to change something has to know what is in it.
    token_file: Option<PathBuf>,
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
    pub(crate) fn new(
        about: AppInfo,
        identity: Identity,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        faults: Arc<Faults>,
    ) -> Self {
        let service = OnceLock::new();
        Self(Arc::new(Shared { about, identity, readiness, metrics, faults, token_file: None, service }))
    }

    /// The same for whoever knows what is in a file. What was [shown](Self::show) before is forgotten.
    pub(crate) fn with_token_file(&self, path: PathBuf) -> Self {
        let Shared { about, identity, readiness, metrics, faults, .. } = &*self.0;
        Self(Arc::new(Shared {
            about: *about,
            identity: identity.clone(),
            readiness: readiness.clone(),
            metrics: Arc::clone(metrics),
            faults: Arc::clone(faults),
            token_file: Some(path),
            service: OnceLock::new(),
        }))
    }

    /// Shows the metrics of `service` too.
    pub(crate) fn show<S: Service>(&self, service: &Arc<S>) {
        let service: Weak<S> = Arc::downgrade(service);
        let _ = self.0.service.set(service);
    }

    /// The answer, if the request's path is one of `/healthz`, `/readyz`, `/metrics` and `/version`.
    pub fn handle(&self, request: &Request) -> Option<Response> {
        let answer = match request.uri().path() {
            "/healthz" => text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(request.headers()),
            "/version" => text(format!("{} {}\n", self.0.about.name, self.0.about.version)),
            _ => return None,
        };
        let methods = [Method::GET, Method::HEAD];
        Some(if methods.contains(request.method()) { answer } else { not_allowed(&methods) })
    }

    fn readyz(&self) -> Response {
        let faults = self.0.faults.lines(Instant::now());
        match self.0.readiness.state() {
            ReadinessState::Serving => text(format!("ready\n{faults}")),
            ReadinessState::Draining => {
                status(StatusCode::SERVICE_UNAVAILABLE, format!("draining\n{faults}"))
            }
            ReadinessState::Starting => {
                status(StatusCode::SERVICE_UNAVAILABLE, format!("not ready yet\n{faults}"))
            }
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response {
        let mut out = String::new();
        self.0.metrics.render(self.0.about.name, self.0.about.version, &mut out);
        self.0.faults.render(Instant::now(), &mut out);
        if let Some(service) = self.0.service.get().and_then(Weak::upgrade) {
            service.expose(&mut out);
        }
        // Prometheus asks for it before all others.
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let is_open = accept.into_iter().any(|value| value.contains("application/openmetrics-text"));
        let (out, content_type) = if is_open {
            (to_openmetrics(&out), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        } else {
            (out, "text/plain; version=0.0.4; charset=utf-8")
        };
        let mut response = text(out);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

/// The admin port's own service.
impl Service for Admin {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        match self.handle(&request) {
            Some(answer) => answer,
            None => self.control(request, connection.peer).await,
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("about", &self.0.about).finish_non_exhaustive()
    }
}
