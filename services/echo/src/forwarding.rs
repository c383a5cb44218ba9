//! The chain of proxies that forwarded a request, and which of their reports to trust.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use runtime::Peer;
use serde::Serialize;

use crate::cidr::Cidr;
use crate::forwarded::{self, Element, Name, Node};
use crate::headers::joined;
use crate::transport::tls::Session;

/// Information about a connection from the layers between the socket and HTTP.
#[derive(Clone, Debug, Default)]
pub struct TransportInfo {
    /// Endpoints from the PROXY protocol.
    pub proxied: Option<Proxied>,
    /// TLS session.
    pub tls: Option<Session>,
}

/// The connection from the client to the proxy, from the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Address of the client.
    pub source: SocketAddr,
    /// Address that the client connected to.
    pub destination: SocketAddr,
}

/// A trusted peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Peers in this network.
    Network(Cidr),
    /// Peers on the Unix socket.
    Unix,
}

impl TrustedProxy {
    /// Whether `peer` is one of them.
    pub fn covers(&self, peer: Peer) -> bool {
        match (self, peer) {
            (Self::Network(cidr), Peer::Tcp(address)) => cidr.contains(canonical(address).ip()),
            (Self::Unix, Peer::Unix) => true,
            (Self::Network(_), Peer::Unix) | (Self::Unix, Peer::Tcp(_)) => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" { Ok(Self::Unix) } else { text.parse().map(Self::Network) }
    }
}

/// The proxies that forwarded a request, and the original request as they report it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardingChain {
    /// Address of the client, from the last trusted report.
    pub client: String,
    /// Scheme of the original request.
    pub scheme: String,
    /// Host of the original request, possibly with a port.
    pub external_host: String,
    /// Port of the original request, if reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_port: Option<String>,
    /// Path prefix that a proxy removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Name of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// All known hops, from the client to the connection.
    pub hops: Vec<Hop>,
    /// Errors of headers that could not be parsed.
    #[serde(rename = "faults", skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// A client or proxy that sent the request on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Its address, or the name given instead.
    pub address: String,
    /// The hop that reported it.
    pub by: String,
    /// Whether all hops from this one to the server are trusted, so that the address is reliable.
    pub believed: bool,
    /// Whether this hop is a trusted proxy, so that its own report is believed.
    pub trusted: bool,
    /// Where the report comes from.
    pub from: HopSource,
}

/// Source of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HopSource {
    /// The header `Forwarded`.
    #[serde(rename = "forwarded")]
    Forwarded,
    /// The header `X-Forwarded-For`.
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// The header `X-Real-Ip`.
    #[serde(rename = "x-real-ip")]
    XRealIp,
    /// The PROXY protocol.
    #[serde(rename = "proxy protocol")]
    ProxyProtocol,
    /// The kernel.
    #[serde(rename = "connection")]
    Connection,
}

/// The parts of a request that tell how it was forwarded.
#[derive(Clone, Copy, Debug)]
pub struct IncomingRequest<'a> {
    /// Peer of the connection.
    pub peer: Peer,
    /// Information from the layers below HTTP.
    pub origin: Option<&'a TransportInfo>,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// Host of the request.
    pub host: &'a str,
    /// Name of this server.
    pub here: &'a str,
}

/// Follows a request back from the connection to the client.
pub fn forwarding_chain(request: IncomingRequest<'_>, trusted: &[TrustedProxy]) -> ForwardingChain {
    let IncomingRequest { peer, origin, headers, host, here } = request;
    let mut errors = Vec::new();
    let (header, reports) = reports(headers, &mut errors);
    let mut chain = Chain::new(peer, here, trusted);
    if let Some(Proxied { source, .. }) = origin.and_then(|origin| origin.proxied) {
        let reporter = chain.clone();
        chain.add(&from_address(source), None, HopSource::ProxyProtocol);
        // A proxy that reports the same client by the PROXY protocol and by a header is one hop.
        if reports.last().is_some_and(|(nearest, _)| nearest.is(source.ip())) {
            chain = reporter;
        }
    }
    let is_trusted = chain.is_trusted();
    for (node, element) in reports.iter().rev() {
        let by = element.as_ref().and_then(|element| element.by.as_ref()).map(Node::to_string);
        chain.add(node, by, header);
    }

    let client = chain.hops.iter().rposition(|hop| hop.believed).unwrap_or_default();
    let known = chain.hops.len() - reports.len();
    let report = client.checked_sub(known).map(|index| reports.len() - 1 - index).filter(|_| is_trusted);
    let element = report.and_then(|index| reports[index].1.as_ref());
    let value = |name: &str| {
        let values = joined(headers, name).filter(|_| is_trusted)?;
        let values: Vec<_> = values.split(',').map(str::trim).collect();
        // With one value for each hop, take the client's; otherwise the one of the nearest proxy.
        let index = report.filter(|_| values.len() == reports.len()).unwrap_or(values.len() - 1);
        Some(values[index].to_owned()).filter(|value| !value.is_empty())
    };
    let scheme = if origin.is_some_and(|origin| origin.tls.is_some()) { "https" } else { "http" };
    let reported_scheme =
        element.and_then(|element| element.proto.clone()).or_else(|| value("x-forwarded-proto"));
    let reported_host =
        element.and_then(|element| element.host.clone()).or_else(|| value("x-forwarded-host"));
    ForwardingChain {
        client: chain.hops[client].address.clone(),
        scheme: reported_scheme.unwrap_or_else(|| scheme.to_owned()),
        external_host: reported_host.unwrap_or_else(|| host.to_owned()),
        external_port: value("x-forwarded-port"),
        prefix: value("x-forwarded-prefix"),
        server: value("x-forwarded-server"),
        hops: chain.hops.into_iter().rev().collect(),
        errors,
    }
}

/// Returns the remote address: that of the PROXY protocol from a trusted proxy, otherwise that of the peer.
pub fn remote(peer: Peer, origin: Option<&TransportInfo>, trusted: &[TrustedProxy]) -> String {
    match (origin.and_then(|origin| origin.proxied), peer) {
        (Some(proxied), peer) if Chain::new(peer, "", trusted).is_trusted() => {
            canonical(proxied.source).to_string()
        }
        (_, Peer::Tcp(address)) => canonical(address).to_string(),
        (_, Peer::Unix) => peer.to_string(),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn from_address(address: SocketAddr) -> Reported {
    Reported::Node(Node { name: Name::Address(address.ip().to_canonical()), port: None })
}

type Report = (Reported, Option<Element>);

/// A hop that a header reports.
#[derive(Clone, Debug)]
enum Reported {
    Node(Node),
    Other(String),
}

impl Reported {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(|()| Self::Other(text.to_owned()), Self::Node)
    }

    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Node(Node { name: Name::Address(address), .. }) => Some(*address),
            _ => None,
        }
    }

    fn is(&self, address: IpAddr) -> bool {
        self.ip().is_some_and(|own| own.to_canonical() == address.to_canonical())
    }

    /// Returns the name without the port, which does not identify a hop.
    fn text(&self) -> String {
        match self {
            Self::Node(node) => match &node.name {
                Name::Address(address) => address.to_canonical().to_string(),
                Name::Hidden(name) => name.clone(),
                Name::Unknown => "unknown".to_owned(),
            },
            Self::Other(text) => text.clone(),
        }
    }
}

/// Returns the hops that the headers report, the client first.
fn reports(headers: &HeaderMap, errors: &mut Vec<String>) -> (HopSource, Vec<Report>) {
    if let Some(header) = joined(headers, "forwarded") {
        match forwarded::parse(&header) {
            Ok(elements) if !elements.is_empty() => {
                let unknown = Node { name: Name::Unknown, port: None };
                let report = |element: Element| {
                    (Reported::Node(element.client.clone().unwrap_or_else(|| unknown.clone())), Some(element))
                };
                return (HopSource::Forwarded, elements.into_iter().map(report).collect());
            }
            Ok(_) => {}
            Err(error) => errors.push(format!("forwarded: {error}")),
        }
    }
    if let Some(header) = joined(headers, "x-forwarded-for") {
        let reports = header.split(',').map(str::trim).filter(|name| !name.is_empty());
        let reports: Vec<_> = reports.map(|name| (Reported::read(name), None)).collect();
        errors.extend(invalid_addresses("x-forwarded-for", &reports));
        if !reports.is_empty() {
            return (HopSource::XForwardedFor, reports);
        }
    }
    let reports: Vec<_> =
        joined(headers, "x-real-ip").iter().map(|name| (Reported::read(name), None)).collect();
    errors.extend(invalid_addresses("x-real-ip", &reports));
    (HopSource::XRealIp, reports)
}

fn invalid_addresses<'a>(header: &str, reports: &'a [Report]) -> impl Iterator<Item = String> + use<'a> {
    let header = header.to_owned();
    reports.iter().filter_map(move |(reported, _)| match reported {
        Reported::Node(_) => None,
        Reported::Other(text) => Some(format!("{header}: invalid address {text:?}")),
    })
}

/// Hops from the connection to the client.
#[derive(Clone)]
struct Chain<'a> {
    hops: Vec<Hop>,
    trusted: &'a [TrustedProxy],
}

impl<'a> Chain<'a> {
    fn new(peer: Peer, here: &str, trusted: &'a [TrustedProxy]) -> Self {
        let mut chain = Self { hops: Vec::new(), trusted };
        let hop = match peer {
            Peer::Tcp(address) => chain.hop(&from_address(address), here.to_owned(), HopSource::Connection),
            Peer::Unix => Hop {
                address: peer.to_string(),
                by: here.to_owned(),
                believed: true,
                trusted: trusted.contains(&TrustedProxy::Unix),
                from: HopSource::Connection,
            },
        };
        chain.hops.push(hop);
        chain
    }

    /// Whether the last hop is trusted.
    fn is_trusted(&self) -> bool {
        self.hops.last().is_none_or(|hop| hop.trusted)
    }

    fn add(&mut self, reported: &Reported, by: Option<String>, from: HopSource) {
        let by = by.or_else(|| self.hops.last().map(|hop| hop.address.clone())).unwrap_or_default();
        let hop = self.hop(reported, by, from);
        self.hops.push(hop);
    }

    fn hop(&self, reported: &Reported, by: String, from: HopSource) -> Hop {
        let believed = self.is_trusted();
        let within = |address: IpAddr| {
            self.trusted
                .iter()
                .any(|trusted| matches!(trusted, TrustedProxy::Network(cidr) if cidr.contains(address)))
        };
        Hop {
            address: reported.text(),
            by,
            believed,
            trusted: believed && reported.ip().is_some_and(within),
            from,
        }
    }
}

impl HopSource {
    /// Returns the name for display.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::XForwardedFor => "x-forwarded-for",
            Self::XRealIp => "x-real-ip",
            Self::ProxyProtocol => "proxy protocol",
            Self::Connection => "connection",
        }
    }
}

/// Writes the text of `/hops`.
impl fmt::Display for ForwardingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "client: {}", self.client)?;
        writeln!(f, "scheme: {}", self.scheme)?;
        writeln!(f, "host: {}", self.external_host)?;
        for (name, value) in
            [("port", &self.external_port), ("prefix", &self.prefix), ("server", &self.server)]
        {
            if let Some(value) = value {
                writeln!(f, "{name}: {value}")?;
            }
        }
        writeln!(f)?;
        for (number, hop) in self.hops.iter().enumerate() {
            let Hop { address, by, believed, trusted, from } = hop;
            let belief = match (believed, trusted) {
                (_, true) => "trusted",
                (true, false) => "believed",
                (false, false) => "not believed",
            };
            writeln!(f, "{}. {address}, says {by} ({}): {belief}", number + 1, from.as_str())?;
        }
        self.errors.iter().try_for_each(|error| writeln!(f, "fault: {error}"))
    }
}

#[cfg(test)]
#[path = "forwarding_tests.rs"]
mod tests;
