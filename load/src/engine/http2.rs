//! An HTTP/2 connection, shared by several virtual users.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Method, Request, Response as Head, Uri};
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::progress::{Phase, Progress};
use super::worker::Worker;
use crate::error::RequestError;
use crate::instance::{InstanceKey, SEARCHED_BYTES};
use crate::plan::Plan;
use crate::recorder::{Response, Seen};
use crate::report::ErrorClass;
use crate::target::Target;

/// Flow control windows: large enough that the server never waits for them.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;

/// Maximum size of a response's header fields.
const MAX_HEADER: u32 = 64 << 10;

/// Header fields of HTTP/1.1 that HTTP/2 forbids.
const FORBIDDEN: [&str; 3] = ["keep-alive", "proxy-connection", "upgrade"];

/// A request, cloned for each sending.
pub(super) struct Template {
    head: Request<()>,
    body: Bytes,
}

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
        for (name, value) in &plan.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(error.into()))?;
            if is_host(name.as_str()) || FORBIDDEN.contains(&name.as_str()) {
                continue;
            }
            let value = HeaderValue::from_str(value).map_err(|error| invalid(error.into()))?;
            request = request.header(name, value);
        }
        if !plan.body.is_empty() || matches!(plan.method, Method::POST | Method::PUT | Method::PATCH) {
            request = request.header("content-length", plan.body.len());
        }
        Ok(Self { head: request.body(()).map_err(invalid)?, body: Bytes::from(plan.body.clone()) })
    }
}

/// A failure of an HTTP/2 request.
pub(super) struct Failure {
    pub(super) error: RequestError,
    /// Whether the server has certainly not processed the request, so that it may be sent again (RFC 9113, 8.7).
    pub(super) is_unprocessed: bool,
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self { error, is_unprocessed: false }
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        // After GOAWAY, this error is only that of streams above its last ID.
        let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_unprocessed = error.is_remote() && (error.is_go_away() || is_refused);
        Self { error: classify(&error), is_unprocessed }
    }
}

/// A handle to an HTTP/2 connection.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    /// Instances that have responded. Shared by all handles to the connection.
    pub(super) seen: Rc<Cell<Seen>>,
    address: Rc<str>,
}

impl Http2 {
    /// Whether requests can be sent: the connection is neither closed nor has it received GOAWAY.
    fn is_usable(&mut self) -> bool {
        matches!(self.sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    /// Sends a request and reads the whole response. Puts the name of the instance into `name`.
    pub(super) async fn send(
        &mut self,
        template: &Template,
        plan: &Plan,
        name: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<Response, Failure> {
        progress.at(Phase::Opening, &self.address);
        let is_empty = template.body.is_empty();
        let unsent = |error| Failure { error: classify(&error), is_unprocessed: true };
        let (mut response, mut stream) =
            self.sender.send_request(template.head.clone(), is_empty).map_err(unsent)?;
        // The stream is opened when the server's settings permit it.
        poll_fn(|context| self.sender.poll_ready(context)).await.map_err(unsent)?;
        progress.enter(Phase::Sending);
        let head = if is_empty {
            progress.enter(Phase::Waiting);
            response.await?
        } else {
            // The response may come before the end of the request.
            tokio::select! {
                biased;
                head = &mut response => head?,
                () = upload(&mut stream, template.body.clone()) => {
                    progress.enter(Phase::Waiting);
                    response.await?
                }
            }
        };
        progress.enter(Phase::Reading);
        let first_byte = progress.elapsed();
        Ok(Response { first_byte, ..receive(head, plan, name).await? })
    }
}

/// Sends a body, unless the stream is closed. The response then has the reason.
async fn upload(stream: &mut SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(capacity)) = poll_fn(|context| stream.poll_capacity(context)).await else { return };
        let part = body.split_to(capacity.min(body.len()));
        if stream.send_data(part, body.is_empty()).is_err() {
            return;
        }
    }
}

async fn receive(head: Head<RecvStream>, plan: &Plan, name: &mut Vec<u8>) -> Result<Response, h2::Error> {
    let key = &plan.instance;
    name.clear();
    if let Some(value) = key.headers().iter().find_map(|name| head.headers().get(name)) {
        name.extend_from_slice(value.as_bytes());
    }
    let status = head.status().as_u16();
    let mut body = head.into_body();
    let (mut bytes, mut content) = (0, Vec::new());
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes += data.len() as u64;
        if matches!(key, InstanceKey::Body(_)) {
            let room: usize = SEARCHED_BYTES - content.len();
            content.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    key.find_in_body(&content, name);
    Ok(Response { status, is_ok: plan.expect.contains(status), bytes, first_byte: Duration::ZERO })
}

/// The HTTP/2 connection that several virtual users share.
#[derive(Default)]
pub(super) struct SharedHttp2 {
    current: RefCell<Option<Http2>>,
    connecting: Mutex<()>,
}

impl SharedHttp2 {
    /// Returns the connection, or opens connection `number` to host `origin` if it is missing or unusable.
    pub(super) async fn get(
        &self,
        worker: &Worker,
        origin: usize,
        number: usize,
        progress: &Progress,
    ) -> Result<Http2, RequestError> {
        // A clone waits for no stream, unlike a handle that has opened one.
        let usable =
            || self.current.borrow().clone().and_then(|mut http2| http2.is_usable().then_some(http2));
        if let Some(http2) = usable() {
            return Ok(http2);
        }
        progress.at(Phase::Connecting, &worker.state.plan.origins[origin].to_string().into());
        let _connecting = self.connecting.lock().await;
        // Another user may have connected in the meantime.
        if let Some(http2) = usable() {
            return Ok(http2);
        }
        let stream = worker.connectors[origin].connect(number, progress).await?;
        let (connect, tls) = (stream.connect, stream.tls);
        let handshake = Builder::new()
            // No stream is opened before the server's settings say how many it permits.
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER)
            .enable_push(false)
            .handshake(stream.io);
        let (sender, connection) = handshake.await.map_err(|error| classify(&error))?;
        // Errors of the connection are returned to its requests.
        spawn_local(async { drop(connection.await) });
        worker.recorder().add_connection(connect, tls);
        let http2 = Http2 { sender, seen: Rc::default(), address: stream.address };
        *self.current.borrow_mut() = Some(http2.clone());
        Ok(http2)
    }

    /// Lets the next request open another connection, unless one has replaced this one already. Requests in flight on this
    /// one are completed.
    pub(super) fn replace(&self, http2: &Http2) {
        let is_same = |current: &mut Http2| Rc::ptr_eq(&current.seen, &http2.seen);
        drop(self.current.borrow_mut().take_if(is_same));
    }
}

fn classify(error: &h2::Error) -> RequestError {
    if let Some(error) = error.get_io() {
        // With a text, h2 means the end of the connection; without one, the error is that of a system call.
        if error.kind() == io::ErrorKind::BrokenPipe && error.get_ref().is_some() {
            return RequestError::new(ErrorClass::Closed, "the server closed the HTTP/2 connection");
        }
        return RequestError::io("HTTP/2 connection", error);
    }
    let reason = error.reason().map_or_else(|| error.to_string(), |reason| reason.description().to_owned());
    let (class, what) = match (error.is_remote(), error.is_reset()) {
        (true, true) => (ErrorClass::Reset, "the server reset the HTTP/2 stream"),
        (true, false) => (ErrorClass::Closed, "the server closed the HTTP/2 connection"),
        (false, _) => (ErrorClass::Protocol, "invalid HTTP/2 from the server"),
    };
    RequestError::new(class, format_args!("{what}: {reason}"))
}
