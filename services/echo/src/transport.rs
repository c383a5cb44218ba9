//! Layers between the socket and HTTP: the PROXY protocol and TLS.

use std::fmt;
use std::io;

use clap::{Args, ValueEnum};
use cli::Failure;
use runtime::{EstablishFuture, Established, Peer, Stream, Transport};

pub mod proxy_protocol;
pub mod tls;

use crate::forwarding::{TransportInfo, TrustedProxy};
use proxy_protocol::{Detection, Endpoints, Header};
use tls::{Tls, TlsArgs};

/// Flags of the layers below HTTP.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "PROXY protocol")]
pub struct TransportArgs {
    /// PROXY protocol (version 1 or 2) from trusted proxies
    #[arg(long, env = "SERVICE_PROXY_PROTOCOL", value_name = "MODE", value_enum, default_value = "off")]
    pub proxy_protocol: ProxyProtocol,
    /// TLS flags.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Handling of PROXY headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxyProtocol {
    /// Reject PROXY headers as invalid HTTP
    #[default]
    Off,
    /// Accept a header from trusted proxies
    Optional,
    /// Close connections without a header or from other peers
    Required,
}

/// The configured layers. Each [`Connection`](runtime::Connection) gets its [`TransportInfo`].
#[derive(Debug)]
pub struct Layers {
    proxy_protocol: ProxyProtocol,
    trusted: Vec<TrustedProxy>,
    tls: Option<Tls>,
}

impl Layers {
    /// Returns `None` if the flags configure neither the PROXY protocol nor TLS.
    pub fn new(args: &TransportArgs, trusted: &[TrustedProxy]) -> Result<Option<Self>, Failure> {
        let (proxy_protocol, tls) = (args.proxy_protocol, Tls::load(&args.tls)?);
        if proxy_protocol != ProxyProtocol::Off && trusted.is_empty() {
            return Err(Failure::usage("--proxy-protocol needs trusted proxies; set --trusted-proxy"));
        }
        let is_plain = proxy_protocol == ProxyProtocol::Off && tls.is_none();
        Ok((!is_plain).then_some(Self { proxy_protocol, trusted: trusted.to_vec(), tls }))
    }

    /// Reads the PROXY header from the stream.
    async fn header(&self, stream: &mut Stream, peer: Peer) -> io::Result<Option<Header>> {
        if self.proxy_protocol == ProxyProtocol::Off {
            return Ok(None);
        }
        let is_required = self.proxy_protocol == ProxyProtocol::Required;
        let is_trusted = self.trusted.iter().any(|trusted| trusted.covers(peer));
        if is_required && !is_trusted {
            return Err(invalid_data("peer is not a trusted proxy"));
        }
        loop {
            match proxy_protocol::parse(stream.prefix()) {
                Ok(Detection::Header(header, length)) if is_trusted => {
                    stream.consume(length);
                    return Ok(Some(header));
                }
                Err(error) if is_trusted => return Err(invalid_data(error)),
                Ok(Detection::Header(..)) | Err(_) => {
                    return Err(invalid_data("PROXY header from a peer that is not a trusted proxy"));
                }
                Ok(Detection::NoHeader) if is_required => {
                    return Err(invalid_data("missing PROXY header"));
                }
                Ok(Detection::NoHeader) => return Ok(None),
                Ok(Detection::Incomplete) => {}
            }
            if stream.read_ahead().await? == 0 {
                let missing = is_required.then(|| invalid_data("connection closed within the PROXY header"));
                return missing.map_or(Ok(None), Err);
            }
        }
    }
}

fn invalid_data(why: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

impl Transport for Layers {
    fn establish(&self, mut stream: Stream, peer: Peer) -> EstablishFuture<'_> {
        Box::pin(async move {
            let header = self.header(&mut stream, peer).await?;
            let client = header.and_then(|header| match header.endpoints {
                Endpoints::Inet { source, .. } => Some(source),
                Endpoints::Local | Endpoints::Unknown | Endpoints::Unix { .. } => None,
            });
            let (stream, tls) = match &self.tls {
                None => (stream, None),
                Some(tls) => {
                    let (stream, session) = tls.accept(stream).await?;
                    (stream, Some(session))
                }
            };
            Ok(Established { stream, info: Some(Box::new(TransportInfo { client, tls })) })
        })
    }
}
