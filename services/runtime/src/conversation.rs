//! The protocol that a client speaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;

use crate::body::StreamError;
use crate::io::Io;

mod http2;

use http2::{Beginning, Multiplexed};

/// hyper does with no less.
const LEAST_BUFFER: u32 = 8192;

/// A connection as hyper serves it, once it is known which protocol the client speaks.
pub(crate) enum Conversation<F: HttpService<Incoming>> {
    /// Nothing has come that is not answered. hyper is not here: its buffers are most of what a connection takes.
    Silent(Option<Silence<F>>),
    Http1(Box<http1::Connection<TokioIo<Io>, F>>),
    /// The beginning is yet to come.
    Unknown(Option<Beginning<F>>),
    Http2(Pin<Box<dyn Multiplexed>>),
}

/// What it takes to go on.
pub(crate) struct Silence<F> {
    io: Io,
    service: F,
    max_header_bytes: u32,
}

impl<F> Conversation<F>
where
    F: HttpService<Incoming>,
    F::Error: Into<StreamError>,
    F::ResBody: Body + 'static,
    <F::ResBody as Body>::Error: Into<StreamError>,
{
    /// Begins one with a client that speaks HTTP/1.
    pub(crate) fn http1(io: Io, service: F, max_header_bytes: u32) -> Self {
        Self::Silent(Some(Silence { io, service, max_header_bytes }))
    }

    /// Ready when there is nothing more to say.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if let Self::Unknown(beginning) = self {
            match beginning {
                Some(beginning) => ready!(beginning.poll(cx)),
                None => return Poll::Ready(Ok(())),
            }
            if let Some(beginning) = beginning.take() {
                *self = beginning.known();
            }
        }
        if let Self::Silent(silence) = self {
            match silence {
                Some(silence) => ready!(silence.io.poll_spoken(cx)),
                None => return Poll::Ready(Ok(())),
            }
            if let Some(Silence { io, service, max_header_bytes }) = silence.take() {
                let connection = http1::Builder::new()
                    .max_buf_size(max_header_bytes.max(LEAST_BUFFER) as usize)
                    .serve_connection(TokioIo::new(io), service);
                *self = Self::Http1(Box::new(connection));
            }
        }
        match self {
            Self::Silent(_) | Self::Unknown(_) => Poll::Ready(Ok(())),
            Self::Http1(connection) => Pin::new(connection).poll(cx),
            Self::Http2(connection) => connection.as_mut().poll(cx),
        }
    }

    /// Takes no more requests, and ends when those that are there are answered.
    pub(crate) fn finish(&mut self) {
        match self {
            // A client that has said nothing waits for nothing.
            Self::Silent(silence) => drop(silence.take()),
            Self::Http1(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            Self::Unknown(beginning) => drop(beginning.take()),
            Self::Http2(connection) => connection.as_mut().finish(),
        }
    }

    /// The socket, and what has been read from it for nothing.
    pub(crate) fn into_io(self) -> Option<(Io, Bytes)> {
        match self {
            Self::Silent(silence) => silence.map(|silence| (silence.io, Bytes::new())),
            Self::Http1(connection) => {
                let parts = connection.into_parts();
                Some((parts.io.into_inner(), parts.read_buf))
            }
            Self::Unknown(_) | Self::Http2(_) => None,
        }
    }
}
