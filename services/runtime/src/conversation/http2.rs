//! HTTP/2, and how it is told from HTTP/1.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinSet;

use super::Conversation;
use crate::body::StreamError;
use crate::io::Io;

/// What a client of HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many requests a client of HTTP/2 may have in flight: as many as Traefik, or another of Go's, has by itself.
const MOST_STREAMS: u32 = 250;

/// What has come of a connection so far.
pub(crate) struct Beginning<F> {
    io: Io,
    service: F,
    serve: Http2<F>,
    max_header_bytes: u32,
    bytes: [u8; PREFACE.len()],
    count: usize,
}

/// A connection of HTTP/2.
pub(crate) trait Multiplexed: Future<Output = hyper::Result<()>> + Send {
    /// Takes no more requests, and ends when those that are there are answered.
    fn finish(self: Pin<&mut Self>);
}

/// How HTTP/2 is served.
type Http2<F> = fn(F, Io, u32) -> Pin<Box<dyn Multiplexed>>;

impl<F> Conversation<F>
where
    F: HttpService<Incoming> + Send + 'static,
    F::Error: Into<StreamError>,
    F::Future: Send + 'static,
    F::ResBody: Body + Send + 'static,
    <F::ResBody as Body>::Data: Send,
    <F::ResBody as Body>::Error: Into<StreamError>,
{
    /// Begins one with a client that will show by its first bytes which protocol it speaks.
    pub(crate) fn either(io: Io, service: F, max_header_bytes: u32) -> Self {
        Self::Unknown(Some(Beginning {
            io,
            service,
            serve,
            max_header_bytes,
            bytes: [0; PREFACE.len()],
            count: 0,
        }))
    }
}

impl<F> Beginning<F> {
    /// Reads until it is clear which protocol this is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (known, rest) = self.bytes.split_at_mut(self.count);
            if rest.is_empty() || known != &PREFACE[..known.len()] {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(rest);
            let outcome = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
            // An end, or a fault that whoever reads on will meet as well.
            if outcome.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            self.count += buffer.filled().len();
        }
    }

    /// Begins to speak it.
    pub(super) fn known(self) -> Conversation<F>
    where
        F: HttpService<Incoming>,
        F::Error: Into<StreamError>,
        F::ResBody: Body + 'static,
        <F::ResBody as Body>::Error: Into<StreamError>,
    {
        let io = self.io.with_early(Bytes::copy_from_slice(&self.bytes[..self.count]));
        if self.bytes == *PREFACE {
            Conversation::Http2((self.serve)(self.service, io.multiplexed(), self.max_header_bytes))
        } else {
            Conversation::http1(io, self.service, self.max_header_bytes)
        }
    }
}

fn serve<F>(service: F, io: Io, max_header_bytes: u32) -> Pin<Box<dyn Multiplexed>>
where
    F: HttpService<Incoming> + Send + 'static,
    F::Error: Into<StreamError>,
    F::Future: Send + 'static,
    F::ResBody: Body + Send + 'static,
    <F::ResBody as Body>::Data: Send,
    <F::ResBody as Body>::Error: Into<StreamError>,
{
    let connection = http2::Builder::new(Streams::default())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(max_header_bytes)
        .serve_connection(TokioIo::new(io), service);
    Box::pin(connection)
}

impl<F> Multiplexed for http2::Connection<TokioIo<Io>, F, Streams>
where
    F: HttpService<Incoming> + Send + 'static,
    F::Error: Into<StreamError>,
    F::Future: Send + 'static,
    F::ResBody: Body + Send + 'static,
    <F::ResBody as Body>::Data: Send,
    <F::ResBody as Body>::Error: Into<StreamError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The tasks of one connection's requests, which end with the connection.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(stream);
    }
}
