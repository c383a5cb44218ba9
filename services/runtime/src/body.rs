//! Responses, their bodies, and protocol upgrades.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::io::Io;

/// A response.
pub type Response = http::Response<Body>;

/// Error of a streamed body.
pub(crate) type StreamError = Box<dyn Error + Send + Sync>;

/// Body of a [`Response`]. A complete body needs no allocation besides its bytes.
pub struct Body(Kind);

enum Kind {
    Full(Bytes),
    Stream(UnsyncBoxBody<Bytes, StreamError>),
    Upgrade(Upgrade),
    Aborted,
}

impl Body {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    /// Creates a body that is sent as it is produced.
    pub fn stream<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StreamError>,
    {
        Self(Kind::Stream(body.map_err(Into::into).boxed_unsync()))
    }

    /// Creates an empty body. After a response with code 101, `protocol` takes over the HTTP/1 connection; after other
    /// responses it is dropped.
    pub fn upgrade<F>(protocol: impl FnOnce(Upgraded) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Upgrade(Upgrade(Box::new(|upgraded| Box::pin(protocol(upgraded))))))
    }

    /// Sends no response: closes the HTTP/1 connection, or resets the HTTP/2 stream.
    pub const fn abort() -> Self {
        Self(Kind::Aborted)
    }

    pub(crate) const fn is_aborted(&self) -> bool {
        matches!(self.0, Kind::Aborted)
    }

    pub(crate) fn take_upgrade(&mut self) -> Option<Upgrade> {
        match mem::take(self) {
            Self(Kind::Upgrade(upgrade)) => Some(upgrade),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
            Kind::Upgrade(_) => f.write_str("Upgrade"),
            Kind::Aborted => f.write_str("Aborted"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Kind::Stream(stream) => Pin::new(stream).poll_frame(cx),
            Kind::Upgrade(_) | Kind::Aborted => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.is_end_stream(),
            Kind::Upgrade(_) | Kind::Aborted => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
            Kind::Upgrade(_) | Kind::Aborted => SizeHint::with_exact(0),
        }
    }
}

/// Creates a response with code 200 and plain text.
pub fn text(body: impl Into<Body>) -> Response {
    status(StatusCode::OK, body)
}

/// Creates a response with `code` and plain text.
pub fn status(code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let plain_text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain_text);
    response
}

/// Creates a response with code 405.
pub(crate) fn method_not_allowed(allowed: &[Method]) -> Response {
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut response =
        status(StatusCode::METHOD_NOT_ALLOWED, format!("method not allowed: expected one of {allowed}\n"));
    if let Ok(allow) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Protocol that follows HTTP/1 on a connection.
pub(crate) struct Upgrade(Box<dyn FnOnce(Upgraded) -> UpgradeFuture + Send>);

type UpgradeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Upgrade {
    pub(crate) async fn run(self, upgraded: Upgraded) {
        (self.0)(upgraded).await;
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

/// A client's byte stream without HTTP: after an upgrade from HTTP/1, or on [`Service::tcp_port`](crate::Service::tcp_port).
///
/// The server's timeouts do not apply to it any more. The drain closes it at its end.
#[derive(Debug)]
pub struct Upgraded {
    io: Io,
    closing: watch::Receiver<bool>,
}

impl Upgraded {
    pub(crate) fn new(io: Io, closing: watch::Receiver<bool>) -> Self {
        Self { io, closing }
    }

    /// Resolves when the server closes its connections, so that the protocol can say goodbye to the client.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.clone();
        async move { drop(closing.wait_for(|&closing| closing).await) }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
