//! The protocol that a client speaks.

use std::pin::Pin;
#[cfg(feature = "http2")]
use std::task::ready;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;

use crate::body::StreamError;
use crate::io::Io;

#[cfg(feature = "http2")]
mod http2;

#[cfg(feature = "http2")]
use http2::{Beginning, Multiplexed};

/// hyper does with no less.
const LEAST_BUFFER: u32 = 8192;

/// A connection as hyper serves it, once it is known which protocol the client speaks.
#[cfg_attr(
    feature = "http2",
    expect(clippy::large_enum_variant, reason = "the large one is what nearly all of them are")
)]
pub(crate) enum Conversation<F: HttpService<Incoming>> {
    Http1(http1::Connection<TokioIo<Io>, F>),
    /// The beginning is yet to come.
    #[cfg(feature = "http2")]
    Unknown(Option<Beginning<F>>),
    #[cfg(feature = "http2")]
    Http2(Pin<Box<dyn Multiplexed>>),
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
        let connection = http1::Builder::new()
            .max_buf_size(max_header_bytes.max(LEAST_BUFFER) as usize)
            .serve_connection(TokioIo::new(io), service);
        Self::Http1(connection)
    }

    /// Ready when there is nothing more to say.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        #[cfg(feature = "http2")]
        if let Self::Unknown(beginning) = self {
            match beginning {
                Some(beginning) => ready!(beginning.poll(cx)),
                None => return Poll::Ready(Ok(())),
            }
            if let Some(beginning) = beginning.take() {
                *self = beginning.known();
            }
        }
        match self {
            Self::Http1(connection) => Pin::new(connection).poll(cx),
            #[cfg(feature = "http2")]
            Self::Http2(connection) => connection.as_mut().poll(cx),
            #[cfg(feature = "http2")]
            Self::Unknown(_) => Poll::Ready(Ok(())),
        }
    }

    /// Takes no more requests, and ends when those that are there are answered.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::Http1(connection) => Pin::new(connection).graceful_shutdown(),
            // A client that has said nothing waits for nothing.
            #[cfg(feature = "http2")]
            Self::Unknown(beginning) => drop(beginning.take()),
            #[cfg(feature = "http2")]
            Self::Http2(connection) => connection.as_mut().finish(),
        }
    }

    /// The socket, and what has been read from it for nothing.
    #[cfg_attr(
        not(feature = "http2"),
        expect(clippy::unnecessary_wraps, reason = "HTTP/2's socket cannot be had")
    )]
    pub(crate) fn into_io(self) -> Option<(Io, Bytes)> {
        match self {
            Self::Http1(connection) => {
                let parts = connection.into_parts();
                Some((parts.io.into_inner(), parts.read_buf))
            }
            #[cfg(feature = "http2")]
            Self::Unknown(_) | Self::Http2(_) => None,
        }
    }
}
