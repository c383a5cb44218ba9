//! Listening on a TCP port or a Unix socket, and accepting connections.

use std::fs;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::reason;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::sleep;

use crate::metrics::ThreadCounters;
use crate::{Peer, Stream};

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

/// An accepted socket.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A socket of the accepting thread's runtime. tokio reads from it without waiting for an event.
    Registered(Stream),
    /// A TCP socket that no runtime knows.
    Tcp(net::TcpStream),
    /// A Unix socket that no runtime knows.
    Unix(unix::net::UnixStream),
}

impl Listener {
    /// Listens on `address`; port 0 selects a free one. `::` means all addresses of IPv6 and IPv4, or those of IPv4 alone
    /// on a system without IPv6.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        with_ipv4_alone(address, Self::bind)
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Responses are written whole, so waiting for more data gains nothing. Connections inherit this option.
        socket.set_nodelay(true)?;
        accept_ipv4(&socket, address)?;
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
                    queue.push((Accepted::Tcp(stream), Peer::Tcp(canonical(address))));
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
                Ok((Accepted::Registered(stream.into()), Peer::Tcp(canonical(address))))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Registered(stream.into()), Peer::Unix))
            }
        }
    }
}

/// Binds to `address`, or to `0.0.0.0` in place of `::` if the system does not support IPv6.
fn with_ipv4_alone<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let result = bind(address);
    match &result {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        _ => result,
    }
}

/// Lets a socket for `::` accept IPv4 also if the system's default is IPv6 alone (`net.ipv6.bindv6only=1`).
fn accept_ipv4(socket: &TcpSocket, address: SocketAddr) -> io::Result<()> {
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        rustix::net::sockopt::set_ipv6_v6only(socket, false)?;
    }
    Ok(())
}

/// Whether the kernel has no IPv6, or it is off for this network namespace.
fn lacks_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Returns an IPv4 address that is mapped to IPv6, as a listener on `::` reports it, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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
    use std::io::Write;

    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn unspecified_ipv6_address_accepts_ipv4_and_shows_it_as_such() {
        let mut listener = Listener::tcp("[::]:0".parse().unwrap()).unwrap();
        let port = listener.address().unwrap().port();
        for ip in [net::IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let client = net::TcpStream::connect((ip, port)).unwrap();
            let (_, peer) = listener.accept(&ThreadCounters::default()).await;
            assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
        }
        let client = net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let queue = listener.close().unwrap();
        assert_eq!(queue[0].1, Peer::Tcp(client.local_addr().unwrap()));
    }

    #[tokio::test]
    async fn unspecified_ipv6_address_accepts_ipv4_whatever_the_system_default_is() {
        use rustix::net::sockopt::{ipv6_v6only, set_ipv6_v6only};
        for (address, is_alone) in [("[::]:0", false), ("[::1]:0", true)] {
            let socket = TcpSocket::new_v6().unwrap();
            set_ipv6_v6only(&socket, true).unwrap();
            accept_ipv4(&socket, address.parse().unwrap()).unwrap();
            assert_eq!(ipv6_v6only(&socket).unwrap(), is_alone, "{address}");
        }
    }

    #[test]
    fn ipv4_alone_is_used_without_ipv6() {
        let bind = |code: i32| {
            move |address: SocketAddr| match address {
                SocketAddr::V4(_) => Ok(address.to_string()),
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(code)),
            }
        };
        let any = "[::]:80".parse().unwrap();
        assert_eq!(with_ipv4_alone(any, bind(97)).unwrap(), "0.0.0.0:80");
        assert_eq!(with_ipv4_alone(any, bind(98)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(with_ipv4_alone("[::1]:80".parse().unwrap(), bind(97)).is_err());
    }

    #[tokio::test]
    async fn accepted_tcp_sockets_have_nodelay_set() {
        let mut listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = net::TcpStream::connect(listener.address().unwrap()).unwrap();
        let (Accepted::Registered(stream), _) = listener.accept(&ThreadCounters::default()).await else {
            panic!("expected a socket of this thread");
        };
        let Ok(Accepted::Tcp(stream)) = stream.unregister() else { panic!("expected a TCP socket") };
        assert!(stream.nodelay().unwrap());
    }

    /// A client may send a request and shut down its side at once. If the server first waited for an event of the socket, the
    /// event would already report the shutdown, and hyper would close the connection while the request is being answered.
    #[tokio::test]
    async fn accepted_socket_is_read_without_waiting_for_an_event() {
        let mut listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let mut client = net::TcpStream::connect(listener.address().unwrap()).unwrap();
        client.write_all(b"GET").unwrap();
        let (socket, _) = listener.accept(&ThreadCounters::default()).await;
        let mut stream = Stream::register(socket).unwrap();
        let mut bytes = [0; 8];
        let count = timeout(Duration::ZERO, stream.read(&mut bytes)).await;
        assert_eq!(count.expect("readable at once").unwrap(), 3);
    }
}
