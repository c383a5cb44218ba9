//! HTTP API of the hub.
//!
//! | request | response | token |
//! |---|---|---|
//! | `GET /traefik?wait=4s&throttle=100ms&router=NAME&api=8080` | Traefik's dynamic configuration, once it changes; 503 during the warm-up | router |
//! | `GET /traefik` | the configuration now without secrets, for clients that are not routers | router |
//! | `GET /traefik/beacon?connection=…&generation=…&nonce=…` | health check by which a router acknowledges a configuration; delayed | none: the nonce is the proof |
//! | `PUT /v1/instances/ID?wait=2s` | registers an instance or renews its lease | service, agent, manager |
//! | `DELETE /v1/instances/ID?wait=10s` | withdraws it; responds once every router acknowledged | that of its registration |
//! | `POST /v1/heartbeat` | renews all leases of the connection | service, agent, manager |
//! | `PUT /v1/managers/NODE` | replaces the services that a manager published | manager |
//! | `PUT /v1/updates/SERVICE` | takes the update of a service, for which a heartbeat asked | manager |
//! | `GET /v1/instances` | all instances | reader |
//! | `GET /v1/services/SERVICE?wait=5s` | labels, configuration, reports and instances of a service; with `wait`, also its update, as a manager knows it | reader |
//! | `GET /v1/routed/SERVICE` | whether the service is routed | service, agent, manager, reader |
//! | `GET /v1/events` | state of the hub, latest events and all instances, then each change, as server-sent events | reader |
//! | `GET /v1/status` | state of the hub, and its routers | reader |
//! | `GET /prometheus` | all tasks, for Prometheus' HTTP service discovery | reader |
//! | `GET /` | a page for people, which follows the events | reader |
//! | `GET /healthz` `/readyz` `/metrics` `/version` | the runtime's endpoints, with the hub's own [`metrics`](crate::metrics) | none |
//!
//! A hub with a certificate answers requests that need a token only over TLS, and all others with or without, on the same port.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use cli::LogLimit;
use parse::{Cidr, form_decode};
use protocol::{ErrorBody, HEARTBEAT, INSTANCES, InstanceId, Registration, Routed, Services, Update};
use runtime::{
    Admin, Body, Connection, EstablishFuture, Established, HeaderValue, Method, Peer, Request, RequestBody,
    Response, Service, StatusCode, Stream, Transport, header,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::address;
use crate::auth::{Auth, Identity, Role, one_of};
use crate::explanation::no_such_service;
use crate::hub::{Denied, Hub, now};
use crate::limits::{Limits, Permit};
use crate::query::{MAX_WAIT, Query};
use crate::routers::Poll;
use crate::state::BEACON_PATH;
use crate::{events, metrics, prometheus};

/// Traefik's default for `providersThrottleDuration`.
const TRAEFIK_THROTTLE: Duration = Duration::from_secs(2);

/// Error of requests that need to know all instances.
const WARMING_UP: &str = "the hub is warming up after its start";

const CONFIGURATION: &str = "/traefik";
const INSTANCE: &str = "/v1/instances/{id}";
const MANAGER: &str = "/v1/managers/{node}";
const SERVICE: &str = "/v1/services/{service}";
const ROUTED_SERVICE: &str = "/v1/routed/{service}";
const UPDATE: &str = "/v1/updates/{service}";
const EVENTS: &str = "/v1/events";
const STATUS: &str = "/v1/status";
const TARGETS: &str = "/prometheus";
const PAGE: &str = "/";
const STYLE: &str = "/page.css";
const SCRIPT: &str = "/page.js";
const UNKNOWN: &str = "*";

const ROUTES: [&str; 16] = [
    CONFIGURATION,
    BEACON_PATH,
    INSTANCES,
    INSTANCE,
    MANAGER,
    HEARTBEAT,
    SERVICE,
    ROUTED_SERVICE,
    UPDATE,
    EVENTS,
    STATUS,
    TARGETS,
    PAGE,
    STYLE,
    SCRIPT,
    UNKNOWN,
];

/// Header fields of the page: it loads nothing from elsewhere, and no other page can frame it.
const PAGE_HEADERS: [(header::HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// The hub as a service.
pub(crate) struct Api {
    pub(crate) hub: Arc<Hub>,
    pub(crate) auth: Auth,
    /// Networks whose addresses a service's token may register over a connection from another address.
    pub(crate) allowed_addresses: Vec<Cidr>,
    pub(crate) admin: Admin,
    pub(crate) accept: Accept,
    /// For messages about requests without a valid token.
    pub(crate) rejections: LogLimit,
}

/// Interval at which the kernel probes silent clients.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum length of a name in a registration, in bytes. Docker's names are shorter.
const MAX_NAME: usize = 255;
/// Time after which the kernel closes the connection of a client that does not answer.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// Accepts connections within the limits, each with its [`Link`], and closes it if the client's host is lost.
pub(crate) struct Accept {
    pub(crate) limits: Limits,
    /// TLS, if the hub has a certificate.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// A connection below HTTP.
struct Link {
    /// Address at which the client reached the hub.
    local: SocketAddr,
    /// Whether the connection lacks the TLS that the hub has.
    lacks_tls: bool,
}

impl Transport for Accept {
    fn establish(&self, stream: Stream, peer: Peer) -> EstablishFuture<'_> {
        let admitted = self.limits.open(peer);
        Box::pin(async move {
            admitted.map_err(|error| io::Error::other(error.message))?;
            self.establish(stream).await
        })
    }
}

impl Accept {
    async fn establish(&self, mut stream: Stream) -> io::Result<Established> {
        stream.detect_lost_peer(PROBE_INTERVAL, LOST_AFTER)?;
        let local = stream.local_addr();
        let mut lacks_tls = false;
        if let Some(tls) = &self.tls {
            if stream.read_ahead().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Every HTTP method starts with a capital letter, and no TLS record does.
            lacks_tls = stream.prefix().first().is_some_and(u8::is_ascii_uppercase);
            if !lacks_tls {
                stream = Stream::layered(tls.accept(stream).await?);
            }
        }
        // An IPv4 client of a socket for both families has a mapped address.
        let local = local.map(|local| SocketAddr::new(local.ip().to_canonical(), local.port()));
        let info = local.map(|local| Box::new(Link { local, lacks_tls }) as Box<_>);
        Ok(Established { stream, info })
    }
}

/// Error of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    pub(crate) message: String,
    /// Whether the connection closes after the response.
    closes: bool,
}

impl Api {
    async fn handle(&self, request: Request, connection: &Connection) -> Result<Response, ApiError> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let query = Query::new(head.uri.query());
        let route = ROUTES[self.route(path)];
        let link = connection.transport_info::<Link>();
        // A health check carries no token. Without its nonce it acknowledges nothing.
        let identity = match route {
            BEACON_PATH => Identity::Insecure,
            _ if link.is_some_and(|link| link.lacks_tls) => {
                let cause = format_args!("the hub expects HTTPS here; use https:// in its URL");
                return Err(self.reject(connection, StatusCode::BAD_REQUEST, cause));
            }
            _ => self.identify(head.headers.get(header::AUTHORIZATION), roles(route), connection)?,
        };
        let allowed = match route {
            INSTANCE => "PUT, DELETE",
            MANAGER | UPDATE => "PUT",
            HEARTBEAT => "POST",
            UNKNOWN => return Err(ApiError::new(StatusCode::NOT_FOUND, format!("no such path: {path}"))),
            _ => "GET, HEAD",
        };
        if allowed.split(", ").all(|method| head.method != method) {
            let message = format!("method not allowed; expected {allowed}");
            let mut response = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return Ok(response);
        }
        match route {
            CONFIGURATION => self.configuration(connection, head.headers.get(header::HOST), query).await,
            BEACON_PATH => self.beacon(query).await,
            EVENTS => {
                query.finish()?;
                let permit = self.accept.limits.follower(connection.peer).map_err(ApiError::closing)?;
                Ok(events::stream(Arc::clone(&self.hub), permit))
            }
            INSTANCES | SERVICE | ROUTED_SERVICE | STATUS | TARGETS => self.tell(route, path, query).await,
            PAGE => Ok(page("text/html; charset=utf-8", include_str!("page/index.html"))),
            STYLE => Ok(page("text/css; charset=utf-8", include_str!("page/page.css"))),
            SCRIPT => Ok(page("text/javascript; charset=utf-8", include_str!("page/page.js"))),
            HEARTBEAT => {
                query.finish()?;
                let address = link.map(|link| link.local.ip());
                let is_manager = identity.has_role(&[Role::Manager]);
                Ok(json(StatusCode::OK, &self.hub.heartbeat(connection.id, address, is_manager)))
            }
            UPDATE => {
                let service = service_in(path)?;
                query.finish()?;
                let _permit = self.accept.limits.registration(connection.peer, size(&head.headers))?;
                let update: Update = read(body, "update").await?;
                self.hub.take_answer(&service, update);
                Ok(json(StatusCode::OK, &serde_json::Map::new()))
            }
            MANAGER => {
                let node = id_in(path)?;
                query.finish()?;
                let _permit = self.accept.limits.registration(connection.peer, size(&head.headers))?;
                let services: Services = read(body, "services").await?;
                self.hub.publish(node, services);
                Ok(json(StatusCode::OK, &serde_json::Map::new()))
            }
            _ if head.method == Method::PUT => {
                let permit = self.accept.limits.registration(connection.peer, size(&head.headers))?;
                self.register(&identity, id_in(path)?, connection, query, (body, permit)).await
            }
            _ => {
                let id = id_in(path)?;
                let response = self.withdraw(&identity, &id, connection, query).await?;
                self.accept.limits.withdrawn(connection.peer, &id);
                Ok(response)
            }
        }
    }

    /// Responds with a part of the hub's state.
    async fn tell(&self, route: &str, path: &str, mut query: Query<'_>) -> Result<Response, ApiError> {
        let wait = if route == SERVICE { query.wait()? } else { None };
        query.finish()?;
        match route {
            INSTANCES => {
                let instances = self.hub.state().instances();
                Ok(json(StatusCode::OK, &instances))
            }
            SERVICE => {
                let service = service_in(path)?;
                if let Some(explanation) = self.hub.explain(&service, wait).await {
                    return Ok(json(StatusCode::OK, &explanation));
                }
                let state = self.hub.state();
                let message = no_such_service(&service, state.registry.names().iter().copied());
                Err(ApiError::new(StatusCode::NOT_FOUND, message))
            }
            ROUTED_SERVICE => {
                let state = self.hub.state();
                let routed = state.registry.is_routed(&service_in(path)?, &state.routers);
                Ok(json(StatusCode::OK, &Routed { routed }))
            }
            STATUS => Ok(json(StatusCode::OK, &self.hub.state().status(now()))),
            _ => {
                let state = self.hub.state();
                if !state.is_ready() {
                    // Prometheus keeps the targets that it has.
                    return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, WARMING_UP));
                }
                let instances = state.registry.instances.iter();
                let targets: Vec<_> = instances
                    .filter_map(|(id, instance)| {
                        let registration = &instance.registration;
                        prometheus::target(id, registration, &state.registry.labels_of(registration))
                    })
                    .collect();
                Ok(json(StatusCode::OK, &targets))
            }
        }
    }

    async fn configuration(
        &self,
        connection: &Connection,
        host: Option<&HeaderValue>,
        mut query: Query<'_>,
    ) -> Result<Response, ApiError> {
        let wait = query.wait()?;
        let throttle = query.duration("throttle")?.unwrap_or(TRAEFIK_THROTTLE).min(MAX_WAIT);
        let name = query.text("router")?;
        let api = query.text("api")?.map(|port| {
            port.parse::<NonZeroU16>()
                .map_err(|_| ApiError::bad_request(format!("api={port}: expected a port from 1 to 65535")))
        });
        let api = api.transpose()?;
        query.finish()?;
        let document = if wait.is_none() && name.is_none() && api.is_none() {
            self.hub.state().public_document()
        } else {
            let Some(Link { local, .. }) = connection.transport_info() else {
                return Err(ApiError::bad_request(
                    "a router polls over TCP, so that it can request the beacon",
                ));
            };
            let name = name.unwrap_or_else(|| connection.peer.to_string());
            self.accept.limits.count_router(connection.peer).map_err(ApiError::closing)?;
            if !self.hub.state().routers.admits(connection.id, &name) {
                let message = "too many routers that polled within the last seconds";
                return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).closing());
            }
            let api = match (api, connection.peer) {
                (Some(port), Peer::Tcp(peer)) => Some(SocketAddr::new(peer.ip().to_canonical(), port.get())),
                _ => None,
            };
            let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
            let name_of_hub = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
            let poll = Poll { name, throttle, host: local.to_string(), name_of_hub, api };
            self.hub.poll(connection.id, &poll, wait.unwrap_or_default()).await
        };
        match document {
            Some(document) => Ok(response(StatusCode::OK, "application/json", document)),
            None => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, WARMING_UP)),
        }
    }

    async fn beacon(&self, mut query: Query<'_>) -> Result<Response, ApiError> {
        let [connection, generation] = [query.number("connection")?, query.number("generation")?];
        let nonce = query.text("nonce")?.ok_or_else(|| ApiError::bad_request("missing parameter nonce"))?;
        query.finish()?;
        if !self.hub.beacon(connection, generation, &nonce).await {
            return Err(ApiError::new(StatusCode::NOT_FOUND, "no such beacon: another hub sent it"));
        }
        Ok(response(StatusCode::OK, "text/plain; charset=utf-8", "seen\n"))
    }

    async fn register(
        &self,
        identity: &Identity,
        id: InstanceId,
        connection: &Connection,
        mut query: Query<'_>,
        (body, permit): (RequestBody, Permit),
    ) -> Result<Response, ApiError> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let registration: Registration = read(body, "registration").await?;
        if registration.service.is_empty() {
            return Err(ApiError::bad_request("registration: empty service name"));
        }
        // Events repeat these names.
        let names = [Some(&registration.service), registration.node.as_ref(), registration.slot.as_ref()];
        if let Some(name) = names.into_iter().flatten().find(|name| name.len() > MAX_NAME) {
            let message = format!(
                "registration: service, node and slot have at most {MAX_NAME} bytes, not {}",
                name.len()
            );
            return Err(ApiError::bad_request(message));
        }
        if !identity.acts_for(&registration.service) {
            return Err(ApiError::forbidden(identity, format_args!("service {}", registration.service)));
        }
        let address = registration.address;
        if address.is_unspecified() {
            return Err(ApiError::bad_request(format!("registration: unspecified address {address}")));
        }
        if matches!(identity, Identity::Service(_)) {
            let peer = match connection.peer {
                Peer::Tcp(peer) => Some(peer.ip().to_canonical()),
                Peer::Unix => None,
            };
            address::check(peer, address, &self.allowed_addresses).map_err(|cause| {
                ApiError::new(StatusCode::FORBIDDEN, format_args!("registration: {cause}"))
            })?;
        }
        self.accept.limits.registered(connection.peer, id.clone(), permit);
        let lease = self.hub.register(identity, &id, connection.id, registration, wait).await;
        Ok(json(StatusCode::OK, &lease.map_err(|denied| ApiError::denied(denied, identity, &id))?))
    }

    async fn withdraw(
        &self,
        identity: &Identity,
        id: &InstanceId,
        connection: &Connection,
        mut query: Query<'_>,
    ) -> Result<Response, ApiError> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let withdrawal = self.hub.withdraw(identity, id, connection.id, wait).await;
        let withdrawal = withdrawal.map_err(|denied| ApiError::denied(denied, identity, id))?;
        if !withdrawal.pending.is_empty() && self.hub.state().draining {
            // The client should ask the hub's successor instead of accepting an incomplete withdrawal.
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the hub is stopping"));
        }
        Ok(json(StatusCode::OK, &withdrawal))
    }

    /// Identifies the client, which needs one of `roles`.
    fn identify(
        &self,
        header: Option<&HeaderValue>,
        roles: &[Role],
        connection: &Connection,
    ) -> Result<Identity, ApiError> {
        let roles_text = one_of(roles);
        let identity = self.auth.authenticate(header.map(HeaderValue::as_bytes)).map_err(|cause| {
            let needs = if roles.is_empty() { String::new() } else { format!(" of role {roles_text}") };
            let cause = format_args!(
                "{cause}: send the header authorization: Bearer TOKEN with a token{needs}; `hub token` prints it"
            );
            self.reject(connection, StatusCode::UNAUTHORIZED, cause).closing()
        })?;
        if roles.is_empty() || identity.has_role(roles) {
            return Ok(identity);
        }
        let cause = format_args!(
            "the token is that of {identity}; this request needs role {roles_text}, for which `hub token` prints a token"
        );
        Err(self.reject(connection, StatusCode::FORBIDDEN, cause))
    }

    /// Counts and logs a request without the right to what it asks for.
    fn reject(&self, connection: &Connection, status: StatusCode, cause: fmt::Arguments<'_>) -> ApiError {
        if let Some(more) = self.rejections.admit() {
            warn!(peer = %connection.peer, more, "request rejected: {cause}");
        }
        self.hub.state().counters.unauthorized += 1;
        ApiError::new(status, cause)
    }
}

/// Returns the roles that may request a route; none for a path that does not exist.
fn roles(route: &str) -> &'static [Role] {
    match route {
        CONFIGURATION => &[Role::Router],
        INSTANCES | SERVICE | EVENTS | STATUS | TARGETS | PAGE | STYLE | SCRIPT => &[Role::Reader],
        INSTANCE | HEARTBEAT => &[Role::Service, Role::Agent, Role::Manager],
        ROUTED_SERVICE => &[Role::Service, Role::Agent, Role::Manager, Role::Reader],
        MANAGER | UPDATE => &[Role::Manager],
        _ => &[],
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

    fn transport(&self) -> Option<&dyn Transport> {
        Some(&self.accept)
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        if let Some(response) = self.admin.handle(&request) {
            return response;
        }
        self.handle(request, connection).await.unwrap_or_else(ApiError::response)
    }

    fn on_disconnect(&self, connection: &Connection) {
        self.hub.disconnected(connection.id);
        self.accept.limits.close(connection.peer);
    }

    fn on_drain(&self) {
        self.hub.drain();
    }

    fn metrics(&self, out: &mut String) {
        metrics::write(out, &self.hub.state(), now());
    }
}

impl ApiError {
    pub(crate) fn bad_request<M: fmt::Display>(message: M) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn forbidden(identity: &Identity, object: impl fmt::Display) -> Self {
        let message = format_args!("the token is that of {identity}, and not for {object}");
        Self::new(StatusCode::FORBIDDEN, message)
    }

    fn denied(denied: Denied, identity: &Identity, id: &InstanceId) -> Self {
        match denied {
            Denied::Withdrawn => Self::new(
                StatusCode::CONFLICT,
                format_args!(
                    "instance {id} was withdrawn; a new task with this ID needs a different `started`"
                ),
            ),
            Denied::Owned(owner) if identity.acts_for(&owner) => Self::forbidden(
                identity,
                format_args!("instance {id} of service {owner}, which has a sidecar"),
            ),
            Denied::Owned(owner) => {
                Self::forbidden(identity, format_args!("instance {id} of service {owner}"))
            }
        }
    }

    pub(crate) fn new(status: StatusCode, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string(), closes: false }
    }

    /// Closes the connection, so that a client beyond a bound, or without a token, holds no memory.
    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    fn response(self) -> Response {
        let mut response = json(self.status, &ErrorBody { error: self.message });
        if self.closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // A browser asks for the password. Chromium reads only the first scheme of each header field.
            for scheme in ["Basic realm=\"swarmlings\"", "Bearer"] {
                response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
        }
        response
    }
}

/// Parses the ID at the end of a path, after the collection.
fn id_in(path: &str) -> Result<InstanceId, ApiError> {
    path.splitn(4, '/').last().unwrap_or_default().parse().map_err(ApiError::bad_request::<String>)
}

/// Returns the name of the service at the end of a path, after the collection.
fn service_in(path: &str) -> Result<String, ApiError> {
    let name = path.splitn(4, '/').last().unwrap_or_default();
    form_decode(name).map_err(|_| ApiError::bad_request(format!("{name}: not valid UTF-8 after decoding")))
}

/// Returns the size of a body as its client says, or the largest one.
fn size(headers: &header::HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(1 << 20)
}

/// Reads a JSON body; `object` names it in errors.
async fn read<T: DeserializeOwned>(body: RequestBody, object: &str) -> Result<T, ApiError> {
    let body = body.bytes().await.map_err(|error| ApiError::new(error.response().status(), error))?;
    serde_json::from_slice(&body).map_err(|error| ApiError::bad_request(format!("{object}: {error}")))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // It fails only for maps with keys other than strings, which the protocol does not have.
    let text = serde_json::to_string(value).unwrap_or_default();
    response(status, "application/json", text + "\n")
}

/// Responds with a file of the page.
fn page(content_type: &'static str, text: &'static str) -> Response {
    let mut response = response(StatusCode::OK, content_type, text);
    for (name, value) in PAGE_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
