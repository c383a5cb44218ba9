//! One request and its answer.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use crate::body::StreamError;
use crate::io::SERVED_BY;
use crate::metrics::CountedMethod;
use crate::server::Line;
use crate::{Body, BodyError, Request, RequestBody, Response, Service, spare, status};

/// Has a request answered.
pub(crate) fn exchange<S: Service>(
    line: Arc<Line<S>>,
    request: http::Request<Incoming>,
) -> impl Future<Output = Result<http::Response<Answer<S>>, Infallible>> {
    line.progress.begin();
    let method = CountedMethod::from(request.method());
    // Not within the future: as long as a request is kept, so is hyper's buffer that it came in, and hyper, which looks
    // for more before it polls the future, would have to allocate another for each request.
    let asked = ask(&line, request);
    async move {
        let response = match asked {
            Asked::Answered(response) => response,
            Asked::Waiting(request) => line.server.service.call(request, &line.connection).await,
        };
        Ok(conclude(line, method, response))
    }
}

enum Asked {
    Answered(Response),
    Waiting(Request),
}

fn ask<S: Service>(line: &Arc<Line<S>>, request: http::Request<Incoming>) -> Asked {
    if let Some(refusal) = refuse(line, &request) {
        return Asked::Answered(refusal);
    }
    let mut request = request.map(|body| RequestBody::new(body, &line.server.limits, &line.progress));
    let Some(response) = line.server.service.at_once(&request) else { return Asked::Waiting(request) };
    spare::keep(mem::take(request.headers_mut()));
    Asked::Answered(response)
}

/// Sees to what all answers share.
fn conclude<S>(
    line: Arc<Line<S>>,
    method: CountedMethod,
    mut response: Response,
) -> http::Response<Answer<S>> {
    if let Some((code, reason)) = line.progress.refusal() {
        response = status(*code, format!("{reason}\n"));
    }
    line.progress.count(method, response.status());

    let headers = response.headers_mut();
    headers.insert(&SERVED_BY, line.server.served_by.clone());
    if line.progress.is_unread() || line.server.readiness.is_draining() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answer { body, line })
}

/// Answers what is not for the service.
fn refuse<S: Service>(line: &Line<S>, request: &http::Request<Incoming>) -> Option<Response> {
    let limit = line.server.limits.max_body_bytes;
    let refusal = if request.body().size_hint().lower() > limit {
        BodyError::TooLarge(limit).response()
    } else {
        let methods = line.server.service.methods()?;
        if methods.contains(request.method()) {
            return None;
        }
        not_allowed(methods)
    };
    if !request.body().is_end_stream() {
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

/// A response's body. Whether hyper has taken all of it or given up, nothing of it is left to come once it is dropped.
pub(crate) struct Answer<S> {
    body: Body,
    line: Arc<Line<S>>,
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

impl<S> Drop for Answer<S> {
    fn drop(&mut self) {
        self.line.progress.complete();
    }
}
