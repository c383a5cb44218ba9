//! One HTTP/1.1 connection, for the hub and for probes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time;

use crate::resolver::resolve;
use crate::url::Url;

/// Maximum part of a body that is read and discarded when only the status matters, in bytes.
const MAX_DISCARDED: usize = 1024 * 1024;

/// Interval at which the kernel probes a silent server, and the number of probes without an answer after which it closes the
/// connection.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const LOST_PROBES: u32 = 2;

/// Error of hyper or the operating system.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Returns the cause of an error, to be put at the end of a message: `connection refused`.
pub fn reason(error: &Error) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), cli::reason)
}

/// A byte stream that carries HTTP: TCP, or TLS over TCP. Not a type parameter, so that the program contains hyper's client once.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection. Dropping it closes it.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    /// Local address of the connection.
    pub local_ip: IpAddr,
    /// Whether a response is outstanding. If so, the connection accepts no other request.
    pub is_busy: bool,
}

impl Connection {
    /// Connects to the first address of the URL's host that accepts, with `timeout` for each address.
    pub async fn open(url: &Url, timeout: Duration) -> Result<Self, Error> {
        let stream = connect(url, timeout).await?;
        stream.set_nodelay(true)?;
        Self::new(stream.local_addr()?.ip(), Box::new(stream)).await
    }

    /// Sends requests on `stream`.
    pub(crate) async fn new(local_ip: IpAddr, stream: Box<dyn Stream>) -> Result<Self, Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // The pending request reports the same error.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, local_ip: local_ip.to_canonical(), is_busy: false })
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        if !self.driver.is_finished() {
            // The connection is closed even if the driver panicked.
            let _ = (&mut self.driver).await;
        }
    }

    /// Sends a request and waits for the response, with a body of at most `max_body` bytes. If the caller cancels, the server still handles the request and the
    /// connection stays open, but [busy](Self::is_busy).
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        max_body: usize,
    ) -> Result<(StatusCode, Bytes), Error> {
        self.sender.ready().await?;
        self.is_busy = true;
        let response = self.sender.send_request(request);
        // In a task of its own: hyper closes the connection if the response future is dropped.
        let task = tokio::spawn(async move {
            let response = response.await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), max_body).collect().await?.to_bytes();
            Ok::<_, Error>((status, body))
        });
        let response = task.await??;
        self.is_busy = false;
        Ok(response)
    }

    /// Sends the last request of the connection and returns the status of the response. The body is read to its end,
    /// since some servers log a client that disconnects earlier as an error.
    pub async fn send_last(mut self, request: Request<Full<Bytes>>) -> Result<StatusCode, Error> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut left = MAX_DISCARDED;
        while let Some(frame) = body.frame().await {
            left = left.saturating_sub(frame?.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
        Ok(status)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects to `address`. The connection stays open between requests, and the kernel closes it if the server's host is lost.
pub(crate) async fn connect_lasting(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = connect_to(&[address], timeout).await?;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, LOST_PROBES)?;
    Ok(stream)
}

/// Connects to the first address of the URL's host that accepts, with `timeout` for each address.
pub async fn connect(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    connect_to(&resolve(url).await?, timeout).await
}

async fn connect_to(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        last_error = match time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("no response within {timeout:?}")),
        };
    }
    Err(last_error)
}
