//! The service: passes each request to its handler.

use std::env;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use cli::Failure;
use http::header::HeaderName;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use runtime::{
    Body, Connection, Context, HeaderValue, Identity, Method, Request, RequestBody, Response, Service,
    StatusCode, Transport, Upgraded, header, status, text,
};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::addresses::Addresses;
use crate::api::{Data, Replica, json};
use crate::args::EchoArgs;
use crate::body_stream::Shutdown;
use crate::forwarding::{ForwardingChain, IncomingRequest, TransportInfo, forwarding_chain, remote};
use crate::handlers::{Handlers, with_type};
use crate::headers::{host, request_uri, sorted};
use crate::overrides::Overrides;
use crate::query::Query;
use crate::route::{NAMES, route};
use crate::tcp::Greeting;
use crate::transport::Layers;
use crate::whoami::{Framing, ServerInfo};
use crate::{handlers, health, params, tcp, websocket, whoami};

/// `OpenAPI` description of the service.
const OPENAPI: &str = include_str!("../openapi.yaml");

const STATE: HeaderName = HeaderName::from_static("x-state");

/// The service.
#[derive(Debug)]
pub struct Echo {
    args: EchoArgs,
    context: Context,
    /// Headers that name the task in every response.
    identity_headers: Vec<(HeaderName, HeaderValue)>,
    addresses: Addresses,
    /// Status code of `/health`, which clients can set.
    health: AtomicU16,
    draining: watch::Sender<bool>,
    layers: Option<Layers>,
}

impl Echo {
    /// Builds the service; fails if the TLS files cannot be read.
    pub fn new(args: EchoArgs, context: &Context) -> Result<Self, Failure> {
        let name = args.name.clone().filter(|name| !name.is_empty());
        let layers = Layers::new(&args.transport, &args.trusted_proxy)?;
        Ok(Self {
            identity_headers: identity_headers(context.identity(), context.version()),
            args: EchoArgs { name, ..args },
            context: context.clone(),
            addresses: Addresses::default(),
            health: AtomicU16::new(200),
            draining: watch::Sender::new(false),
            layers,
        })
    }

    async fn answer(&self, request: Request, connection: &Connection) -> Response {
        let (parts, body) = request.into_parts();
        if self.args.verbose {
            tracing::info!(
                remote = %self.remote(connection),
                method = %parts.method,
                path = parts.uri.path(),
                protocol = ?parts.version,
                "request"
            );
        }
        self.answer_route(&parts, body, connection).await.unwrap_or_else(|error| error)
    }

    /// Returns the response of the path's handler with the changes that the query asks for, or an error response.
    async fn answer_route(
        &self,
        parts: &Parts,
        body: RequestBody,
        connection: &Connection,
    ) -> Result<Response, Response> {
        let (route, parameter) = route(parts.uri.path());
        let name = NAMES[route];
        let query = Query::new(parts.uri.query());
        let overrides = match Overrides::parse(query, self.args.max_delay, name == "/response-headers") {
            Ok(overrides) if name == "/" => overrides.or_status(self.args.default_status.as_ref()),
            Ok(overrides) => overrides,
            Err(error) => {
                discard(body).await?;
                return Err(bad_request(error));
            }
        };
        if overrides.delay.1 > Duration::ZERO {
            sleep(handlers::pick(overrides.delay)).await;
        }
        let max_delay = self.args.max_delay.saturating_sub(overrides.delay.1);
        let handlers = Handlers { max_bytes: self.args.max_bytes, max_delay };
        let mut response = match name {
            "/" => self.whoami(parts, body, handlers, connection).await?,
            "/health" if parts.method == Method::POST => self.set_health(body).await?,
            // The body is read even if it is not used: otherwise the connection could not be reused.
            _ => {
                discard(body).await?;
                let response = self.call_handler(name, parameter, parts, handlers, connection, &overrides);
                response.await.map_err(bad_request)?
            }
        };
        overrides.apply(&mut response);
        Ok(response)
    }

    async fn call_handler(
        &self,
        name: &str,
        parameter: &str,
        parts: &Parts,
        handlers: Handlers,
        connection: &Connection,
        overrides: &Overrides,
    ) -> Result<Response, String> {
        let query = Query::new(parts.uri.query());
        let parameter = crate::query::decode(parameter, false).unwrap_or_else(|| parameter.to_owned());
        Ok(match name {
            "/api" => self.api(parts, query, connection),
            "/bench" => bench(),
            "/data" => handlers.data(query, parts.headers.get(header::RANGE))?,
            "/echo" => websocket::upgrade(parts, &self.args.websocket),
            "/health" => empty(StatusCode::from_u16(self.health.load(Ordering::Relaxed)).unwrap_or_default()),
            "/openapi.yaml" => with_type("application/yaml", OPENAPI),
            "/status/{codes}" => handlers::status(&parameter)?,
            "/delay/{time}" => handlers.delay(&parameter).await?,
            "/bytes/{size}" => handlers.bytes(&parameter, query)?,
            "/stream/{count}" => handlers.stream(&parameter, query, self.line())?,
            "/sse" => handlers.sse(query, parts.headers.get("last-event-id"), self.drained(), self.line())?,
            "/headers" => handlers::headers(parts),
            "/response-headers" => handlers::response_headers(overrides.headers()),
            "/drip" => handlers.drip(query)?,
            "/hops" => text(self.forwarding_chain(parts, connection).to_string()),
            "/hang" => {
                self.drained().await;
                Response::new(Body::abort())
            }
            // `/close`.
            _ => Response::new(Body::abort()),
        })
    }

    async fn whoami(
        &self,
        parts: &Parts,
        body: RequestBody,
        handlers: Handlers,
        connection: &Connection,
    ) -> Result<Response, Response> {
        let query = Query::new(parts.uri.query());
        // As in whoami, an invalid duration is ignored.
        let wait = query.get("wait").filter(|text| parse::go_duration(text).is_ok());
        if let Some(wait) = wait {
            match params::time(&wait, handlers.max_delay) {
                Ok(wait) => sleep(wait).await,
                Err(error) => return Err(bad_request(format!("wait={error}"))),
            }
        }
        let framing = Framing::of(parts, body.is_end_stream());
        let info = ServerInfo {
            name: self.args.name.as_deref(),
            hostname: &self.context.identity().host,
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
        whoami::body(head, framing, body, tail).await.map(text).map_err(|error| error.response())
    }

    fn api(&self, parts: &Parts, query: Query<'_>, connection: &Connection) -> Response {
        let data = Data {
            hostname: &self.context.identity().host,
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
            task: self.task(),
        };
        with_type("application/json", json(&data))
    }

    async fn set_health(&self, body: RequestBody) -> Result<Response, Response> {
        let body = body.bytes().await.map_err(|error| error.response())?;
        let code = health::parse(&body).map_err(bad_request)?;
        self.health.store(code.as_u16(), Ordering::Relaxed);
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
            here: &self.context.identity().host,
        };
        forwarding_chain(request, &self.args.trusted_proxy)
    }

    fn remote(&self, connection: &Connection) -> String {
        remote(connection.peer, connection.transport_info(), &self.args.trusted_proxy)
    }

    /// Returns the first line of a TCP connection.
    fn greeting(&self, connection: &Connection) -> String {
        json(&Greeting {
            hostname: self.context.host(),
            name: self.args.name.as_deref(),
            remote_addr: self.remote(connection),
            tls: connection.transport_info::<TransportInfo>().and_then(|origin| origin.tls.as_ref()),
            task: self.task(),
        })
    }

    fn task(&self) -> Replica<'_> {
        let identity = self.context.identity();
        Replica {
            task: identity.task.as_deref(),
            slot: identity.slot.as_deref(),
            node: identity.node.as_deref(),
            version: self.context.version(),
            state: self.context.readiness().state().as_str(),
        }
    }

    /// Returns the formatter of stream lines.
    fn line(&self) -> impl Fn(u64) -> String + Send + Unpin + use<> {
        let (host, readiness) = (self.context.identity().host.clone(), self.context.readiness().clone());
        move |id| handlers::line(id, &host, readiness.state().as_str())
    }

    /// Returns a future that resolves when the drain begins.
    fn drained(&self) -> Shutdown {
        let mut draining = self.draining.subscribe();
        Box::pin(async move { drop(draining.wait_for(|&draining| draining).await) })
    }

    fn add_identity(&self, mut response: Response) -> Response {
        let state = HeaderValue::from_static(self.context.readiness().state().as_str());
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
        &NAMES
    }

    fn route(&self, path: &str) -> usize {
        route(path).0
    }

    fn try_sync(&self, request: &Request) -> Option<Response> {
        let uri = request.uri();
        let is_bench = uri.path() == "/bench" && uri.query().is_none() && request.body().is_end_stream();
        (is_bench && !self.args.verbose).then(|| self.add_identity(bench()))
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        self.add_identity(self.answer(request, connection).await)
    }

    fn tcp_port(&self) -> Option<u16> {
        self.args.tcp.tcp_port
    }

    async fn serve_tcp(&self, stream: Upgraded, connection: &Connection) {
        if self.args.verbose {
            tracing::info!(remote = %self.remote(connection), "TCP connection");
        }
        let greeting = if self.args.tcp.tcp_greeting { self.greeting(connection) } else { String::new() };
        tcp::echo(stream, greeting, self.context.limits()).await;
    }

    fn transport(&self) -> Option<&dyn Transport> {
        self.layers.as_ref().map(|layers| layers as _)
    }

    fn on_drain(&self) {
        self.draining.send_replace(true);
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

fn bad_request(message: String) -> Response {
    status(StatusCode::BAD_REQUEST, message + "\n")
}

fn empty(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// Reads a body to its end.
async fn discard(mut body: RequestBody) -> Result<(), Response> {
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        frame.map_err(|error| error.response())?;
    }
    Ok(())
}
