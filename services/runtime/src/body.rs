//! Answers and their bodies.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};

use crate::upgrade::{Upgrade, Upgraded};

/// What a service answers.
pub type Response = http::Response<Body>;

/// Why a streamed body broke off.
pub(crate) type StreamError = Box<dyn Error + Send + Sync>;

/// The body of a [`Response`]. One that is there whole costs no allocation beyond its bytes.
pub struct Body(Kind);

enum Kind {
    Full(Bytes),
    Stream(UnsyncBoxBody<Bytes, StreamError>),
    Upgrade(Upgrade),
    Cut,
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    /// A body that comes bit by bit.
    pub fn stream<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StreamError>,
    {
        Self(Kind::Stream(body.map_err(Into::into).boxed_unsync()))
    }

    /// No body, and what goes on in place of HTTP/1 after an answer of 101; after any other it does not.
    pub fn upgrade<F>(goes_on: impl FnOnce(Upgraded) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Upgrade(Upgrade::new(goes_on)))
    }

    /// No answer at all: HTTP/1's connection is closed, HTTP/2's stream reset.
    pub const fn abort() -> Self {
        Self(Kind::Cut)
    }

    pub(crate) const fn is_cut(&self) -> bool {
        matches!(self.0, Kind::Cut)
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
            Kind::Cut => f.write_str("Cut"),
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
            Kind::Upgrade(_) | Kind::Cut => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.is_end_stream(),
            Kind::Upgrade(_) | Kind::Cut => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
            Kind::Upgrade(_) | Kind::Cut => SizeHint::with_exact(0),
        }
    }
}

/// Answers 200 with `body` as plain text.
pub fn text(body: impl Into<Body>) -> Response {
    status(StatusCode::OK, body)
}

/// Answers `code` with `body` as plain text.
pub fn status(code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
