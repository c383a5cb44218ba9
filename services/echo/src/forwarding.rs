//! The chain of proxies that forwarded a request, and which of their reports to trust.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use parse::Cidr;
use runtime::Peer;
use serde::Serialize;

use crate::forwarded::{self, Element, Name, Node};
use crate::headers::joined;
use crate::transport::tls::Session;

/// Information about a connection from the layers between the socket and HTTP.
#[derive(Clone, Debug, Default)]
pub struct TransportInfo {
    /// Address of the client, from the PROXY protocol.
    pub client: Option<SocketAddr>,
    /// TLS session.
    pub tls: Option<Session>,
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
    /// Where the report comes from: the header `forwarded`, `x-forwarded-for` or `x-real-ip`, `proxy protocol`, or
    /// `connection`, which is the kernel.
    pub from: &'static str,
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
    if let Some(client) = origin.and_then(|origin| origin.client) {
        let client = Report::new(Name::Address(client.ip()), None);
        // A proxy that reports the same client by the PROXY protocol and by a header is one hop.
        if reports.last().is_none_or(|nearest| nearest.ip != client.ip) {
            chain.add(&client, "proxy protocol");
        }
    }
    let is_trusted = chain.is_trusted();
    for report in reports.iter().rev() {
        chain.add(report, header);
    }

    let client = chain.hops.iter().rposition(|hop| hop.believed).unwrap_or_default();
    let known = chain.hops.len() - reports.len();
    let report = client.checked_sub(known).map(|index| reports.len() - 1 - index).filter(|_| is_trusted);
    let element = report.and_then(|index| reports[index].element.as_ref());
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
    match (origin.and_then(|origin| origin.client), peer) {
        (Some(client), peer) if is_trusted(peer, trusted) => canonical(client).to_string(),
        (_, Peer::Tcp(address)) => canonical(address).to_string(),
        (_, Peer::Unix) => peer.to_string(),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_trusted(peer: Peer, trusted: &[TrustedProxy]) -> bool {
    trusted.iter().any(|trusted| trusted.covers(peer))
}

/// A hop that a header reports.
struct Report {
    /// Address or name, without the port, which does not identify a hop.
    address: String,
    ip: Option<IpAddr>,
    element: Option<Element>,
}

impl Report {
    fn new(name: Name, element: Option<Element>) -> Self {
        let (address, ip) = match name {
            Name::Address(address) => (address.to_canonical().to_string(), Some(address.to_canonical())),
            Name::Hidden(name) => (name, None),
            Name::Unknown => ("unknown".to_owned(), None),
        };
        Self { address, ip, element }
    }

    fn parse(header: &str, text: &str, errors: &mut Vec<String>) -> Self {
        if let Ok(Node { name, .. }) = text.parse() {
            return Self::new(name, None);
        }
        errors.push(format!("{header}: invalid address {text:?}"));
        Self { address: text.to_owned(), ip: None, element: None }
    }
}

/// Returns the hops that the headers report, the client first.
fn reports(headers: &HeaderMap, errors: &mut Vec<String>) -> (&'static str, Vec<Report>) {
    let (forwarded, forwarded_for, real_ip) = ("forwarded", "x-forwarded-for", "x-real-ip");
    if let Some(header) = joined(headers, forwarded) {
        match forwarded::parse(&header) {
            Ok(elements) if !elements.is_empty() => {
                let report = |element: Element| {
                    let name = element.client.as_ref().map_or(Name::Unknown, |client| client.name.clone());
                    Report::new(name, Some(element))
                };
                return (forwarded, elements.into_iter().map(report).collect());
            }
            Ok(_) => {}
            Err(error) => errors.push(format!("{forwarded}: {error}")),
        }
    }
    if let Some(header) = joined(headers, forwarded_for) {
        let names = header.split(',').map(str::trim).filter(|name| !name.is_empty());
        let reports: Vec<_> = names.map(|name| Report::parse(forwarded_for, name, errors)).collect();
        if !reports.is_empty() {
            return (forwarded_for, reports);
        }
    }
    let name = joined(headers, real_ip);
    (real_ip, name.iter().map(|name| Report::parse(real_ip, name, errors)).collect())
}

/// Hops from the connection to the client; there is at least one.
struct Chain<'a> {
    hops: Vec<Hop>,
    trusted: &'a [TrustedProxy],
}

impl<'a> Chain<'a> {
    fn new(peer: Peer, here: &str, trusted: &'a [TrustedProxy]) -> Self {
        let address = match peer {
            Peer::Tcp(address) => canonical(address).ip().to_string(),
            Peer::Unix => peer.to_string(),
        };
        let (by, from) = (here.to_owned(), "connection");
        let hop = Hop { address, by, believed: true, trusted: is_trusted(peer, trusted), from };
        Self { hops: vec![hop], trusted }
    }

    /// Whether the last hop is trusted.
    fn is_trusted(&self) -> bool {
        self.hops.last().is_some_and(|hop| hop.trusted)
    }

    fn add(&mut self, report: &Report, from: &'static str) {
        let by = report.element.as_ref().and_then(|element| element.by.as_ref()).map(Node::to_string);
        let by = by.or_else(|| self.hops.last().map(|hop| hop.address.clone())).unwrap_or_default();
        let believed = self.is_trusted();
        let covers = |ip: IpAddr| is_trusted(Peer::Tcp((ip, 0).into()), self.trusted);
        let trusted = believed && report.ip.is_some_and(covers);
        self.hops.push(Hop { address: report.address.clone(), by, believed, trusted, from });
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
            writeln!(f, "{}. {address}, says {by} ({from}): {belief}", number + 1)?;
        }
        self.errors.iter().try_for_each(|error| writeln!(f, "fault: {error}"))
    }
}

#[cfg(test)]
#[path = "forwarding_tests.rs"]
mod tests;
