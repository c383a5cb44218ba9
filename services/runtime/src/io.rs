//! The socket of a connection as hyper sees it, and the connection's state.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::metrics::ThreadCounters;
use crate::{BodyError, Stream};

/// The event that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next request.
    Idle,
    /// The rest of a request header.
    Header,
    /// The service, or a request body, which has its own timeout.
    Busy,
    /// The client, which must read more of the response.
    Stalled,
}

/// State of one connection.
///
/// [`Io`] writes the fields about bytes. The handler writes those about requests, and the request body adds its error. All of
/// them run in the connection's task, so the relaxed atomics cost no more than plain integers.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) counters: Arc<ThreadCounters>,
    /// Whether a part of a request header was received.
    header: AtomicBool,
    /// Whether the socket accepts no more bytes.
    stalled: AtomicBool,
    /// Whether the connection speaks HTTP/2, so that requests overlap.
    multiplexed: AtomicBool,
    /// Number of responses whose last byte the kernel has accepted.
    flushed: AtomicU32,
    /// Number of requests received.
    started: AtomicU32,
    /// Number of responses that hyper has taken completely.
    finished: AtomicU32,
    /// Number of events that restart the client's timeout.
    steps: AtomicU32,
    /// Whether bytes of the client will not be read.
    unread: AtomicBool,
    /// Status code and text for the first error of a request body. The rest of that body stays unread, so there is no later
    /// request.
    body_error: OnceLock<(StatusCode, String)>,
}

impl ConnectionState {
    pub(crate) fn new(counters: Arc<ThreadCounters>) -> Self {
        counters.connection_opened();
        Self {
            counters,
            header: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            flushed: AtomicU32::new(0),
            started: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            steps: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            body_error: OnceLock::new(),
        }
    }

    /// Records a complete request header.
    pub(crate) fn request_started(&self) {
        self.counters.request_started();
        increment(&self.started);
        increment(&self.steps);
        self.header.store(false, Relaxed);
    }

    /// Records that hyper needs nothing more of a response.
    pub(crate) fn response_finished(&self) {
        increment(&self.finished);
    }

    /// Records that the client's remaining bytes will not be read. With HTTP/2 that concerns only one stream.
    pub(crate) fn set_unread(&self) {
        if !self.is_multiplexed() {
            self.unread.store(true, Relaxed);
        }
    }

    /// Records the error of a request body, to be sent as the response.
    pub(crate) fn set_body_error(&self, error: &BodyError) {
        if !self.is_multiplexed() {
            let _ = self.body_error.set((error.code(), format!("{error}\n")));
        }
    }

    /// Records the end of the connection, which aborts the requests without a complete response.
    pub(crate) fn close(&self) {
        let unanswered = self.started.load(Relaxed).wrapping_sub(self.flushed.load(Relaxed));
        self.counters.requests_aborted(unanswered);
        self.counters.connection_closed();
    }

    pub(crate) fn body_error(&self) -> Option<&(StatusCode, String)> {
        self.body_error.get()
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Relaxed)
    }

    /// Whether the connection has received no request yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.started.load(Relaxed) == 0
    }

    fn is_busy(&self) -> bool {
        self.started.load(Relaxed) != self.flushed.load(Relaxed)
    }

    /// Returns the current phase, and a number that changes whenever a phase restarts.
    pub(crate) fn phase(&self) -> (Phase, u32) {
        let phase = if self.stalled.load(Relaxed) {
            Phase::Stalled
        } else if self.is_busy() {
            Phase::Busy
        } else if self.header.load(Relaxed) {
            Phase::Header
        } else {
            Phase::Idle
        };
        (phase, self.steps.load(Relaxed))
    }

    fn received(&self) {
        if !self.is_busy() && !self.header.load(Relaxed) && !self.is_multiplexed() {
            self.header.store(true, Relaxed);
            increment(&self.steps);
        }
    }

    fn written(&self, accepted: bool) {
        if accepted && self.stalled.load(Relaxed) {
            increment(&self.steps);
        }
        self.stalled.store(!accepted, Relaxed);
    }

    fn flushed(&self) {
        let (finished, flushed) = (self.finished.load(Relaxed), self.flushed.load(Relaxed));
        if finished != flushed {
            self.counters.requests_answered(finished.wrapping_sub(flushed));
            self.flushed.store(finished, Relaxed);
            increment(&self.steps);
        }
    }
}

fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// A socket that updates its connection's [`ConnectionState`].
#[derive(Debug)]
pub(crate) struct Io {
    stream: Stream,
    state: Arc<ConnectionState>,
}

impl Io {
    pub(crate) fn new(stream: Stream, state: Arc<ConnectionState>) -> Self {
        Self { stream, state }
    }

    /// Puts bytes that were read back in front of the stream.
    pub(crate) fn with_prefix(self, prefix: Bytes) -> Self {
        Self { stream: self.stream.with_prefix(prefix), ..self }
    }

    /// Marks the connection as HTTP/2.
    pub(crate) fn multiplexed(self) -> Self {
        self.state.multiplexed.store(true, Relaxed);
        // A header that is incomplete does not tell that the whole connection waits for it.
        self.state.header.store(false, Relaxed);
        self
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.state.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.state.written(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
