//! Connections to a host: name resolution, TCP and TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, mem};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::progress::{Phase, Progress};
use crate::error::RequestError;
use crate::plan::{HttpVersion, Plan};
use crate::report::ErrorClass;
use crate::target::Origin;

/// Lifetime of resolved addresses. Short, since the addresses of a service change during an update.
const DNS_TTL: Duration = Duration::from_secs(1);

const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Time after which a connection attempt to the next address starts, while the one before goes on (RFC 8305, 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection with or without TLS.
pub(super) struct Stream {
    pub(super) io: Box<dyn ReadWrite>,
    /// Address of the peer.
    pub(super) address: Rc<str>,
    /// Time that connecting took.
    pub(super) connect: Duration,
    /// Time that the TLS handshake took.
    pub(super) tls: Option<Duration>,
}

pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

/// Opens connections to one host.
pub(super) struct Connector {
    origin: Origin,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    version: HttpVersion,
    unix_socket: Option<PathBuf>,
    /// Addresses that are known without a lookup.
    fixed: Option<Arc<[SocketAddr]>>,
    addresses: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
}

impl Connector {
    /// Creates a connector for a host that speaks this version of HTTP. Over TLS, it offers `versions`.
    pub(super) fn new(
        plan: &Plan,
        origin: &Origin,
        version: HttpVersion,
        versions: &[HttpVersion],
    ) -> Result<Self, RequestError> {
        let tls = match plan.tls.as_ref().filter(|_| origin.tls) {
            None => None,
            Some(config) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = versions.iter().map(|version| alpn(*version).to_vec()).collect();
                let name = ServerName::try_from(origin.host.clone()).map_err(|error| {
                    let text = format_args!("invalid TLS server name {}: {error}", origin.host);
                    RequestError::new(ErrorClass::Tls, text)
                })?;
                Some((Arc::new(config).into(), name))
            }
        };
        let literal = || Some([SocketAddr::new(origin.address()?, origin.port)].into());
        let resolved = plan.resolve.iter().find_map(|resolve| resolve.addresses(origin));
        let fixed = resolved.map(Iterator::collect).or_else(literal);
        let unix_socket = plan.unix_socket.clone();
        Ok(Self { origin: origin.clone(), tls, version, unix_socket, fixed, addresses: Mutex::new(None) })
    }

    /// Opens connection `number`. The number selects the address that is tried first.
    pub(super) async fn connect(&self, number: usize, progress: &Progress) -> Result<Stream, RequestError> {
        let (stream, negotiated) = self.open(number, progress).await?;
        if negotiated.is_some_and(|negotiated| negotiated != self.version) {
            let text = "the server negotiated another version of HTTP than on its first connection";
            return Err(RequestError::protocol(text));
        }
        Ok(stream)
    }

    /// Opens a connection, and returns the version of HTTP that the server has selected over TLS.
    async fn open(
        &self,
        number: usize,
        progress: &Progress,
    ) -> Result<(Stream, Option<HttpVersion>), RequestError> {
        if let Some(path) = &self.unix_socket {
            let address = path.display().to_string().into();
            progress.at(Phase::Connecting, &address);
            let began = Instant::now();
            let stream = UnixStream::connect(path).await;
            let stream =
                stream.map_err(|cause| RequestError::io(format_args!("connecting to {address}"), &cause))?;
            return self.handshake(Box::new(stream), address, began.elapsed(), progress).await;
        }
        let addresses = self.resolve(progress).await?;
        let began = Instant::now();
        let (stream, address) = self.connect_tcp(&addresses, number, progress).await?;
        // Each request is a single write, so Nagle's algorithm could only delay it.
        let _ = stream.set_nodelay(true);
        self.handshake(Box::new(stream), address.to_string().into(), began.elapsed(), progress).await
    }

    /// Connects to one of the addresses. An attempt that fails or hangs is followed by one at the next address.
    async fn connect_tcp(
        &self,
        addresses: &[SocketAddr],
        number: usize,
        progress: &Progress,
    ) -> Result<(TcpStream, SocketAddr), RequestError> {
        let failed =
            |address, cause: &io::Error| RequestError::io(format_args!("connecting to {address}"), cause);
        if let [address] = *addresses {
            progress.at(Phase::Connecting, &address.to_string().into());
            let stream = TcpStream::connect(address).await;
            return Ok((stream.map_err(|cause| failed(address, &cause))?, address));
        }
        let mut error = RequestError::new(
            ErrorClass::Dns,
            format_args!("resolving {}: the name has no address", self.origin.host),
        );
        let mut attempts = JoinSet::new();
        let mut left = (0..addresses.len()).map(|attempt| addresses[(number + attempt) % addresses.len()]);
        let mut names = Vec::new();
        let mut start = true;
        loop {
            let mut has_more = true;
            if mem::take(&mut start) {
                if let Some(address) = left.next() {
                    names.push(address.to_string());
                    progress.at(Phase::Connecting, &names.join(" and ").into());
                    attempts.spawn(async move { (address, TcpStream::connect(address).await) });
                } else if attempts.is_empty() {
                    return Err(error);
                } else {
                    has_more = false;
                }
            }
            tokio::select! {
                Some(Ok((address, connected))) = attempts.join_next() => match connected {
                    Ok(stream) => return Ok((stream, address)),
                    Err(cause) => {
                        error = failed(address, &cause);
                        start = true;
                    }
                },
                () = sleep(ATTEMPT_DELAY), if has_more => start = true,
            }
        }
    }

    async fn resolve(&self, progress: &Progress) -> Result<Arc<[SocketAddr]>, RequestError> {
        if let Some(addresses) = &self.fixed {
            return Ok(Arc::clone(addresses));
        }
        progress.at(Phase::Resolving, &self.origin.host.as_str().into());
        // The lock is held during the lookup, so that concurrent callers share its result.
        let mut cached = self.addresses.lock().await;
        if let Some((at, addresses)) = &*cached
            && at.elapsed() < DNS_TTL
        {
            return Ok(Arc::clone(addresses));
        }
        let Origin { host, port, .. } = &self.origin;
        let resolved = lookup_host((host.as_str(), *port)).await.map_err(|error| {
            let text = error.to_string();
            let cause = text.rsplit("lookup address information: ").next().unwrap_or(&text);
            RequestError::new(ErrorClass::Dns, format_args!("resolving {host}: {cause}"))
        })?;
        let addresses: Arc<[SocketAddr]> = resolved.collect();
        *cached = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }

    /// Starts TLS, if the host speaks it.
    async fn handshake(
        &self,
        stream: Box<dyn ReadWrite>,
        address: Rc<str>,
        connect: Duration,
        progress: &Progress,
    ) -> Result<(Stream, Option<HttpVersion>), RequestError> {
        let Some((connector, name)) = &self.tls else {
            progress.begin(Instant::now());
            return Ok((Stream { io: stream, address, connect, tls: None }, None));
        };
        progress.at(Phase::Handshake, &address);
        let began = Instant::now();
        let io = connector.connect(name.clone(), stream).await.map_err(|error| {
            let action = format!("TLS handshake with {address}");
            if is_plain(&error) {
                let text = format_args!(
                    "{action}: the server speaks no TLS at this port; is its URL http://{}?",
                    self.origin
                );
                return RequestError::new(ErrorClass::Tls, text);
            }
            RequestError::io(action, &error)
        })?;
        // Without ALPN the server speaks HTTP/1.1.
        let is_http2 = io.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        let version = if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        progress.begin(Instant::now());
        Ok((Stream { io: Box::new(io), address, connect, tls: Some(began.elapsed()) }, Some(version)))
    }
}

/// Whether a TLS handshake failed because the peer sent something other than TLS.
fn is_plain(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

fn alpn(version: HttpVersion) -> &'static [u8] {
    match version {
        HttpVersion::Http1 => ALPN_HTTP1,
        HttpVersion::Http2 => ALPN_HTTP2,
    }
}

/// Connects to each host and closes the connection without a request. Returns the version of HTTP for each host.
pub(super) async fn negotiate(plan: &Plan) -> Result<Vec<HttpVersion>, RequestError> {
    let mut versions = Vec::new();
    for origin in &plan.origins {
        let progress = Progress::default();
        let version = tokio::time::timeout(plan.timeout, negotiate_with(plan, origin, &progress)).await;
        versions.push(version.map_err(|_| {
            let text = format_args!("{progress}: no response within {:?}", plan.timeout);
            RequestError::new(ErrorClass::Timeout, text)
        })??);
    }
    Ok(versions)
}

async fn negotiate_with(
    plan: &Plan,
    origin: &Origin,
    progress: &Progress,
) -> Result<HttpVersion, RequestError> {
    let offered = plan.http.map_or(vec![HttpVersion::Http2, HttpVersion::Http1], |version| vec![version]);
    let version = plan.http.unwrap_or(HttpVersion::Http1);
    let connector = Connector::new(plan, origin, version, &offered)?;
    let (_, negotiated) = connector.open(0, progress).await?;
    let negotiated = negotiated.unwrap_or(version);
    if plan.http.is_some_and(|wanted| wanted != negotiated) {
        return Err(RequestError::protocol(format_args!(
            "{origin} does not support HTTP/2 over TLS; use --http 1.1"
        )));
    }
    Ok(negotiated)
}
