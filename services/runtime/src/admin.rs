//! Operational endpoints.
//!
//! | request | response |
//! |---|---|
//! | `GET /healthz` | 200 while the process responds |
//! | `GET /readyz` | 200 if ready for requests, else 503; active faults |
//! | `GET /metrics` | metrics in the text format of Prometheus or `OpenMetrics` |
//! | `GET /version` | name and version |
//! | `GET /log-level` | minimum level of log messages |
//! | `PUT /log-level` | sets the level to the body, such as `debug` (token) |
//! | `GET /faults` | the active fault as JSON, or `null` |
//! | `POST /faults` | starts a fault: `{"rate": 0.3, "status": 503, "delay": "200ms", "for": "60s", "slot": 2}` (token) |
//! | `DELETE /faults` | stops the fault (token) |
//!
//! The last five exist on an admin port only. Without a token file, writes are disabled.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use cli::{LogLimit, Token, log_level, set_log_level};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::body::method_not_allowed;
use crate::exposition::to_openmetrics;
use crate::fault_spec::FaultSpec;
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::{
    AppInfo, Connection, Identity, Peer, Readiness, ReadinessState, Request, Response, Service, Transport,
    Upgraded, status, text,
};

/// Operational endpoints: `/healthz`, `/readyz`, `/metrics` and `/version`; on an admin port also `/log-level` and `/faults`.
#[derive(Clone)]
pub struct Admin(Arc<Shared>);

struct Shared {
    app: AppInfo,
    identity: Identity,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    /// File with the token for writes.
    token_file: OnceLock<PathBuf>,
    /// For messages about invalid tokens.
    rejections: LogLimit,
    /// Appends the service's own metrics.
    service_metrics: OnceLock<WriteMetrics>,
}

type WriteMetrics = Box<dyn Fn(&mut String) + Send + Sync>;

impl Admin {
    pub(crate) fn new(
        app: AppInfo,
        identity: Identity,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        faults: Arc<Faults>,
    ) -> Self {
        let (token_file, service_metrics) = (OnceLock::new(), OnceLock::new());
        let rejections = LogLimit::new();
        Self(Arc::new(Shared {
            app,
            identity,
            readiness,
            metrics,
            faults,
            token_file,
            rejections,
            service_metrics,
        }))
    }

    pub(crate) fn set_token_file(&self, path: PathBuf) {
        let _ = self.0.token_file.set(path);
    }

    /// Adds the metrics of `service`.
    pub(crate) fn set_service<S: Service>(&self, service: &Arc<S>) {
        // Weak, since the service may hold this value.
        let service = Arc::downgrade(service);
        let write = move |out: &mut String| {
            if let Some(service) = service.upgrade() {
                service.metrics(out);
            }
        };
        let _ = self.0.service_metrics.set(Box::new(write));
    }

    /// Responds if the path is `/healthz`, `/readyz`, `/metrics` or `/version`.
    pub fn handle(&self, request: &Request) -> Option<Response> {
        let response = match request.uri().path() {
            "/healthz" => text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(request.headers()),
            "/version" => text(format!("{} {}\n", self.0.app.name, self.0.app.version)),
            _ => return None,
        };
        let methods = [Method::GET, Method::HEAD];
        Some(if methods.contains(request.method()) { response } else { method_not_allowed(&methods) })
    }

    fn readyz(&self) -> Response {
        let (code, state) = match self.0.readiness.state() {
            ReadinessState::Serving => (StatusCode::OK, "ready"),
            ReadinessState::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            ReadinessState::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready yet"),
        };
        status(code, format!("{state}\n{}", self.0.faults.describe(Instant::now())))
    }

    fn metrics(&self, headers: &HeaderMap) -> Response {
        let mut out = String::new();
        self.0.metrics.render(self.0.app.name, self.0.app.version, &mut out);
        self.0.faults.render(Instant::now(), &mut out);
        if let Some(write) = self.0.service_metrics.get() {
            write(&mut out);
        }
        // Prometheus prefers this format and lists it first.
        let mut accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if accept.any(|value| value.contains("application/openmetrics-text")) {
            let out = to_openmetrics(&out);
            with_content_type(text(out), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        } else {
            with_content_type(text(out), "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    async fn log_level(&self, request: Request, peer: Peer) -> Result<Response, Response> {
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::PUT => {
                self.authorize(&request, peer).map_err(|response| *response)?;
                let body = body(request).await?;
                let level = std::str::from_utf8(body.trim_ascii()).unwrap_or("not UTF-8");
                set_log_level(level)
                    .map_err(|error| bad_request(format_args!("setting log level {level:?}: {error}")))?;
                tracing::info!(%peer, level, "log level set");
            }
            _ => return Err(method_not_allowed(&[Method::GET, Method::HEAD, Method::PUT])),
        }
        Ok(text(format!("{}\n", log_level())))
    }

    async fn faults(&self, request: Request, peer: Peer) -> Result<Response, Response> {
        let faults = &self.0.faults;
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::DELETE => {
                self.authorize(&request, peer).map_err(|response| *response)?;
                faults.stop();
                tracing::warn!(%peer, "fault stopped");
            }
            Method::POST => {
                self.authorize(&request, peer).map_err(|response| *response)?;
                let spec = FaultSpec::parse(&body(request).await?).map_err(bad_request)?;
                if spec.slot.is_some() && spec.slot != self.0.identity.slot {
                    let own = self.0.identity.slot.as_deref().unwrap_or("none");
                    let slot = spec.slot.as_deref().unwrap_or_default();
                    return Ok(text(format!(
                        "fault not started: it is for slot {slot}, and this is slot {own}\n"
                    )));
                }
                tracing::warn!(%peer, fault = %spec, "fault started");
                faults.start(spec, Instant::now());
            }
            _ => return Err(method_not_allowed(&[Method::GET, Method::HEAD, Method::POST, Method::DELETE])),
        }
        let json = faults.spec(Instant::now()).map_or_else(|| "null".to_owned(), |spec| spec.to_string());
        Ok(with_content_type(text(format!("{json}\n")), "application/json"))
    }

    /// Checks the token of a write. The file is read each time, so that the token can be replaced.
    fn authorize(&self, request: &Request, peer: Peer) -> Result<(), Box<Response>> {
        let Some(path) = self.0.token_file.get() else {
            let message = "writes are disabled: start the service with --admin-token-file\n";
            return Err(Box::new(status(StatusCode::FORBIDDEN, message)));
        };
        let token = Token::read(path).map_err(|error| {
            tracing::error!("{error}");
            Box::new(status(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
        })?;
        let header = request.headers().get(header::AUTHORIZATION);
        token.check(header.map(HeaderValue::as_bytes)).map_err(|error| {
            if let Some(more) = self.0.rejections.admit() {
                tracing::warn!(%peer, more, "request rejected: {error}");
            }
            let mut response = status(StatusCode::UNAUTHORIZED, format!("{error}\n"));
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Box::new(response)
        })
    }
}

/// The service of the admin port.
impl Service for Admin {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        if let Some(response) = self.handle(&request) {
            return response;
        }
        let response = match request.uri().path() {
            "/log-level" => self.log_level(request, connection.peer).await,
            "/faults" => self.faults(request, connection.peer).await,
            _ => Err(status(
                StatusCode::NOT_FOUND,
                "not found: the paths are /healthz, /readyz, /metrics, /version, /log-level and /faults\n",
            )),
        };
        response.unwrap_or_else(|error| error)
    }
}

/// The service, or the endpoints of the admin port. As two types they would make each program contain the server twice,
/// a tenth of its size.
pub(crate) enum MainOrAdmin<S> {
    Main(S),
    Admin(Admin),
}

impl<S: Service> Service for MainOrAdmin<S> {
    const HTTP2: bool = S::HTTP2;

    fn methods(&self) -> Option<&[Method]> {
        match self {
            Self::Main(service) => service.methods(),
            Self::Admin(admin) => admin.methods(),
        }
    }

    fn routes(&self) -> &'static [&'static str] {
        match self {
            Self::Main(service) => service.routes(),
            Self::Admin(admin) => admin.routes(),
        }
    }

    fn route(&self, path: &str) -> usize {
        match self {
            Self::Main(service) => service.route(path),
            Self::Admin(admin) => admin.route(path),
        }
    }

    fn try_sync(&self, request: &Request) -> Option<Response> {
        match self {
            Self::Main(service) => service.try_sync(request),
            Self::Admin(admin) => admin.try_sync(request),
        }
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        match self {
            Self::Main(service) => service.call(request, connection).await,
            Self::Admin(admin) => admin.call(request, connection).await,
        }
    }

    fn tcp_port(&self) -> Option<u16> {
        match self {
            Self::Main(service) => service.tcp_port(),
            Self::Admin(_) => None,
        }
    }

    async fn serve_tcp(&self, stream: Upgraded, connection: &Connection) {
        if let Self::Main(service) = self {
            service.serve_tcp(stream, connection).await;
        }
    }

    fn transport(&self) -> Option<&dyn Transport> {
        match self {
            Self::Main(service) => service.transport(),
            Self::Admin(_) => None,
        }
    }

    fn on_disconnect(&self, connection: &Connection) {
        if let Self::Main(service) = self {
            service.on_disconnect(connection);
        }
    }

    fn on_drain(&self) {
        if let Self::Main(service) = self {
            service.on_drain();
        }
    }

    fn metrics(&self, out: &mut String) {
        if let Self::Main(service) = self {
            service.metrics(out);
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("app", &self.0.app).finish_non_exhaustive()
    }
}

async fn body(request: Request) -> Result<Bytes, Response> {
    request.into_body().bytes().await.map_err(|error| error.response())
}

fn bad_request(error: impl fmt::Display) -> Response {
    status(StatusCode::BAD_REQUEST, format!("{error}\n"))
}

fn with_content_type(mut response: Response, content_type: &'static str) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
