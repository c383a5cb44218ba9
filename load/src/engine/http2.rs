//! An HTTP/2 connection, shared by several virtual users.

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::io;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::worker::Worker;
use crate::error::RequestError;
use crate::instance::{InstanceKey, SEARCHED_BYTES};
use crate::plan::Plan;
use crate::recorder::Response;
use crate::report::ErrorClass;
use crate::target::Target;

/// A request, cloned for each sending.
#[derive(Clone)]
pub(super) struct Template(Request<Full<Bytes>>);

impl Template {
    /// Creates the request for `target`.
    pub(super) fn new(plan: &Plan, target: &Target) -> Result<Self, RequestError> {
        let invalid =
            |error: http::Error| RequestError::protocol(format_args!("creating a request: {error}"));
        // In HTTP/2 the host is the authority of the URI.
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let host = plan.headers.iter().find(|(name, _)| is_host(name)).map(|(_, value)| value.as_str());
        let uri = Uri::builder()
            .scheme(if target.origin.tls { "https" } else { "http" })
            .authority(host.unwrap_or(&target.authority))
            .path_and_query(target.path.as_str());
        let mut request = Request::builder().method(plan.method.clone()).uri(uri.build().map_err(invalid)?);
        for (name, value) in plan.headers.iter().filter(|(name, _)| !is_host(name)) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(error.into()))?;
            let value = HeaderValue::from_str(value).map_err(|error| invalid(error.into()))?;
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(plan.body.clone()))).map(Self).map_err(invalid)
    }
}

/// A handle to an HTTP/2 connection.
#[derive(Clone)]
pub(super) struct Http2(SendRequest<Full<Bytes>>);

impl Http2 {
    /// Sends a request and reads the whole response. Puts the name of the instance into `name`.
    pub(super) async fn send(
        &mut self,
        template: &Template,
        key: &InstanceKey,
        name: &mut Vec<u8>,
    ) -> Result<Response, RequestError> {
        self.0.ready().await.map_err(|error| classify(&error))?;
        let response = self.0.send_request(template.0.clone()).await.map_err(|error| classify(&error))?;
        name.clear();
        if let Some(value) = key.header().and_then(|name| response.headers().get(name)) {
            name.extend_from_slice(value.as_bytes());
        }
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let (mut bytes, mut content) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| classify(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            bytes += data.len() as u64;
            if matches!(key, InstanceKey::Body(_)) {
                let room: usize = SEARCHED_BYTES - content.len();
                content.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        key.find_in_body(&content, name);
        Ok(Response { status, bytes })
    }
}

/// The HTTP/2 connection that several virtual users share.
#[derive(Default)]
pub(super) struct SharedHttp2 {
    current: RefCell<Option<Http2>>,
    connecting: Mutex<()>,
}

impl SharedHttp2 {
    /// Returns the connection, or opens connection `number` to host `origin` if it is missing or closed.
    pub(super) async fn get(
        &self,
        worker: &Worker,
        origin: usize,
        number: usize,
    ) -> Result<Http2, RequestError> {
        let usable = || self.current.borrow().clone().filter(|http2| !http2.0.is_closed());
        if let Some(http2) = usable() {
            return Ok(http2);
        }
        let _connecting = self.connecting.lock().await;
        // Another user may have connected in the meantime.
        if let Some(http2) = usable() {
            return Ok(http2);
        }
        let stream = TokioIo::new(worker.connectors[origin].connect(number).await?);
        let (sender, connection) =
            http2::handshake(LocalExecutor, stream).await.map_err(|error| classify(&error))?;
        // Errors of the connection are returned to its requests.
        spawn_local(async { drop(connection.await) });
        worker.recorder().opened += 1;
        *self.current.borrow_mut() = Some(Http2(sender.clone()));
        Ok(Http2(sender))
    }
}

/// Runs tasks of a connection on its own thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(async { drop(future.await) });
    }
}

fn classify(error: &hyper::Error) -> RequestError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<h2::Error>() {
            if let Some(error) = error.get_io() {
                return RequestError::io("HTTP/2 connection", error);
            }
            let class = match (error.is_reset(), error.is_go_away()) {
                (true, _) => ErrorClass::Reset,
                (_, true) => ErrorClass::Closed,
                _ => ErrorClass::Protocol,
            };
            return RequestError::new(class, format_args!("HTTP/2 connection: {error}"));
        }
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return RequestError::io("HTTP/2 connection", error);
        }
        source = inner.source();
    }
    let is_closed = error.is_closed() || error.is_canceled() || error.is_incomplete_message();
    let class = if is_closed { ErrorClass::Closed } else { ErrorClass::Protocol };
    RequestError::new(class, format_args!("HTTP/2 connection: {error}"))
}
