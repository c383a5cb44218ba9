//! Byte streams below HTTP, and the layer that a service can put between them.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
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
    /// Bytes that were read ahead.
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

    /// Returns the address at which the client reached this host. `None` for a Unix socket or a layer.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(socket) => socket.local_addr().ok(),
            Kind::Unix(_) | Kind::Layered(_) => None,
        }
    }

    /// Has the kernel close a TCP connection whose peer is lost: it probes after each `interval` without traffic, and gives up
    /// after `timeout`.
    pub fn detect_lost_peer(&self, interval: Duration, timeout: Duration) -> io::Result<()> {
        let Kind::Tcp(socket) = &self.kind else { return Ok(()) };
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, interval)?;
        sockopt::set_tcp_keepintvl(socket, interval)?;
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        Ok(sockopt::set_tcp_user_timeout(socket, millis)?)
    }

    /// Returns the bytes that were read ahead, which the next reads return again.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Reads ahead and returns the number of bytes, 0 at the end of the stream.
    pub async fn read_ahead(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 1024];
        let count = self.kind.read(&mut bytes).await?;
        self.prefix = [&self.prefix[..], &bytes[..count]].concat().into();
        Ok(count)
    }

    /// Removes the first bytes of the prefix.
    pub fn consume(&mut self, count: usize) {
        self.prefix.advance(count.min(self.prefix.len()));
    }

    /// Puts bytes that were read from this stream back in front of it.
    pub(crate) fn with_prefix(self, prefix: Bytes) -> Self {
        let prefix = if self.prefix.is_empty() { prefix } else { [prefix, self.prefix].concat().into() };
        Self { kind: self.kind, prefix }
    }

    /// Registers a socket with the calling thread's runtime.
    pub(crate) fn register(socket: Accepted) -> io::Result<Self> {
        Ok(match socket {
            Accepted::Registered(stream) => stream,
            Accepted::Tcp(socket) => TcpStream::from_std(socket)?.into(),
            Accepted::Unix(socket) => UnixStream::from_std(socket)?.into(),
        })
    }

    /// Takes a socket from the calling thread's runtime, for another thread.
    pub(crate) fn unregister(self) -> io::Result<Accepted> {
        Ok(match self.kind {
            Kind::Tcp(socket) => Accepted::Tcp(socket.into_std()?),
            Kind::Unix(socket) => Accepted::Unix(socket.into_std()?),
            Kind::Layered(_) => Accepted::Registered(self),
        })
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::new(Kind::Tcp(socket))
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self::new(Kind::Unix(socket))
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

impl AsyncRead for Kind {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Layered(stream) => stream.as_mut().poll_read(cx, buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.kind).poll_read(cx, buffer);
        }
        let count = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix.split_to(count));
        Poll::Ready(Ok(()))
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
