//! Handling of one request: validate, inject a fault, call the service, finalize the response.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::sleep;

use crate::access_log::Record;
use crate::body::{StreamError, method_not_allowed};
use crate::connection::ConnectionContext;
use crate::faults::InjectedFault;
use crate::metrics::{MethodIndex, RouteIndex};
use crate::{Body, BodyError, Request, RequestBody, Response, Service, status};

/// Header that names the responding host.
static SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// Header that names the Swarm task and its node.
static INSTANCE: HeaderName = HeaderName::from_static("x-instance");

/// The rest of the way to a response.
enum Step {
    Respond(Response),
    Call(Request),
    InjectFault(InjectedFault, Request),
}

/// Handles one request.
pub(crate) fn handle<S: Service>(
    context: Arc<ConnectionContext<S>>,
    request: http::Request<Incoming>,
) -> impl Future<Output = Result<http::Response<ResponseBody<S>>, Aborted>> {
    let guard = RequestGuard::new(context, &request);
    // Outside the future: hyper reads ahead before it polls the future, and a request that is still alive then keeps the read
    // buffer, so that hyper would allocate another.
    let step = first_step(&guard.context, request);
    async move {
        let response = match step {
            Step::Respond(response) => response,
            // Boxed, since hyper reserves the memory of this future for each connection.
            Step::Call(request) => {
                Box::pin(guard.context.server.service.call(request, &guard.context.connection)).await
            }
            Step::InjectFault(fault, request) => Box::pin(inject_fault(fault, &guard.context, request)).await,
        };
        finalize(guard, response)
    }
}

/// Does all that needs no waiting.
fn first_step<S: Service>(context: &ConnectionContext<S>, request: http::Request<Incoming>) -> Step {
    if let Some(response) = validate(context, &request) {
        return Step::Respond(response);
    }
    let server = &context.server;
    let request = request.map(|body| RequestBody::new(body, &server.limits, &context.state));
    if let Some(fault) = server.faults.sample() {
        return Step::InjectFault(fault, request);
    }
    match server.service.try_sync(&request) {
        Some(response) => Step::Respond(response),
        None => Step::Call(request),
    }
}

/// Returns the response to a request that the service must not see.
fn validate<S: Service>(
    context: &ConnectionContext<S>,
    request: &http::Request<Incoming>,
) -> Option<Response> {
    if let Err((code, message)) = check_rfc9112(request) {
        // The client may frame what follows in another way too.
        context.state.set_unread();
        return Some(status(code, message));
    }
    let max_body_bytes = context.server.limits.max_body_bytes;
    let response = if request.body().size_hint().lower() > max_body_bytes {
        BodyError::TooLarge(max_body_bytes).response()
    } else {
        let methods = context.server.service.methods()?;
        if methods.contains(request.method()) {
            return None;
        }
        method_not_allowed(methods)
    };
    if !request.body().is_end_stream() {
        context.state.set_unread();
    }
    Some(response)
}

/// Delays the request, or responds in place of the service.
async fn inject_fault<S: Service>(
    fault: InjectedFault,
    context: &ConnectionContext<S>,
    request: Request,
) -> Response {
    sleep(fault.delay).await;
    let service = &context.server.service;
    match fault.status.map(|code| status(code, "injected fault\n")).or_else(|| service.try_sync(&request)) {
        Some(response) => response,
        None => service.call(request, &context.connection).await,
    }
}

/// Counts the response and sets the headers of all responses.
fn finalize<S: Service>(
    mut guard: RequestGuard<S>,
    mut response: Response,
) -> Result<http::Response<ResponseBody<S>>, Aborted> {
    if response.body().is_aborted() {
        return Err(Aborted);
    }
    let (state, server) = (&guard.context.state, &guard.context.server);
    if let Some((code, message)) = state.body_error() {
        response = status(*code, message.clone());
    }
    state.counters.count_response(guard.route, guard.method, response.status());
    guard.code = Some(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(upgrade) = response.body_mut().take_upgrade()
    {
        guard.context.set_upgrade(upgrade);
    }
    let headers = response.headers_mut();
    headers.insert(&SERVED_BY, server.served_by.clone());
    if let Some(instance) = &server.instance {
        headers.insert(&INSTANCE, instance.clone());
    }
    // HTTP/2 has frames for this purpose instead of a header.
    if (state.is_unread() || server.readiness.is_draining()) && !state.is_multiplexed() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| ResponseBody { body, _guard: guard }))
}

/// Error that makes hyper close the connection, or reset the stream, without a response.
#[derive(Debug)]
pub(crate) struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aborted by the service")
    }
}

impl Error for Aborted {}

/// Checks rules of RFC 9112 that hyper does not enforce. hyper reads such requests in one way, but a proxy in front of it
/// may read them in another.
fn check_rfc9112<B>(request: &http::Request<B>) -> Result<(), (StatusCode, &'static str)> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let (mut hosts, mut encodings) = (0, 0);
    // Requests have few headers: one pass over them is faster than two lookups.
    for (name, value) in request.headers() {
        if name == header::HOST {
            hosts += 1;
            if !is_host(value) {
                return Err((BAD, "invalid Host header\n"));
            }
        } else if name == header::TRANSFER_ENCODING {
            encodings += 1;
            if encodings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                let message =
                    "unsupported Transfer-Encoding header: the only supported encoding is chunked\n";
                return Err((StatusCode::NOT_IMPLEMENTED, message));
            }
        }
    }
    if hosts > 1 {
        return Err((BAD, "more than one Host header\n"));
    }
    if hosts == 0 && request.version() == Version::HTTP_11 {
        return Err((BAD, "missing Host header\n"));
    }
    let path = request.uri().path();
    // `OPTIONS *` concerns the server as a whole. Other targets name a host to connect to.
    if path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS) {
        Ok(())
    } else {
        Err((BAD, "invalid request target: expected a path or a URL\n"))
    }
}

/// Bytes that are valid in a host with or without a port, as a lookup table.
const HOST: [bool; 256] = {
    let bytes = b"!$%&'()*+,-.0123456789:;=ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~";
    let (mut table, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a header value can be a host. It is empty if the URL has no host.
fn is_host(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|&byte| HOST[usize::from(byte)])
}

/// Accounts for a request until its response is complete.
struct RequestGuard<S: Service> {
    context: Arc<ConnectionContext<S>>,
    route: RouteIndex,
    method: MethodIndex,
    started: Instant,
    /// Status code of the response, once there is one.
    code: Option<StatusCode>,
    record: Option<Box<Record>>,
}

impl<S: Service> RequestGuard<S> {
    fn new(context: Arc<ConnectionContext<S>>, request: &http::Request<Incoming>) -> Self {
        context.state.request_started();
        let server = &context.server;
        let route = RouteIndex(server.service.route(request.uri().path()));
        let record = server.access_log.record(request, context.connection.peer);
        Self { route, method: request.method().into(), started: Instant::now(), code: None, record, context }
    }
}

impl<S: Service> Drop for RequestGuard<S> {
    fn drop(&mut self) {
        let state = &self.context.state;
        state.response_finished();
        let time = self.started.elapsed();
        if self.code.is_some() {
            state.counters.observe_duration(self.route, time);
        }
        if let Some(record) = &self.record {
            let routes = self.context.server.service.routes();
            record.log(routes.get(self.route.0).unwrap_or(&"other"), self.code, time);
        }
    }
}

/// Body of a response. hyper drops it after it has taken the last byte, or when the connection fails.
pub(crate) struct ResponseBody<S: Service> {
    body: Body,
    _guard: RequestGuard<S>,
}

impl<S: Service> hyper::body::Body for ResponseBody<S> {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        let is_host = |text: &[u8]| is_host(&HeaderValue::from_bytes(text).unwrap());
        for good in ["", "ping", "ping.lan:8080", "127.0.0.1", "[::1]:80", "a_b-c.d~", "a%20b", "a,b"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["a b", "a/b", "user@a", "a?b", "a#b", "a\\b", "<a>", "é"] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
