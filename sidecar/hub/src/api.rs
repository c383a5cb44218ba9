//! The hub's HTTP surface.
//!
//! | request | answer |
//! |---|---|
//! | `GET /traefik?wait=4s&throttle=100ms&router=NAME` | Traefik's dynamic configuration, as soon as it is new; 503 until there is one |
//! | `GET /traefik` | the same, for somebody who only looks |
//! | `GET /traefik/beacon?life=…&connection=…&generation=…` | Traefik shows what it has in use; held |
//! | `PUT /v1/instances/ID?wait=2s` | takes or renews a lease (token) |
//! | `DELETE /v1/instances/ID?wait=10s` | ends it, once every router has confirmed (token) |
//! | `POST /v1/heartbeat` | renews all leases that the connection holds (token) |
//! | `PUT /v1/managers/NODE` | takes what a manager of the swarm knows of its services (token) |
//! | `GET /v1/instances` | everybody |
//! | `GET /v1/events` | everybody, then each change, as server-sent events |
//! | `GET /healthz` `/readyz` `/metrics` `/version` | the runtime's, and what [`metrics`](crate::metrics) adds |

use std::sync::Arc;
use std::time::Duration;

use protocol::{ErrorBody, HEARTBEAT, INSTANCES, InstanceId, InvalidId, MANAGERS, Registration, Services};
use runtime::{
    Admin, Body, Connection, HeaderValue, Method, Request, RequestBody, Response, Service, StatusCode, header,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::hub::{Answer, Beacon, Hub, Poll};
use crate::query::{LONGEST_WAIT, Query};
use crate::registry::Withdrawn;
use crate::state::BEACON_PATH;
use crate::{metrics, sse};
use cli::Token;

/// Traefik's own `providersThrottleDuration`.
const TRAEFIK_THROTTLE: Duration = Duration::from_secs(2);

/// The hub as a service.
pub(crate) struct Api {
    hub: Arc<Hub>,
    /// `None`: anybody may register.
    token: Option<Token>,
    admin: Admin,
}

/// A refusal: its status, and what was wrong.
type Refusal = (StatusCode, String);

impl Api {
    pub(crate) fn new(hub: Arc<Hub>, token: Option<Token>, admin: Admin) -> Self {
        Self { hub, token, admin }
    }

    async fn answer(&self, request: Request, connection: &Connection) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let query = Query::new(head.uri.query());
        let path = head.uri.path();
        if path == "/traefik" {
            allow(&head.method, &[Method::GET, Method::HEAD])?;
            let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            return self.traefik(connection, host, query).await;
        }
        if path == BEACON_PATH {
            allow(&head.method, &[Method::GET, Method::HEAD])?;
            return self.beacon(query).await;
        }
        if path == "/v1/events" {
            allow(&head.method, &[Method::GET, Method::HEAD])?;
            query.finish()?;
            let (instances, changes) = self.hub.subscribe();
            return Ok(sse::follow(instances, changes));
        }
        if path == INSTANCES {
            allow(&head.method, &[Method::GET, Method::HEAD])?;
            query.finish()?;
            return Ok(json(StatusCode::OK, &self.hub.snapshot().instances));
        }
        if path == HEARTBEAT {
            allow(&head.method, &[Method::POST])?;
            self.authorize(head.headers.get(header::AUTHORIZATION), connection)?;
            query.finish()?;
            return Ok(json(StatusCode::OK, &self.hub.heartbeat(connection.id)));
        }
        if let Some(node) = path.strip_prefix(MANAGERS).and_then(|rest| rest.strip_prefix('/')) {
            allow(&head.method, &[Method::PUT])?;
            self.authorize(head.headers.get(header::AUTHORIZATION), connection)?;
            let node: InstanceId = node.parse().map_err(|error: InvalidId| bad_request(error.to_string()))?;
            query.finish()?;
            let services: Services = read(body, "services").await?;
            self.hub.publish(node, services);
            return Ok(json(StatusCode::OK, &serde_json::Map::new()));
        }
        let Some(id) = path.strip_prefix(INSTANCES).and_then(|rest| rest.strip_prefix('/')) else {
            return Err((StatusCode::NOT_FOUND, format!("{path}: there is no such path")));
        };
        allow(&head.method, &[Method::PUT, Method::DELETE])?;
        self.authorize(head.headers.get(header::AUTHORIZATION), connection)?;
        let id: InstanceId = id.parse().map_err(|error: InvalidId| bad_request(error.to_string()))?;
        if head.method == Method::PUT {
            self.register(&id, connection, query, body).await
        } else {
            self.withdraw(&id, query).await
        }
    }

    async fn traefik(
        &self,
        connection: &Connection,
        host: Option<&str>,
        mut query: Query<'_>,
    ) -> Result<Response, Refusal> {
        let wait = query.wait()?;
        let throttle = query.duration("throttle")?.unwrap_or(TRAEFIK_THROTTLE).min(LONGEST_WAIT);
        let name = query.text("router")?;
        query.finish()?;
        let answer = if wait.is_none() && name.is_none() {
            // Somebody who only looks: nobody is to wait for a confirmation from there.
            self.hub.peek()
        } else {
            let name = name.unwrap_or_else(|| connection.peer.to_string());
            let wait = wait.unwrap_or_default();
            // Only what can stand in a URL.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '[' | ']');
            let host = host.filter(|host| !host.is_empty() && host.chars().all(plain));
            self.hub.poll(&Poll { connection: connection.id, name: &name, throttle, host }, wait).await
        };
        match answer {
            Answer::Document(document) => Ok(typed(StatusCode::OK, "application/json", document)),
            Answer::NotYet => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "the hub has started and learns who is there".to_owned(),
            )),
        }
    }

    async fn beacon(&self, mut query: Query<'_>) -> Result<Response, Refusal> {
        let [life, connection, generation] =
            [query.number("life")?, query.number("connection")?, query.number("generation")?];
        query.finish()?;
        let to_u64 = |number| u64::try_from(number).unwrap_or(u64::MAX);
        self.hub
            .beacon(Beacon { life, connection: to_u64(connection), generation: to_u64(generation) })
            .await;
        Ok(typed(StatusCode::OK, "text/plain; charset=utf-8", "seen\n"))
    }

    async fn register(
        &self,
        id: &InstanceId,
        connection: &Connection,
        mut query: Query<'_>,
        body: RequestBody,
    ) -> Result<Response, Refusal> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let registration: Registration = read(body, "registration").await?;
        if registration.service.is_empty() {
            return Err(bad_request("registration: the service has no name"));
        }
        if registration.address.is_unspecified() {
            return Err(bad_request(format!(
                "registration: nobody can reach the address {}",
                registration.address
            )));
        }
        match self.hub.register(id, connection.id, registration, wait).await {
            Ok(lease) => Ok(json(StatusCode::OK, &lease)),
            Err(Withdrawn) => Err((
                StatusCode::CONFLICT,
                format!(
                    "instance {id} has withdrawn; one that starts anew under its name says another `started`"
                ),
            )),
        }
    }

    async fn withdraw(&self, id: &InstanceId, mut query: Query<'_>) -> Result<Response, Refusal> {
        let wait = query.wait()?.unwrap_or_default();
        query.finish()?;
        let withdrawal = self.hub.withdraw(id, wait).await;
        if !withdrawal.pending.is_empty() && self.hub.is_draining() {
            // Whoever asked is better off with the hub that comes next than with half an answer.
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the hub is stopping".to_owned()));
        }
        Ok(json(StatusCode::OK, &withdrawal))
    }

    fn authorize(&self, header: Option<&HeaderValue>, connection: &Connection) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let Err(why) = token.check(header.map(HeaderValue::as_bytes)) else { return Ok(()) };
        warn!(peer = %connection.peer, "{why}");
        self.hub.count_unauthorized();
        Err((StatusCode::UNAUTHORIZED, why.to_owned()))
    }
}

impl Service for Api {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    fn routes(&self) -> &'static [&'static str] {
        &[
            "/traefik",
            BEACON_PATH,
            INSTANCES,
            "/v1/instances/{id}",
            "/v1/managers/{node}",
            HEARTBEAT,
            "/v1/events",
            "*",
        ]
    }

    fn route(&self, path: &str) -> usize {
        let routes = self.routes();
        let is_below = |parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
        let (is_instance, is_manager) = (is_below(INSTANCES), is_below(MANAGERS));
        let known = routes.iter().position(|&route| {
            route == path
                || (is_instance && route.ends_with("{id}"))
                || (is_manager && route.ends_with("{node}"))
        });
        known.unwrap_or(routes.len() - 1)
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        if let Some(response) = self.admin.handle(&request) {
            return response;
        }
        self.answer(request, connection).await.unwrap_or_else(|(status, error)| {
            let allow = (status == StatusCode::METHOD_NOT_ALLOWED)
                .then(|| HeaderValue::from_str(&error).ok())
                .flatten();
            let error = if allow.is_some() { format!("the methods here are {error}") } else { error };
            let mut response = json(status, &ErrorBody { error });
            let headers = response.headers_mut();
            headers.extend(allow.map(|methods| (header::ALLOW, methods)));
            if status == StatusCode::UNAUTHORIZED {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        })
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

/// Refuses a method; the text is the list of those that are allowed.
fn allow(method: &Method, methods: &[Method]) -> Result<(), Refusal> {
    if methods.contains(method) {
        return Ok(());
    }
    Err((StatusCode::METHOD_NOT_ALLOWED, methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")))
}

/// Reads a body of JSON; `what` it should be.
async fn read<T: DeserializeOwned>(body: RequestBody, what: &str) -> Result<T, Refusal> {
    let body = body.bytes().await.map_err(|error| (error.response().status(), error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| bad_request(format!("{what}: {error}")))
}

fn bad_request(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Fails for maps with keys that are no text, of which the protocol has none.
    let text = serde_json::to_string(value).unwrap_or_default();
    typed(status, "application/json", text + "\n")
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
