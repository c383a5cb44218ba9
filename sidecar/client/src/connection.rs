//! One HTTP/1.1 connection, for the hub and for probes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::url::Url;

/// No answer of the hub is longer.
const LONGEST_BODY: usize = 64 * 1024;
/// How much of an answer is read of which only the status is of interest.
const ENOUGH_BODY: usize = 1024 * 1024;

/// Why an exchange failed.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// An open connection, closed when dropped.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    local: IpAddr,
    busy: bool,
}

impl Connection {
    /// Connects to the first of the host's addresses that answers, each within `patience`.
    pub async fn open(url: &Url, patience: Duration) -> Result<Self, Error> {
        let stream = connect(url, patience).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?.ip().to_canonical();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told the error.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, local, busy: false })
    }

    /// The connection's local address.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// Whether a request was sent and its answer not taken: another one cannot be sent.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Returns once the connection is closed by the other side.
    pub async fn closed(&mut self) {
        if !self.driver.is_finished() {
            // Not even a panic of the driver would leave the connection open.
            let _ = (&mut self.driver).await;
        }
    }

    /// Sends a request and awaits the answer. A caller that stops waiting leaves the request with the server and
    /// the connection open, but [busy](Self::is_busy).
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
        self.sender.ready().await?;
        self.busy = true;
        let response = self.sender.send_request(request);
        // On a task of its own, since hyper closes a connection when a response is no longer awaited.
        let answer = tokio::spawn(async move {
            let response = response.await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_BODY).collect().await?.to_bytes();
            Ok::<_, Error>((status, body))
        });
        let answer = answer.await??;
        self.busy = false;
        Ok(answer)
    }

    /// Sends the connection's last request, and awaits the whole answer for its status alone.
    pub async fn status(mut self, request: Request<Full<Bytes>>) -> Result<StatusCode, Error> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut left = ENOUGH_BODY;
        // A server that is cut off in the middle of its answer may log that as an error.
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

/// Connects to the first of the host's addresses that answers, each within `patience`.
pub async fn connect(url: &Url, patience: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((url.host.as_str(), url.port)).await? {
        match connect_one(address, patience).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn connect_one(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
    timeout(patience, TcpStream::connect(address)).await.map_err(|_| late())?
}
