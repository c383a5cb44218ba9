//! HTTP connections to the hub, cheap enough for 10,000 of them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use harness::netns::NetnsGuard;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Network from which connections start: that of this process, or a network namespace.
#[derive(Clone, Default)]
pub(super) struct Network(Option<Arc<str>>);

impl Network {
    /// The network namespace of the file at `path`.
    pub(super) fn namespace(path: &str) -> Self {
        Self(Some(path.into()))
    }

    fn socket(&self) -> Result<TcpSocket> {
        let _guard = self.0.as_deref().map(NetnsGuard::enter_at).transpose()?;
        TcpSocket::new_v4().context("creating a socket")
    }
}

/// An open connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// Header fields that all requests have.
    header: String,
}

impl Connection {
    pub(super) async fn open(network: &Network, hub: SocketAddr, token: &str) -> Result<Self> {
        let socket = network.socket()?;
        socket.set_nodelay(true)?;
        let stream = socket.connect(hub).await.context("connecting to the hub")?;
        Ok(Self { stream, header: format!("host: hub\r\nauthorization: Bearer {token}\r\n") })
    }

    /// Sends a request and returns the body of the response.
    pub(super) async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let (header, length) = (&self.header, body.len());
        let request = format!("{method} {path} HTTP/1.1\r\n{header}content-length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.context("sending a request")?;
        self.response().await.with_context(|| format!("{method} {path}"))
    }

    async fn response(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(1024);
        let body = loop {
            ensure!(self.stream.read_buf(&mut bytes).await? > 0, "the hub closed the connection");
            if let Some(end) = memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("no content-length")?.parse().context("content-length")?;
        let read = bytes.len();
        bytes.resize(body + length, 0);
        self.stream.read_exact(&mut bytes[read..]).await.context("reading a body")?;
        let bytes = bytes.split_off(body);
        ensure!(head.starts_with("http/1.1 200 "), "{head}{}", String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    /// Waits until the hub closes the connection.
    pub(super) async fn closed(&self) {
        // Between requests nothing else can be read.
        drop(self.stream.readable().await);
    }
}
