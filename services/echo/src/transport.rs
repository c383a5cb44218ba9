//! What stands between clients' sockets and HTTP: the PROXY protocol, and TLS.

use std::fmt;
use std::io;

use clap::{Args, ValueEnum};
use cli::Failure;
use runtime::{EstablishFuture, Established, Peer, Stream, Transport};

pub mod proxy_protocol;
mod rewound;
pub mod tls;

use crate::hops::{Origin, Proxied, Trusted};
use proxy_protocol::{Beginning, Ends, Header};
use rewound::Rewound;
use tls::{Tls, TlsArgs};

/// The flags for it, to be flattened into the service's own.
#[derive(Args, Clone, Debug, Default)]
pub struct TransportArgs {
    /// Whether trusted proxies say by the PROXY protocol, version 1 or 2, who their clients are
    #[arg(long, env = "SERVICE_PROXY_PROTOCOL", value_name = "WHETHER", value_enum, default_value = "off")]
    pub proxy_protocol: ProxyProtocol,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Whether a PROXY header comes before all else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxyProtocol {
    /// Never: one is no HTTP
    #[default]
    Off,
    /// It may, from a trusted proxy
    Optional,
    /// It does: whoever sends none, or is no trusted proxy, is let go
    Required,
}

/// The transport that flags ask for. It tells each [`Connection`](runtime::Connection) its [`Origin`].
#[derive(Debug)]
pub struct Layers {
    proxy_protocol: ProxyProtocol,
    trusted: Vec<Trusted>,
    tls: Option<Tls>,
}

impl Layers {
    /// Nothing where there is nothing to do but to read requests.
    pub fn new(args: &TransportArgs, trusted: &[Trusted]) -> Result<Option<Self>, Failure> {
        let (proxy_protocol, tls) = (args.proxy_protocol, Tls::load(&args.tls)?);
        if proxy_protocol != ProxyProtocol::Off && trusted.is_empty() {
            return Err(Failure::usage(
                "--proxy-protocol is for proxies that are trusted, and none is; name them by --trusted-proxy",
            ));
        }
        let is_plain = proxy_protocol == ProxyProtocol::Off && tls.is_none();
        Ok((!is_plain).then_some(Self { proxy_protocol, trusted: trusted.to_vec(), tls }))
    }

    /// Takes the header off the stream.
    async fn header(&self, stream: &mut Rewound, peer: Peer) -> io::Result<Option<Header>> {
        let is_required = match self.proxy_protocol {
            ProxyProtocol::Off => return Ok(None),
            ProxyProtocol::Optional => false,
            ProxyProtocol::Required => true,
        };
        let is_trusted = self.trusted.iter().any(|trusted| trusted.covers(peer));
        if is_required && !is_trusted {
            return Err(refused("a PROXY header is required, and this peer is no trusted proxy"));
        }
        loop {
            match proxy_protocol::parse(stream.early()) {
                Ok(Beginning::Header(header, length)) if is_trusted => {
                    stream.consume(length);
                    return Ok(Some(header));
                }
                Err(error) if is_trusted => return Err(refused(error)),
                Ok(Beginning::Header(..)) | Err(_) => {
                    return Err(refused("a PROXY header from a peer that is no trusted proxy"));
                }
                Ok(Beginning::Other) if is_required => {
                    return Err(refused("no PROXY header, which is required"));
                }
                Ok(Beginning::Other) => return Ok(None),
                Ok(Beginning::Incomplete) => {}
            }
            if stream.more().await? == 0 {
                let missing = is_required.then(|| refused("the end within a PROXY header"));
                return missing.map_or(Ok(None), Err);
            }
        }
    }
}

impl Header {
    fn proxied(self) -> Option<Proxied> {
        match self.ends {
            Ends::Inet { source, destination } => Some(Proxied { source, destination }),
            Ends::Local | Ends::Unknown | Ends::Unix { .. } => None,
        }
    }
}

fn refused(why: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

impl Transport for Layers {
    fn establish(&self, stream: Stream, peer: Peer) -> EstablishFuture<'_> {
        Box::pin(async move {
            let mut stream = Rewound::new(stream);
            let proxied = self.header(&mut stream, peer).await?.and_then(Header::proxied);
            let (stream, tls) = match &self.tls {
                None => (stream.into(), None),
                Some(tls) => {
                    let (stream, session) = tls.accept(stream).await?;
                    (stream, Some(session))
                }
            };
            Ok(Established { stream, info: Some(Box::new(Origin { proxied, tls })) })
        })
    }
}
