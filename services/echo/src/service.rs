//! The service: passes each request to its handler.

use std::env;

use cli::Failure;
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use runtime::{
    Body, BodyError, Connection, Context, HeaderValue, Identity, Method, Readiness, Request, RequestBody,
    Response, Service, StatusCode, Transport, header, status, text,
};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::addresses::Addresses;
use crate::api::{Data, Server, json};
use crate::args::EchoArgs;
use crate::body_stream::Shutdown;
use crate::forwarding::{ForwardingChain, IncomingRequest, TransportInfo, forwarding_chain, remote};
use crate::handlers::Handlers;
use crate::headers::{host, request_uri, sorted};
use crate::health::Health;
use crate::query::Query;
use crate::route::{Route, route};
use crate::transport::Layers;
use crate::whoami::{Framing, ServerInfo};
use crate::{handlers, health, params, websocket, whoami};

/// `OpenAPI` description of the service.
const OPENAPI: &str = include_str!("../openapi.yaml");

const STATE: HeaderName = HeaderName::from_static("x-state");

/// The service.
#[derive(Debug)]
pub struct Echo {
    args: EchoArgs,
    identity: Identity,
    version: &'static str,
    readiness: Readiness,
    /// Headers that name the task in every response.
    identity_headers: Vec<(HeaderName, HeaderValue)>,
    addresses: Addresses,
    health: Health,
    draining: watch::Sender<bool>,
    layers: Option<Layers>,
}

impl Echo {
    /// Builds the service; fails if the TLS files cannot be read.
    pub fn new(args: EchoArgs, context: &Context) -> Result<Self, Failure> {
        let identity = context.identity().clone();
        let name = args.name.clone().filter(|name| !name.is_empty());
        let layers = Layers::new(&args.transport, &args.trusted_proxy)?;
        Ok(Self {
            identity_headers: identity_headers(&identity, context.version()),
            args: EchoArgs { name, ..args },
            identity,
            version: context.version(),
            readiness: context.readiness().clone(),
            addresses: Addresses::default(),
            health: Health::default(),
            draining: watch::Sender::new(false),
            layers,
        })
    }

    async fn answer(&self, request: Request, connection: &Connection) -> Response {
        let (parts, body) = request.into_parts();
        let (route, parameter) = route(parts.uri.path());
        if self.args.verbose {
            tracing::info!(
                remote = %self.remote(connection),
                method = %parts.method,
                path = parts.uri.path(),
                protocol = ?parts.version,
                "request"
            );
        }
        let outcome = match route {
            Route::Whoami => self.whoami(&parts, body, connection).await,
            Route::Health if parts.method == Method::POST => self.set_health(body).await,
            // The body is read even if it is not used: otherwise the connection could not be reused.
            _ => match discard(body).await {
                Ok(()) => self.answer_route(route, parameter, &parts, connection).await,
                Err(error) => Err(error.into()),
            },
        };
        outcome.unwrap_or_else(RequestError::response)
    }

    async fn answer_route(
        &self,
        route: Route,
        parameter: &str,
        parts: &Parts,
        connection: &Connection,
    ) -> Result<Response, RequestError> {
        let query = Query::new(parts.uri.query());
        let handlers = Handlers { max_bytes: self.args.max_bytes, max_delay: self.args.max_delay };
        let parameter = crate::query::decode(parameter, false).unwrap_or_else(|| parameter.to_owned());
        Ok(match route {
            Route::Whoami => text(""),
            Route::Api => self.api(parts, query, connection),
            Route::Bench => bench(),
            Route::Data => handlers.data(query, parts.headers.get(header::RANGE))?,
            Route::Echo => websocket::upgrade(parts, &self.args.websocket),
            Route::Health => empty(self.health.get()),
            Route::OpenApi => with_type("application/yaml", OPENAPI),
            Route::Status => handlers::status(&parameter)?,
            Route::Delay => handlers.delay(&parameter).await?,
            Route::Bytes => handlers.bytes(&parameter, query)?,
            Route::Stream => handlers.stream(&parameter, query, self.line())?,
            Route::Sse => {
                handlers.sse(query, parts.headers.get("last-event-id"), self.drained(), self.line())?
            }
            Route::Headers => with_type("application/json", handlers::headers(parts)),
            Route::Drip => handlers.drip(query).await?,
            Route::Close => Response::new(Body::abort()),
            Route::Hang => {
                self.drained().await;
                Response::new(Body::abort())
            }
            Route::Hops => text(self.forwarding_chain(parts, connection).to_string()),
        })
    }

    async fn whoami(
        &self,
        parts: &Parts,
        body: RequestBody,
        connection: &Connection,
    ) -> Result<Response, RequestError> {
        let query = Query::new(parts.uri.query());
        // As in whoami, an invalid duration is ignored.
        let wait = query.get("wait").filter(|text| parse::go_duration(text).is_ok());
        if let Some(wait) = wait {
            let wait = params::time(&wait, self.args.max_delay).map_err(|error| format!("wait={error}"))?;
            sleep(wait).await;
        }
        let framing = Framing::of(parts, body.is_end_stream());
        let info = ServerInfo {
            name: self.args.name.as_deref(),
            hostname: &self.identity.host,
            addresses: &self.addresses.all(),
            remote: &self.remote(connection),
            subjects: connection
                .transport_info::<TransportInfo>()
                .and_then(|origin| origin.tls.as_ref())
                .map_or(&[], |tls| tls.subjects.as_slice()),
        };
        let head = whoami::head(info, parts, framing);
        let tail =
            self.environment(query).flat_map(|(name, value)| [name, "=".to_owned(), value, "\n".to_owned()]);
        let tail = tail.collect();
        Ok(text(whoami::body(head, framing, body, tail).await?))
    }

    fn api(&self, parts: &Parts, query: Query<'_>, connection: &Connection) -> Response {
        let data = Data {
            hostname: &self.identity.host,
            ip: &self.addresses.all(),
            headers: sorted(parts).into_iter().collect(),
            url: request_uri(&parts.uri),
            host: host(parts),
            method: parts.method.as_str(),
            name: self.args.name.as_deref(),
            remote_addr: self.remote(connection),
            environ: self.environment(query).collect(),
            protocol: handlers::protocol(parts.version),
            tls: connection.transport_info::<TransportInfo>().and_then(|origin| origin.tls.as_ref()),
            forwarding: self.forwarding_chain(parts, connection),
            server: Server {
                task: self.identity.task.as_deref(),
                slot: self.identity.slot.as_deref(),
                node: self.identity.node.as_deref(),
                version: self.version,
                state: self.readiness.state().as_str(),
            },
        };
        with_type("application/json", json(&data))
    }

    async fn set_health(&self, body: RequestBody) -> Result<Response, RequestError> {
        let code = health::parse(&body.bytes().await?)?;
        self.health.set(code);
        tracing::info!(code = code.as_u16(), "health status set");
        Ok(empty(StatusCode::OK))
    }

    fn environment(&self, query: Query<'_>) -> impl Iterator<Item = (String, String)> + use<> {
        let is_shown = self.args.expose_env && query.is_true("env");
        is_shown
            .then(env::vars_os)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
    }

    fn forwarding_chain(&self, parts: &Parts, connection: &Connection) -> ForwardingChain {
        let request = IncomingRequest {
            peer: connection.peer,
            origin: connection.transport_info(),
            headers: &parts.headers,
            host: &host(parts),
            here: &self.identity.host,
        };
        forwarding_chain(request, &self.args.trusted_proxy)
    }

    fn remote(&self, connection: &Connection) -> String {
        remote(connection.peer, connection.transport_info(), &self.args.trusted_proxy)
    }

    /// Returns the formatter of stream lines.
    fn line(&self) -> impl Fn(u64) -> String + Send + Unpin + use<> {
        let (host, readiness) = (self.identity.host.clone(), self.readiness.clone());
        move |id| handlers::line(id, &host, readiness.state().as_str())
    }

    /// Returns a future that resolves when the drain begins.
    fn drained(&self) -> Shutdown {
        let mut draining = self.draining.subscribe();
        Box::pin(async move { drop(draining.wait_for(|&draining| draining).await) })
    }

    fn add_identity(&self, mut response: Response) -> Response {
        let state = HeaderValue::from_static(self.readiness.state().as_str());
        let headers = response.headers_mut();
        headers.extend(self.identity_headers.iter().cloned());
        headers.insert(STATE, state);
        response
    }
}

impl Service for Echo {
    const HTTP2: bool = true;

    fn methods(&self) -> Option<&[Method]> {
        None
    }

    fn routes(&self) -> &'static [&'static str] {
        &Route::NAMES
    }

    fn route(&self, path: &str) -> usize {
        route(path).0 as usize
    }

    fn try_sync(&self, request: &Request) -> Option<Response> {
        let is_bench = request.uri().path() == "/bench" && request.body().is_end_stream();
        (is_bench && !self.args.verbose).then(|| self.add_identity(bench()))
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        self.add_identity(self.answer(request, connection).await)
    }

    fn transport(&self) -> Option<&dyn Transport> {
        self.layers.as_ref().map(|layers| layers as _)
    }

    fn on_drain(&self) {
        self.draining.send_replace(true);
    }
}

/// Error of a request without a regular response.
enum RequestError {
    /// A parameter is invalid.
    Invalid(String),
    /// The request body could not be read.
    Body(BodyError),
}

impl RequestError {
    fn response(self) -> Response {
        match self {
            Self::Invalid(message) => status(StatusCode::BAD_REQUEST, format!("{message}\n")),
            Self::Body(error) => error.response(),
        }
    }
}

impl From<String> for RequestError {
    fn from(message: String) -> Self {
        Self::Invalid(message)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

fn identity_headers(identity: &Identity, version: &str) -> Vec<(HeaderName, HeaderValue)> {
    let named = [
        ("x-task", identity.task.as_deref()),
        ("x-slot", identity.slot.as_deref()),
        ("x-node", identity.node.as_deref()),
        ("x-version", Some(version)),
    ];
    let header = |(name, value): (&'static str, Option<&str>)| {
        Some((HeaderName::from_static(name), HeaderValue::from_bytes(value?.as_bytes()).ok()?))
    };
    named.into_iter().filter_map(header).collect()
}

fn bench() -> Response {
    with_type("text/plain", "1")
}

fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn empty(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// Reads a body to its end.
async fn discard(mut body: RequestBody) -> Result<(), BodyError> {
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        frame?;
    }
    Ok(())
}
