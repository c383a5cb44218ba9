//! Requests and their bodies.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::io::ConnectionState;
use crate::{Limits, Response, status};

/// A request.
pub type Request = http::Request<RequestBody>;

/// Body of a [`Request`]. It ends with a [`BodyError`] if it is too large, too slow, or malformed.
///
/// Over HTTP/1 the client then receives [`BodyError::response`] in place of the service's response. Over HTTP/2 the service
/// decides.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// `None` if there is no body, or at its end.
    guard: Option<Guard>,
}

/// Enforces the limits of a body.
#[derive(Debug)]
struct Guard {
    state: Arc<ConnectionState>,
    max_bytes: u64,
    remaining: u64,
    timeout: Duration,
    /// Starts when the body has to wait for the client.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Error while receiving a request body.
#[derive(Debug)]
pub enum BodyError {
    /// The body is larger than this number of bytes.
    TooLarge(u64),
    /// The body took longer than this time.
    TooSlow(Duration),
    /// The client disconnected, or violated HTTP.
    Broken(hyper::Error),
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limits: &Limits, state: &Arc<ConnectionState>) -> Self {
        let guard = (!incoming.is_end_stream()).then(|| Guard {
            state: Arc::clone(state),
            max_bytes: limits.max_body_bytes,
            remaining: limits.max_body_bytes,
            timeout: limits.body_timeout,
            timer: None,
        });
        Self { incoming, guard }
    }

    /// Receives the whole body.
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        Ok(self.collect().await?.to_bytes())
    }
}

impl Guard {
    fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::TooSlow(self.timeout))));
        };
        let Some(frame) = frame.transpose().map_err(BodyError::Broken)? else { return Poll::Ready(None) };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.remaining = self.remaining.checked_sub(size).ok_or(BodyError::TooLarge(self.max_bytes))?;
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { incoming, guard } = &mut *self;
        let Some(guarded) = guard else { return Poll::Ready(None) };
        let frame = ready!(guarded.poll_frame(incoming, cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(error)) => guarded.state.set_body_error(error),
            None => *guard = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(guard) = &self.guard
            && !self.incoming.is_end_stream()
        {
            guard.state.set_unread();
        }
    }
}

impl BodyError {
    /// Status code of the response.
    pub fn code(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Creates the response to the client.
    pub fn response(&self) -> Response {
        status(self.code(), format!("{self}\n"))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "request body larger than {max} bytes"),
            Self::TooSlow(timeout) => write!(f, "request body not received within {timeout:?}"),
            Self::Broken(error) => write!(f, "reading the request body: {error}"),
        }
    }
}

impl std::error::Error for BodyError {}
