//! Where requests come in: a TCP port or a unix socket.

use std::io;
use std::net::{self, SocketAddr};
use std::os::unix;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::Peer;
use crate::socket_file::SocketFile;

/// How many clients may wait to be let in.
const BACKLOG: u32 = 1024;

/// Where requests come in.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// One client's socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on `address`; port 0 is any free one.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // An answer goes out whole, so there is nothing to wait for. Each connection inherits this.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        Ok(Self(Kind::Tcp(socket.listen(BACKLOG)?)))
    }

    /// Listens on a unix socket at `path`, which is removed at the end. One that is there already is replaced if
    /// nobody listens on it.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let (listener, file) = SocketFile::bind(path)?;
        Ok(Self(Kind::Unix(listener, file)))
    }

    /// The real address, if it is one of TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.0 {
            Kind::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Stream::of_tcp(stream, peer)),
            Kind::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::of_unix(stream)),
        }
    }

    /// Stops listening, and returns who has connected by then: the kernel has promised these clients a server, and
    /// would now reset their connections.
    pub(crate) fn close(self) -> io::Result<Vec<(Stream, Peer)>> {
        let mut waiting = Vec::new();
        // The kernel is asked itself, as tokio may not yet have heard of the last ones.
        match self.0 {
            Kind::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, peer)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::of_tcp(TcpStream::from_std(stream)?, peer));
                }
            }
            Kind::Unix(listener, _file) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::of_unix(UnixStream::from_std(stream)?));
                }
            }
        }
        Ok(waiting)
    }
}

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
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Stream {
    /// Takes it from the calling thread's runtime, for another one.
    pub(crate) fn leave(self) -> io::Result<Arrival> {
        Ok(match self {
            Self::Tcp(stream) => Arrival::Tcp(stream.into_std()?),
            Self::Unix(stream) => Arrival::Unix(stream.into_std()?),
        })
    }

    fn of_tcp(stream: TcpStream, peer: SocketAddr) -> (Self, Peer) {
        (Self::Tcp(stream), Peer::Tcp(peer))
    }

    fn of_unix(stream: UnixStream) -> (Self, Peer) {
        (Self::Unix(stream), Peer::Unix)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of socket keeps anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_connection_waits_for_more_to_send() {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = TcpStream::connect(listener.address().unwrap()).await.unwrap();
        let Ok((Stream::Tcp(stream), _)) = listener.accept().await else { panic!("it is one of TCP") };
        assert!(stream.nodelay().unwrap());
    }
}
