//! One client's bytes, both ways.

use std::fmt;
use std::io;
use std::net;
use std::os::unix;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One client's bytes, both ways: its socket, or what a [`Transport`](crate::Transport) has made of that.
#[derive(Debug)]
pub struct Stream(Kind);

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layered(Pin<Box<dyn Duplex>>),
}

trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A client's socket on its way to the thread that serves it.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It is to stay where it has come in.
    Here(Stream),
    /// By TCP, to another thread.
    Tcp(net::TcpStream),
    /// By the unix socket, to another thread.
    Unix(unix::net::UnixStream),
}

impl Arrival {
    /// The socket, known to the calling thread's runtime.
    pub(crate) fn settle(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Here(stream) => stream,
            Self::Tcp(stream) => TcpStream::from_std(stream)?.into(),
            Self::Unix(stream) => UnixStream::from_std(stream)?.into(),
        })
    }
}

impl Stream {
    /// What is read and written by way of another protocol, such as TLS, around a client's stream.
    pub fn layered(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Kind::Layered(Box::pin(stream)))
    }

    /// Whether its end has to be said in its own protocol.
    pub(crate) fn is_layered(&self) -> bool {
        matches!(self.0, Kind::Layered(_))
    }

    /// Ready when there is something to read, be it the end or an error, or when that can only be told by reading.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.poll_read_ready(cx).map(drop),
            Kind::Unix(stream) => stream.poll_read_ready(cx).map(drop),
            Kind::Layered(_) => Poll::Ready(()),
        }
    }

    /// Takes a socket from the calling thread's runtime, for another one.
    pub(crate) fn leave(self) -> io::Result<Arrival> {
        Ok(match self.0 {
            Kind::Tcp(stream) => Arrival::Tcp(stream.into_std()?),
            Kind::Unix(stream) => Arrival::Unix(stream.into_std()?),
            Kind::Layered(_) => Arrival::Here(self),
        })
    }

    #[cfg(test)]
    pub(crate) fn has_no_delay(&self) -> bool {
        matches!(&self.0, Kind::Tcp(stream) if stream.nodelay().is_ok_and(|no_delay| no_delay))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
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
        match &mut self.get_mut().0 {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Layered(stream) => stream.as_mut().poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Kind::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Layered(stream) => stream.as_mut().poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            // Neither kind of socket keeps anything back.
            Kind::Tcp(_) | Kind::Unix(_) => Poll::Ready(Ok(())),
            Kind::Layered(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Layered(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }
}
