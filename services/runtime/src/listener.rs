//! Listening on a TCP port or a Unix socket, and accepting connections.

use std::fs;
use std::io;
use std::net::{self, SocketAddr};
use std::os::unix;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::reason;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::sleep;

use crate::Peer;
use crate::metrics::ThreadCounters;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// First and longest pause after the system refuses to accept a connection; each pause is twice the one before.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Last pause, while accepting fails.
    backoff: Option<Duration>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, file: SocketFile },
}

/// An accepted socket that no runtime knows yet, as it may be served on another thread.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl Listener {
    /// Listens on `address`; port 0 selects a free one.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Responses are written whole, so waiting for more data gains nothing. Connections inherit this option.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        Ok(Self { socket: Socket::Tcp(socket.listen(BACKLOG)?), backoff: None })
    }

    /// Listens on a Unix socket at `path`, which is removed at the end. A socket that is there and that no process listens
    /// on is replaced.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let (listener, file) = SocketFile::bind(path)?;
        Ok(Self { socket: Socket::Unix { listener, file }, backoff: None })
    }

    /// Returns the bound address of a TCP listener.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// Accepts a connection. While the system lacks file descriptors or memory, pauses between attempts: the clients wait
    /// in the kernel's queue, and trying without a pause would take the time in which other requests could finish.
    pub(crate) async fn accept(&mut self, counters: &ThreadCounters) -> (Accepted, Peer) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => {
                    if self.backoff.take().is_some() {
                        tracing::info!("accepting connections again");
                    }
                    return accepted;
                }
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    counters.accept_failed();
                    if self.backoff.is_none() {
                        tracing::warn!("accepting a connection: {}", reason(&error));
                    }
                    let pause = self.backoff.map_or(BACKOFF.0, |last| BACKOFF.1.min(last * 2));
                    self.backoff = Some(pause);
                    sleep(pause).await;
                }
            }
        }
    }

    /// Stops listening. Returns the connections in the kernel's queue, which would be reset otherwise.
    pub(crate) fn close(self) -> io::Result<Vec<(Accepted, Peer)>> {
        // Asks the kernel, since tokio may not have seen the latest connections.
        let mut queue = Vec::new();
        match self.socket {
            Socket::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, address)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    queue.push((Accepted::Tcp(stream), Peer::Tcp(address)));
                }
            }
            Socket::Unix { listener, file } => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    queue.push((Accepted::Unix(stream), Peer::Unix));
                }
                drop(file);
            }
        }
        Ok(queue)
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Accepted::Tcp(stream.into_std()?), Peer::Tcp(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), Peer::Unix))
            }
        }
    }
}

/// Whether only this client's connection failed, before it was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The file of a Unix socket. Removed on drop, unless another process has replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. Replaces the file of a process that died without removing it.
    fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let listener = UnixListener::bind(path).or_else(|error| {
            if error.kind() != io::ErrorKind::AddrInUse || !is_stale(path) {
                return Err(error);
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)
        })?;
        let file = Self { path: path.to_owned(), id: file_id(path)? };
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Whether `path` is a socket that no process listens on.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_tcp_sockets_have_nodelay_set() {
        let mut listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = net::TcpStream::connect(listener.address().unwrap()).unwrap();
        let (Accepted::Tcp(stream), _) = listener.accept(&ThreadCounters::default()).await else {
            panic!("expected a TCP socket");
        };
        assert!(stream.nodelay().unwrap());
    }
}
