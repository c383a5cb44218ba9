//! The service: which request gets which answer.

use std::env;

use cli::Failure;
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
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
use crate::flow::End;
use crate::headers::{host, request_uri, sorted};
use crate::health::Health;
use crate::hops::{Arrival, Origin, Way, remote, way};
use crate::knobs::Knobs;
use crate::query::Query;
use crate::route::{Route, route};
use crate::transport::Layers;
use crate::whoami::{Ends, Framing};
use crate::{amount, health, knobs, websocket, whoami};

/// Its description in `OpenAPI`'s terms.
const OPENAPI: &str = include_str!("../openapi.yaml");

const STATE: HeaderName = HeaderName::from_static("x-state");

/// The service.
#[derive(Debug)]
pub struct Echo {
    args: EchoArgs,
    identity: Identity,
    version: &'static str,
    readiness: Readiness,
    /// What each answer says of who gives it.
    signature: Vec<(HeaderName, HeaderValue)>,
    addresses: Addresses,
    health: Health,
    draining: watch::Sender<bool>,
    layers: Option<Layers>,
}

impl Echo {
    /// As flags and environment have it.
    pub fn new(args: EchoArgs, context: &Context) -> Result<Self, Failure> {
        let identity = context.identity().clone();
        let name = args.name.clone().filter(|name| !name.is_empty());
        let layers = Layers::new(&args.transport, &args.trusted_proxy)?;
        Ok(Self {
            signature: signature(&identity, context.version()),
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
        let (route, more) = route(parts.uri.path());
        if self.args.verbose {
            tracing::info!(
                remote = %self.remote(connection),
                method = %parts.method,
                path = parts.uri.path(),
                protocol = ?parts.version,
                "request"
            );
        }
        let answered = match route {
            Route::Whoami => self.whoami(&parts, body, connection).await,
            Route::Health if parts.method == Method::POST => self.set_health(body).await,
            // Whoever is not asked for the body reads it all the same, or the connection could not be used again.
            _ => match body.ignored().await {
                Ok(()) => self.answer_route(route, more, &parts, connection).await,
                Err(error) => Err(error.into()),
            },
        };
        answered.unwrap_or_else(Refusal::response)
    }

    async fn answer_route(
        &self,
        route: Route,
        more: &str,
        parts: &Parts,
        connection: &Connection,
    ) -> Result<Response, Refusal> {
        let query = Query::new(parts.uri.query());
        let knobs = Knobs { most_bytes: self.args.max_bytes, longest: self.args.max_delay };
        let more = crate::query::text(more, false).unwrap_or_else(|| more.to_owned());
        Ok(match route {
            Route::Whoami => text(""),
            Route::Api => self.api(parts, query, connection),
            Route::Bench => bench(),
            Route::Data => knobs.data(query, parts.headers.get(header::RANGE))?,
            Route::Echo => websocket::answer(parts, &self.args.websocket),
            Route::Health => bare(self.health.get()),
            Route::OpenApi => typed("application/yaml", OPENAPI),
            Route::Status => knobs::status(&more)?,
            Route::Delay => knobs.delay(&more).await?,
            Route::Bytes => knobs.bytes(&more, query)?,
            Route::Stream => knobs.stream(&more, query, self.line())?,
            Route::Sse => {
                knobs.sse(query, parts.headers.get("last-event-id"), self.drained(), self.line())?
            }
            Route::Headers => typed("application/json", knobs::headers(parts)),
            Route::Drip => knobs.drip(query).await?,
            Route::Close => Response::new(Body::abort()),
            Route::Hang => {
                self.drained().await;
                Response::new(Body::abort())
            }
            Route::Hops => text(self.way(parts, connection).to_string()),
        })
    }

    async fn whoami(
        &self,
        parts: &Parts,
        body: RequestBody,
        connection: &Connection,
    ) -> Result<Response, Refusal> {
        let query = Query::new(parts.uri.query());
        // What is no duration makes nobody wait, as with whoami.
        let wait = query.get("wait").filter(|text| parse::go_duration(text).is_ok());
        if let Some(wait) = wait {
            let wait = amount::time(&wait, self.args.max_delay).map_err(|fault| format!("wait={fault}"))?;
            sleep(wait).await;
        }
        let framing = Framing::of(parts, body.is_end_stream());
        let ends = Ends {
            name: self.args.name.as_deref(),
            hostname: &self.identity.host,
            addresses: &self.addresses.all(),
            remote: &self.remote(connection),
            subjects: connection
                .transport_info::<Origin>()
                .and_then(|origin| origin.tls.as_ref())
                .map_or(&[], |tls| tls.subjects.as_slice()),
        };
        let head = whoami::head(ends, parts, framing);
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
            protocol: knobs::protocol(parts.version),
            tls: connection.transport_info::<Origin>().and_then(|origin| origin.tls.as_ref()),
            way: self.way(parts, connection),
            server: Server {
                task: self.identity.task.as_deref(),
                slot: self.identity.slot.as_deref(),
                node: self.identity.node.as_deref(),
                version: self.version,
                state: self.readiness.state().as_str(),
            },
        };
        typed("application/json", json(&data))
    }

    async fn set_health(&self, body: RequestBody) -> Result<Response, Refusal> {
        let code = health::parse(&body.bytes().await?)?;
        self.health.set(code);
        tracing::info!(code = code.as_u16(), "health is set");
        Ok(bare(StatusCode::OK))
    }

    fn environment(&self, query: Query<'_>) -> impl Iterator<Item = (String, String)> + use<> {
        let is_shown = self.args.expose_env && query.is_true("env");
        is_shown
            .then(env::vars_os)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
    }

    fn way(&self, parts: &Parts, connection: &Connection) -> Way {
        let arrival = Arrival {
            peer: connection.peer,
            origin: connection.transport_info(),
            headers: &parts.headers,
            host: &host(parts),
            here: &self.identity.host,
        };
        way(arrival, &self.args.trusted_proxy)
    }

    fn remote(&self, connection: &Connection) -> String {
        remote(connection.peer, connection.transport_info(), &self.args.trusted_proxy)
    }

    /// What a line of a stream says: which one it is, and who says it.
    fn line(&self) -> impl Fn(u64) -> String + Send + Unpin + use<> {
        let (host, readiness) = (self.identity.host.clone(), self.readiness.clone());
        move |id| knobs::line(id, &host, readiness.state().as_str())
    }

    /// Resolves when the drain begins.
    fn drained(&self) -> End {
        let mut draining = self.draining.subscribe();
        Box::pin(async move { drop(draining.wait_for(|&draining| draining).await) })
    }

    fn sign(&self, mut response: Response) -> Response {
        let state = HeaderValue::from_static(self.readiness.state().as_str());
        let headers = response.headers_mut();
        headers.extend(self.signature.iter().cloned());
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
        (is_bench && !self.args.verbose).then(|| self.sign(bench()))
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        self.sign(self.answer(request, connection).await)
    }

    fn transport(&self) -> Option<&dyn Transport> {
        self.layers.as_ref().map(|layers| layers as _)
    }

    fn on_drain(&self) {
        self.draining.send_replace(true);
    }
}

/// Why a request is not answered as asked.
enum Refusal {
    /// It makes no sense.
    Fault(String),
    /// Its body did not come.
    Body(BodyError),
}

impl Refusal {
    fn response(self) -> Response {
        match self {
            Self::Fault(fault) => status(StatusCode::BAD_REQUEST, format!("{fault}\n")),
            Self::Body(error) => error.response(),
        }
    }
}

impl From<String> for Refusal {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

fn signature(identity: &Identity, version: &str) -> Vec<(HeaderName, HeaderValue)> {
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
    typed("text/plain", "1")
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn bare(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// Reading to nobody's use.
trait Ignored {
    async fn ignored(self) -> Result<(), BodyError>;
}

impl Ignored for RequestBody {
    async fn ignored(mut self) -> Result<(), BodyError> {
        use http_body_util::BodyExt;
        while !self.is_end_stream()
            && let Some(frame) = self.frame().await
        {
            frame?;
        }
        Ok(())
    }
}
