//! Where requests come in: a TCP port or a unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::socket_file::SocketFile;
use crate::{Peer, Stream};

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
            Kind::Tcp(listener) => {
                listener.accept().await.map(|(stream, peer)| (stream.into(), Peer::Tcp(peer)))
            }
            Kind::Unix(listener, _) => listener.accept().await.map(|(stream, _)| (stream.into(), Peer::Unix)),
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
                    waiting.push((TcpStream::from_std(stream)?.into(), Peer::Tcp(peer)));
                }
            }
            Kind::Unix(listener, _file) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push((UnixStream::from_std(stream)?.into(), Peer::Unix));
                }
            }
        }
        Ok(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_connection_waits_for_more_to_send() {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = TcpStream::connect(listener.address().unwrap()).await.unwrap();
        let Ok((stream, _)) = listener.accept().await else { panic!("it is there") };
        assert!(stream.has_no_delay());
    }
}
