//! Byte streams below HTTP, and the layer that a service can put between them.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::Peer;
use crate::listener::Accepted;

/// A layer between sockets and HTTP, such as TLS or the PROXY protocol.
pub trait Transport: Send + Sync {
    /// Performs the handshake before the first request. An error closes the connection.
    ///
    /// The future is dropped after [`Limits::header_timeout`](crate::Limits::header_timeout).
    fn establish(&self, stream: Stream, peer: Peer) -> EstablishFuture<'_>;
}

/// Future returned by [`Transport::establish`].
pub type EstablishFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Established>> + Send + 'a>>;

/// A connection that is ready for requests.
pub struct Established {
    /// Stream that carries HTTP.
    pub stream: Stream,
    /// Information about the client, for [`Connection::transport_info`](crate::Connection::transport_info).
    pub info: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Established").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A client's byte stream: its socket, or a layer around the socket.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    /// Bytes to read before those of the socket.
    prefix: Bytes,
}

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layered(Pin<Box<dyn Duplex>>),
}

trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl Stream {
    const fn new(kind: Kind) -> Self {
        Self { kind, prefix: Bytes::new() }
    }

    /// Wraps a stream of another protocol, such as TLS.
    pub fn layered(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self::new(Kind::Layered(Box::pin(stream)))
    }

    /// Puts bytes that were read from this stream back in front of it.
    #[must_use]
    pub fn with_prefix(self, prefix: Bytes) -> Self {
        let prefix = if self.prefix.is_empty() { prefix } else { [prefix, self.prefix].concat().into() };
        Self { kind: self.kind, prefix }
    }

    /// Registers a socket with the calling thread's runtime.
    pub(crate) fn register(socket: Accepted) -> io::Result<Self> {
        Ok(Self::new(match socket {
            Accepted::Tcp(socket) => Kind::Tcp(TcpStream::from_std(socket)?),
            Accepted::Unix(socket) => Kind::Unix(UnixStream::from_std(socket)?),
        }))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => stream.fmt(f),
            Self::Unix(stream) => stream.fmt(f),
            Self::Layered(_) => f.write_str("Layered"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { kind, prefix } = self.get_mut();
        if !prefix.is_empty() {
            let count = prefix.len().min(buffer.remaining());
            buffer.put_slice(&prefix.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Layered(stream) => stream.as_mut().poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Layered(stream) => stream.as_mut().poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            // Sockets have no buffer of their own.
            Kind::Tcp(_) | Kind::Unix(_) => Poll::Ready(Ok(())),
            Kind::Layered(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Layered(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }
}
