//! HTTP API of the hub.
//!
//! | request | response |
//! |---|---|
//! | `GET /traefik?wait=4s&throttle=100ms&router=NAME` | Traefik's dynamic configuration, once it changes; 503 during the warm-up |
//! | `GET /traefik` | the configuration now, for clients that are not routers |
//! | `GET /traefik/beacon?life=…&connection=…&generation=…` | health check by which a router acknowledges a configuration; delayed |
//! | `PUT /v1/instances/ID?wait=2s` | registers an instance or renews its lease (token) |
//! | `DELETE /v1/instances/ID?wait=10s` | withdraws it; responds once every router acknowledged (token) |
//! | `POST /v1/heartbeat` | renews all leases of the connection (token) |
//! | `PUT /v1/managers/NODE` | replaces the services that a manager published (token) |
//! | `GET /v1/instances` | all instances |
//! | `GET /v1/events` | all instances, then each change, as server-sent events |
//! | `GET /healthz` `/readyz` `/metrics` `/version` | the runtime's endpoints, with the hub's own [`metrics`](crate::metrics) |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cli::Token;
use protocol::{ErrorBody, HEARTBEAT, INSTANCES, InstanceId, InvalidId, Registration, Services};
use runtime::{
    Admin, Body, BodyError, Connection, HeaderValue, Method, Request, RequestBody, Response, Service,
    StatusCode, header,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::hub::{Beacon, Hub, Poll};
use crate::query::{MAX_WAIT, Query};
use crate::registry::Withdrawn;
use crate::state::BEACON_PATH;
use crate::{events, metrics};

/// Traefik's default for `providersThrottleDuration`.
const TRAEFIK_THROTTLE: Duration = Duration::from_secs(2);

const CONFIGURATION: &str = "/traefik";
const INSTANCE: &str = "/v1/instances/{id}";
const MANAGER: &str = "/v1/managers/{node}";
const EVENTS: &str = "/v1/events";
const UNKNOWN: &str = "*";

const ROUTES: [&str; 8] =
    [CONFIGURATION, BEACON_PATH, INSTANCES, INSTANCE, MANAGER, HEARTBEAT, EVENTS, UNKNOWN];

/// The hub as a service.
pub(crate) struct Api {
    hub: Arc<Hub>,
    /// Token for changes; `None` accepts all of them.
    token: Option<Token>,
    admin: Admin,
}

/// Error of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    BadRequest(String),
    Unauthorized(&'static str),
    NotFound(String),
    MethodNotAllowed(&'static [Method]),
    Withdrawn(InstanceId),
    /// The body was not received.
    Body(StatusCode, String),
    Unavailable(&'static str),
}

impl Api {
    pub(crate) fn new(hub: Arc<Hub>, token: Option<Token>, admin: Admin) -> Self {
        Self { hub, token, admin }
    }

    async fn handle(&self, request: Request, connection: &Connection) -> Result<Response, ApiError> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let query = Query::new(head.uri.query());
        let route = ROUTES[self.route(path)];
        let methods: &[Method] = match route {
            INSTANCE => &[Method::PUT, Method::DELETE],
            MANAGER => &[Method::PUT],
            HEARTBEAT => &[Method::POST],
            UNKNOWN => return Err(ApiError::NotFound(path.to_owned())),
            _ => &[Method::GET, Method::HEAD],
        };
        if !methods.contains(&head.method) {
            return Err(ApiError::MethodNotAllowed(methods));
        }
        if !head.method.is_safe() {
            self.authorize(head.headers.get(header::AUTHORIZATION), connection)?;
        }
        match route {
            CONFIGURATION => self.configuration(head.headers.get(header::HOST), connection, query).await,
            BEACON_PATH => self.beacon(query).await,
            INSTANCES => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.hub.snapshot().instances))
            }
            EVENTS => {
                query.finish()?;
                let (instances, changes) = self.hub.subscribe();
                Ok(events::stream(instances, changes))
            }
            HEARTBEAT => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.hub.heartbeat(connection.id)))
            }
            MANAGER => {
                let node = id_in(path)?;
                query.finish()?;
                let services: Services = read(body, "services").await?;
                self.hub.publish(node, services);
                Ok(json(StatusCode::OK, &serde_json::Map::new()))
            }
            _ if head.method == Method::PUT => self.register(id_in(path)?, connection, query, body).await,
            _ => self.withdraw(&id_in(path)?, query).await,
        }
    }

    async fn configuration(
        &self,
        host: Option<&HeaderValue>,
        connection: &Connection,
        mut query: Query<'_>,
    ) -> Result<Response, ApiError> {
        let wait = query.wait()?;
        let throttle = query.duration("throttle")?.unwrap_or(TRAEFIK_THROTTLE).min(MAX_WAIT);
        let name = query.text("router")?;
        query.finish()?;
        let document = if wait.is_none() && name.is_none() {
            self.hub.document()
        } else {
            let name = name.unwrap_or_else(|| connection.peer.to_string());
            // Only characters that need no escaping in a URL.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:-_[]".contains(c);
            let host = host.and_then(|host| host.to_str().ok());
            let host = host.filter(|host| !host.is_empty() && host.chars().all(is_plain));
            let poll = Poll { connection: connection.id, name: &name, throttle, host };
            self.hub.poll(&poll, wait.unwrap_or_default()).await
        };
        let document = document.ok_or(ApiError::Unavailable("the hub has just started and is warming up"))?;
        Ok(response(StatusCode::OK, "application/json", document))
    }

    async fn beacon(&self, mut query: Query<'_>) -> Result<Response, ApiError> {
        let [epoch, connection, generation] =
            [query.number("life")?, query.number("connection")?, query.number("generation")?];
        query.finish()?;
        let to_u64 = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let beacon = Beacon { epoch, connection: to_u64(connection), generation: to_u64(generation) };
        self.hub.beacon(beacon).await;
        Ok(response(StatusCode::OK, "text/plain; charset=utf-8", "seen\n"))
    }

    async fn register(
        &self,
        id: InstanceId,
        connection: &Connection,
        mut query: Query<'_>,
        body: RequestBody,
    ) -> Result<Response, ApiError> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let registration: Registration = read(body, "registration").await?;
        if registration.service.is_empty() {
            return Err(ApiError::BadRequest("registration: empty service name".to_owned()));
        }
        let address = registration.address;
        if address.is_unspecified() {
            return Err(ApiError::BadRequest(format!("registration: unspecified address {address}")));
        }
        match self.hub.register(&id, connection.id, registration, wait).await {
            Ok(lease) => Ok(json(StatusCode::OK, &lease)),
            Err(Withdrawn) => Err(ApiError::Withdrawn(id)),
        }
    }

    async fn withdraw(&self, id: &InstanceId, mut query: Query<'_>) -> Result<Response, ApiError> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let withdrawal = self.hub.withdraw(id, wait).await;
        if !withdrawal.pending.is_empty() && self.hub.is_draining() {
            // The client should ask the hub's successor instead of accepting an incomplete withdrawal.
            return Err(ApiError::Unavailable("the hub is stopping"));
        }
        Ok(json(StatusCode::OK, &withdrawal))
    }

    fn authorize(&self, header: Option<&HeaderValue>, connection: &Connection) -> Result<(), ApiError> {
        let Some(token) = &self.token else { return Ok(()) };
        token.check(header.map(HeaderValue::as_bytes)).map_err(|cause| {
            warn!(peer = %connection.peer, "request rejected: {cause}");
            self.hub.count_unauthorized();
            ApiError::Unauthorized(cause)
        })
    }
}

impl Service for Api {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    fn routes(&self) -> &'static [&'static str] {
        &ROUTES
    }

    fn route(&self, path: &str) -> usize {
        let matches = |route: &&str| match route.split_once('{') {
            Some((prefix, _)) => path.starts_with(prefix),
            None => path == *route,
        };
        ROUTES.iter().position(matches).unwrap_or(ROUTES.len() - 1)
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        if let Some(response) = self.admin.handle(&request) {
            return response;
        }
        self.handle(request, connection).await.unwrap_or_else(|error| error.response())
    }

    fn on_disconnect(&self, connection: &Connection) {
        self.hub.disconnected(connection.id);
    }

    fn on_drain(&self) {
        self.hub.drain();
    }

    fn metrics(&self, out: &mut String) {
        metrics::write(out, &self.hub.snapshot());
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Withdrawn(_) => StatusCode::CONFLICT,
            Self::Body(status, _) => *status,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn response(&self) -> Response {
        let mut response = json(self.status(), &ErrorBody { error: self.to_string() });
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::MethodNotAllowed(methods) => {
                headers.extend(HeaderValue::try_from(list(methods)).ok().map(|value| (header::ALLOW, value)));
            }
            _ => {}
        }
        response
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(message) | Self::Body(_, message) => f.write_str(message),
            Self::Unauthorized(message) | Self::Unavailable(message) => f.write_str(message),
            Self::NotFound(path) => write!(f, "no such path: {path}"),
            Self::MethodNotAllowed(methods) => write!(f, "method not allowed; expected {}", list(methods)),
            Self::Withdrawn(id) => {
                write!(f, "instance {id} was withdrawn; a new task with this ID needs another `started`")
            }
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error.response().status(), error.to_string())
    }
}

impl From<InvalidId> for ApiError {
    fn from(error: InvalidId) -> Self {
        Self::BadRequest(error.to_string())
    }
}

fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// Parses the ID at the end of a path, after the collection.
fn id_in(path: &str) -> Result<InstanceId, InvalidId> {
    path.splitn(4, '/').last().unwrap_or_default().parse()
}

/// Reads a JSON body; `object` names it in errors.
async fn read<T: DeserializeOwned>(body: RequestBody, object: &str) -> Result<T, ApiError> {
    let body = body.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::BadRequest(format!("{object}: {error}")))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Only maps with keys that are not strings fail; the protocol has none.
    let text = serde_json::to_string(value).unwrap_or_default();
    response(status, "application/json", text + "\n")
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
