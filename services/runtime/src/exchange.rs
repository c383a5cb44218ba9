//! One request and its answer.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::sleep;

use crate::access::Record;
use crate::body::StreamError;
use crate::faults::Hit;
use crate::io::SERVED_BY;
use crate::metrics::{MethodIndex, RouteIndex};
use crate::server::Line;
use crate::{Body, BodyError, Request, RequestBody, Response, Service, rules, status};

/// Has a request answered.
pub(crate) fn exchange<S: Service>(
    line: Arc<Line<S>>,
    request: http::Request<Incoming>,
) -> impl Future<Output = Result<http::Response<Answer<S>>, Cut>> {
    let open = Open::new(line, &request);
    // Not within the future: as long as a request is kept, so is hyper's buffer that it came in, and hyper, which looks
    // for more before it polls the future, would have to allocate another for each request.
    let asked = ask(&open.line, request);
    async move {
        let response = match asked {
            Asked::Answered(response) => response,
            Asked::Waiting(request) => open.line.server.service.call(request, &open.line.connection).await,
            Asked::Hit(answering) => answering.await,
        };
        if response.body().is_cut() { Err(Cut) } else { Ok(conclude(open, response)) }
    }
}

/// The service wants no answer to be given.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service has cut it off")
    }
}

impl Error for Cut {}

enum Asked {
    Answered(Response),
    Waiting(Request),
    /// By a fault that is on.
    Hit(Pin<Box<dyn Future<Output = Response> + Send>>),
}

fn ask<S: Service>(line: &Arc<Line<S>>, request: http::Request<Incoming>) -> Asked {
    if let Some(refusal) = refuse(line, &request) {
        return Asked::Answered(refusal);
    }
    let request = request.map(|body| RequestBody::new(body, &line.server.limits, &line.progress));
    if let Some(hit) = line.server.faults.hit() {
        return Asked::Hit(Box::pin(answer_late(hit, request, Arc::clone(line))));
    }
    let Some(response) = line.server.service.try_sync(&request) else { return Asked::Waiting(request) };
    Asked::Answered(response)
}

/// Answers a request that a fault has hit.
async fn answer_late<S: Service>(hit: Hit, request: Request, line: Arc<Line<S>>) -> Response {
    sleep(hit.delay).await;
    let service = &line.server.service;
    match hit.status {
        Some(code) => status(code, "a fault that is made on purpose\n"),
        None => match service.try_sync(&request) {
            Some(response) => response,
            None => service.call(request, &line.connection).await,
        },
    }
}

/// Sees to what all answers share.
fn conclude<S: Service>(mut open: Open<S>, mut response: Response) -> http::Response<Answer<S>> {
    let line = &open.line;
    if let Some((code, reason)) = line.progress.refusal() {
        response = status(*code, format!("{reason}\n"));
    }
    line.progress.count(open.route, open.method, response.status());
    open.code = Some(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(upgrade) = response.body_mut().take_upgrade()
    {
        line.set_upgrade(upgrade);
    }

    let headers = response.headers_mut();
    headers.insert(&SERVED_BY, line.server.served_by.clone());
    // Over HTTP/2 the connection itself says so.
    if (line.progress.is_unread() || line.server.readiness.is_draining()) && !line.progress.is_multiplexed() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answer { body, _open: open })
}

/// Answers what is not for the service.
fn refuse<S: Service>(line: &Line<S>, request: &http::Request<Incoming>) -> Option<Response> {
    let limit = line.server.limits.max_body_bytes;
    let rule = rules::broken(request);
    let refusal = if let Some((code, why)) = rule {
        status(code, why)
    } else if request.body().size_hint().lower() > limit {
        BodyError::TooLarge(limit).response()
    } else {
        let methods = line.server.service.methods()?;
        if methods.contains(request.method()) {
            return None;
        }
        not_allowed(methods)
    };
    // Whoever breaks a rule may mean what follows otherwise, too.
    if rule.is_some() || !request.body().is_end_stream() {
        line.progress.leave_unread();
    }
    Some(refusal)
}

pub(crate) fn not_allowed(methods: &[Method]) -> Response {
    let methods = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods} are answered here\n"));
    if let Ok(allow) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// A request whose answer is not complete.
struct Open<S: Service> {
    line: Arc<Line<S>>,
    route: RouteIndex,
    method: MethodIndex,
    begun: Instant,
    /// Of the answer, once there is one.
    code: Option<StatusCode>,
    record: Option<Box<Record>>,
}

impl<S: Service> Open<S> {
    fn new(line: Arc<Line<S>>, request: &http::Request<Incoming>) -> Self {
        line.progress.begin();
        let server = &line.server;
        let route = RouteIndex(server.service.route(request.uri().path()));
        let record = server.access_log.record(request, line.connection.peer);
        Self { route, method: request.method().into(), begun: Instant::now(), code: None, record, line }
    }
}

impl<S: Service> Drop for Open<S> {
    fn drop(&mut self) {
        self.line.progress.complete();
        let time = self.begun.elapsed();
        if self.code.is_some() {
            self.line.progress.took(self.route, time);
        }
        if let Some(record) = &self.record {
            let routes = self.line.server.service.routes();
            record.log(routes.get(self.route.0).unwrap_or(&"other"), self.code, time);
        }
    }
}

/// A response's body. Whether hyper has taken all of it or given up, nothing of it is left to come once it is dropped.
pub(crate) struct Answer<S: Service> {
    body: Body,
    _open: Open<S>,
}

impl<S: Service> hyper::body::Body for Answer<S> {
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
