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

use crate::progress::Progress;
use crate::{Limits, Response, status};

/// What a service is asked.
pub type Request = http::Request<RequestBody>;

/// The body of a [`Request`], which breaks off with a [`BodyError`] where it outgrows its limit, comes too slowly or is
/// no body by HTTP's rules.
///
/// In these cases the client gets [`BodyError::response`] whatever the service answers; over HTTP/2 that is left to the
/// service.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// Nothing where there is no body, or no more of it.
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    progress: Arc<Progress>,
    limit: u64,
    left: u64,
    time: Duration,
    /// Set once the client must be waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a request's body did not come whole.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than this many bytes.
    TooLarge(u64),
    /// It took longer than this.
    TooSlow(Duration),
    /// The client went away, or broke HTTP's rules.
    Broken(hyper::Error),
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limits: &Limits, progress: &Arc<Progress>) -> Self {
        let guard = (!incoming.is_end_stream()).then(|| Guard {
            progress: Arc::clone(progress),
            limit: limits.max_body_bytes,
            left: limits.max_body_bytes,
            time: limits.body_timeout,
            timer: None,
        });
        Self { incoming, guard }
    }

    /// All of it.
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
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.time)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.refuse(BodyError::TooSlow(self.time)))));
        };
        let frame = frame.transpose().map_err(|error| self.refuse(BodyError::Broken(error)))?;
        let Some(frame) = frame else { return Poll::Ready(None) };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(size) else {
            return Poll::Ready(Some(Err(self.refuse(BodyError::TooLarge(self.limit)))));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn refuse(&self, error: BodyError) -> BodyError {
        self.progress.refuse(error.code(), error.to_string());
        error
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
        if frame.is_none() {
            *guard = None;
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
            guard.progress.leave_unread();
        }
    }
}

impl BodyError {
    /// The answer's status code.
    pub fn code(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer.
    pub fn response(&self) -> Response {
        status(self.code(), format!("{self}\n"))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "the request's body is larger than {limit} bytes"),
            Self::TooSlow(limit) => write!(f, "the request's body took longer than {limit:?}"),
            Self::Broken(error) => write!(f, "reading the request's body: {error}"),
        }
    }
}

impl std::error::Error for BodyError {}
