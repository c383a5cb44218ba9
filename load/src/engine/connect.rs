//! Connections to a host: name resolution, TCP and TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::error::RequestError;
use crate::plan::{HttpVersion, Plan};
use crate::report::ErrorClass;
use crate::target::Origin;

/// Lifetime of resolved addresses. Short, since the addresses of a service change during an update.
const DNS_TTL: Duration = Duration::from_secs(1);

const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// A connection with or without TLS.
pub(super) type Stream = Box<dyn ReadWrite>;

pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

/// Opens connections to one host.
pub(super) struct Connector {
    origin: Origin,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    version: HttpVersion,
    addresses: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
}

impl Connector {
    /// Creates a connector for a host that speaks this version of HTTP. Over TLS, it offers `versions`.
    pub(super) fn new(
        origin: &Origin,
        config: Option<&Arc<ClientConfig>>,
        version: HttpVersion,
        versions: &[HttpVersion],
    ) -> Result<Self, RequestError> {
        let tls = match config.filter(|_| origin.tls) {
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
        Ok(Self { origin: origin.clone(), tls, version, addresses: Mutex::new(None) })
    }

    /// Opens connection `number`. The number selects the address that is tried first.
    pub(super) async fn connect(&self, number: usize) -> Result<Stream, RequestError> {
        let (stream, negotiated) = self.handshake(self.connect_tcp(number).await?).await?;
        if negotiated.is_some_and(|negotiated| negotiated != self.version) {
            let text = "the server negotiated another version of HTTP than on its first connection";
            return Err(RequestError::protocol(text));
        }
        Ok(stream)
    }

    async fn connect_tcp(&self, number: usize) -> Result<TcpStream, RequestError> {
        let addresses = self.resolve().await?;
        let mut error = RequestError::new(
            ErrorClass::Dns,
            format_args!("resolving {}: the name has no address", self.origin.host),
        );
        for attempt in 0..addresses.len() {
            let address = addresses[(number + attempt) % addresses.len()];
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Each request is a single write, so Nagle's algorithm could only delay it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(cause) => error = RequestError::io(format_args!("connecting to {address}"), &cause),
            }
        }
        Err(error)
    }

    async fn resolve(&self) -> Result<Arc<[SocketAddr]>, RequestError> {
        if let Some(address) = self.origin.address() {
            return Ok([SocketAddr::new(address, self.origin.port)].into());
        }
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

    /// Starts TLS, if the host speaks it. Returns the version of HTTP that the server has selected.
    async fn handshake(&self, stream: TcpStream) -> Result<(Stream, Option<HttpVersion>), RequestError> {
        let Some((connector, name)) = &self.tls else { return Ok((Box::new(stream), None)) };
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(|error| RequestError::io(format_args!("TLS handshake with {}", self.origin), &error))?;
        // Without ALPN the server speaks HTTP/1.1.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        let version = if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        Ok((Box::new(stream), Some(version)))
    }
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
        let version = tokio::time::timeout(plan.timeout, negotiate_with(plan, origin)).await;
        versions.push(version.map_err(|_| {
            let text = format_args!("connecting to {origin}: no response within {:?}", plan.timeout);
            RequestError::new(ErrorClass::Timeout, text)
        })??);
    }
    Ok(versions)
}

async fn negotiate_with(plan: &Plan, origin: &Origin) -> Result<HttpVersion, RequestError> {
    let offered = plan.http.map_or(vec![HttpVersion::Http2, HttpVersion::Http1], |version| vec![version]);
    let version = plan.http.unwrap_or(HttpVersion::Http1);
    let connector = Connector::new(origin, plan.tls.as_ref(), version, &offered)?;
    let (_, negotiated) = connector.handshake(connector.connect_tcp(0).await?).await?;
    let negotiated = negotiated.unwrap_or(version);
    if plan.http.is_some_and(|wanted| wanted != negotiated) {
        return Err(RequestError::protocol(format_args!(
            "{origin} does not support HTTP/2 over TLS; use --http 1.1"
        )));
    }
    Ok(negotiated)
}
