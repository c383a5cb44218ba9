//! HTTP/1 and HTTP/2 connections, as hyper serves them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinSet;

use crate::body::StreamError;
use crate::io::Io;

/// First bytes of an HTTP/2 connection.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Smallest read buffer that hyper supports.
const MIN_BUFFER: u32 = 8192;

/// Maximum number of concurrent requests on an HTTP/2 connection: the default of Go's servers, and so of Traefik.
const MAX_STREAMS: u32 = 250;

/// A handler of requests with the bounds that hyper needs.
pub(crate) trait Handler:
    HttpService<
        Incoming,
        ResBody: Body<Data: Send, Error: Into<StreamError>> + Send + 'static,
        Error: Into<StreamError>,
        Future: Send + 'static,
    > + Send
    + 'static
{
}

impl<H> Handler for H where
    H: HttpService<
            Incoming,
            ResBody: Body<Data: Send, Error: Into<StreamError>> + Send + 'static,
            Error: Into<StreamError>,
            Future: Send + 'static,
        > + Send
        + 'static
{
}

/// A connection in the protocol that its client speaks.
pub(crate) enum Protocol<H: Handler> {
    /// The first bytes, which tell the protocol, are not received yet. `None` after a shutdown.
    Sniffing(Option<Sniffing<H>>),
    Http1(Box<http1::Connection<TokioIo<Io>, H>>),
    Http2(Pin<Box<dyn Http2>>),
}

/// The start of a connection that may become HTTP/1 or HTTP/2.
pub(crate) struct Sniffing<H> {
    io: Io,
    handler: H,
    max_header_bytes: u32,
    bytes: [u8; PREFACE.len()],
    count: usize,
    /// A function pointer, so that programs which never sniff do not contain HTTP/2.
    serve_http2: fn(Io, H, u32) -> Pin<Box<dyn Http2>>,
}

impl<H: Handler> Protocol<H> {
    /// Serves HTTP/1.
    pub(crate) fn http1(io: Io, handler: H, max_header_bytes: u32) -> Self {
        let connection = http1::Builder::new()
            .max_buf_size(max_header_bytes.max(MIN_BUFFER) as usize)
            .serve_connection(TokioIo::new(io), handler);
        Self::Http1(Box::new(connection))
    }

    /// Serves HTTP/1 or HTTP/2, depending on the client's first bytes.
    pub(crate) fn sniff(io: Io, handler: H, max_header_bytes: u32) -> Self {
        let (bytes, count, serve_http2) = ([0; PREFACE.len()], 0, serve_http2::<H> as _);
        Self::Sniffing(Some(Sniffing { io, handler, max_header_bytes, bytes, count, serve_http2 }))
    }

    /// Drives the connection. Ready at its end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if let Self::Sniffing(sniffing) = self {
            if let Some(sniffing) = sniffing {
                ready!(sniffing.poll(cx));
            }
            match sniffing.take() {
                Some(sniffing) => *self = sniffing.serve(),
                None => return Poll::Ready(Ok(())),
            }
        }
        match self {
            Self::Sniffing(_) => Poll::Ready(Ok(())),
            Self::Http1(connection) => Pin::new(connection).poll(cx),
            Self::Http2(connection) => connection.as_mut().poll(cx),
        }
    }

    /// Accepts no more requests; the connection ends after the responses to those received.
    pub(crate) fn graceful_shutdown(&mut self) {
        match self {
            Self::Sniffing(sniffing) => *sniffing = None,
            Self::Http1(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            Self::Http2(connection) => connection.as_mut().graceful_shutdown(),
        }
    }

    /// Returns the socket of an HTTP/1 connection, including bytes that hyper has read and not used.
    pub(crate) fn into_io(self) -> Option<Io> {
        let Self::Http1(connection) = self else { return None };
        let parts = connection.into_parts();
        Some(parts.io.into_inner().with_prefix(parts.read_buf))
    }
}

impl<H: Handler> Sniffing<H> {
    /// Reads until the protocol is known.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (known, rest) = self.bytes.split_at_mut(self.count);
            if rest.is_empty() || known != &PREFACE[..known.len()] {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(rest);
            let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
            // The protocol's own reads will meet the end or the error again.
            if result.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            self.count += buffer.filled().len();
        }
    }

    fn serve(self) -> Protocol<H> {
        let io = self.io.with_prefix(Bytes::copy_from_slice(&self.bytes[..self.count]));
        if self.bytes == *PREFACE {
            Protocol::Http2((self.serve_http2)(io.multiplexed(), self.handler, self.max_header_bytes))
        } else {
            Protocol::http1(io, self.handler, self.max_header_bytes)
        }
    }
}

/// An HTTP/2 connection.
pub(crate) trait Http2: Future<Output = hyper::Result<()>> + Send {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<H: Handler> Http2 for http2::Connection<TokioIo<Io>, H, StreamTasks> {
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}

fn serve_http2<H: Handler>(io: Io, handler: H, max_header_bytes: u32) -> Pin<Box<dyn Http2>> {
    let connection = http2::Builder::new(StreamTasks::default())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(max_header_bytes)
        .serve_connection(TokioIo::new(io), handler);
    Box::pin(connection)
}

/// Tasks of a connection's streams, which end with the connection.
#[derive(Clone, Default)]
struct StreamTasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(stream);
    }
}
