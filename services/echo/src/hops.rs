//! The way that a request came: which hop says what of the one before it, and whom of them is believed.

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

/// What is known of a connection beside its other end, from what stands between the socket and HTTP.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What the PROXY protocol has told.
    pub proxied: Option<Proxied>,
    /// What TLS has told, if it is spoken.
    pub tls: Option<Session>,
}

/// The connection that a proxy passes on, as the PROXY protocol has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Who asked the proxy.
    pub source: SocketAddr,
    /// Where it was asked.
    pub destination: SocketAddr,
}

/// Who is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Whoever asks from this network.
    Network(Cidr),
    /// Whoever asks by the unix socket.
    Unix,
}

impl Trusted {
    /// Whether it is this peer.
    pub fn covers(&self, peer: Peer) -> bool {
        match (self, peer) {
            (Self::Network(cidr), Peer::Tcp(address)) => cidr.contains(canonical(address).ip()),
            (Self::Unix, Peer::Unix) => true,
            (Self::Network(_), Peer::Unix) | (Self::Unix, Peer::Tcp(_)) => false,
        }
    }
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" { Ok(Self::Unix) } else { text.parse().map(Self::Network) }
    }
}

/// The way that a request came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// Who asked, as far as anyone is believed.
    pub client: String,
    /// By which protocol.
    pub scheme: String,
    /// For which host, which may have a port.
    pub external_host: String,
    /// At which port, if anyone says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_port: Option<String>,
    /// Below which path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What the proxy calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// All that are known, from the first who asked to the connection itself.
    pub hops: Vec<Hop>,
    /// What could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// One who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Its address, or what stands in place of it.
    pub address: String,
    /// Who says so.
    pub by: String,
    /// Whether that one is trusted, and so on down to this server: then this is the address.
    pub believed: bool,
    /// Whether what this one says in turn is believed.
    pub trusted: bool,
    /// Where it is said.
    pub from: Said,
}

/// Where something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Said {
    /// In the header `Forwarded`.
    #[serde(rename = "forwarded")]
    Forwarded,
    /// In the header `X-Forwarded-For`.
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// In the header `X-Real-Ip`.
    #[serde(rename = "x-real-ip")]
    XRealIp,
    /// By the PROXY protocol.
    #[serde(rename = "proxy protocol")]
    ProxyProtocol,
    /// By the kernel.
    #[serde(rename = "connection")]
    Connection,
}

/// What is asked of a request to know its way.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The other end of the connection.
    pub peer: Peer,
    /// What else is known of the connection.
    pub origin: Option<&'a Origin>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The host that was asked for.
    pub host: &'a str,
    /// Who is asked.
    pub here: &'a str,
}

/// Follows a request back, from the connection to the first who asked.
pub fn way(arrival: Arrival<'_>, trusted: &[Trusted]) -> Way {
    let Arrival { peer, origin, headers, host, here } = arrival;
    let mut faults = Vec::new();
    let (said, claims) = claims(headers, &mut faults);
    let mut chain = Chain::new(peer, here, trusted);
    if let Some(Proxied { source, .. }) = origin.and_then(|origin| origin.proxied) {
        let reporter = chain.clone();
        chain.add(&node(source), None, Said::ProxyProtocol);
        // A proxy that tells of the same client twice is one hop, and it is the proxy who has written the header.
        if claims.last().is_some_and(|(nearest, _)| nearest.is(source.ip())) {
            chain = reporter;
        }
    }
    let is_heard = chain.is_trusted();
    for (node, element) in claims.iter().rev() {
        let by = element.as_ref().and_then(|element| element.by.as_ref()).map(Node::to_string);
        chain.add(node, by, said);
    }

    let client = chain.hops.iter().rposition(|hop| hop.believed).unwrap_or_default();
    let known = chain.hops.len() - claims.len();
    let claim = client.checked_sub(known).map(|place| claims.len() - 1 - place).filter(|_| is_heard);
    let element = claim.and_then(|place| claims[place].1.as_ref());
    let one = |name: &str| {
        let values = joined(headers, name).filter(|_| is_heard)?;
        let values: Vec<_> = values.split(',').map(str::trim).collect();
        // One value for each hop, or else the nearest one's.
        let place = claim.filter(|_| values.len() == claims.len()).unwrap_or(values.len() - 1);
        Some(values[place].to_owned()).filter(|value| !value.is_empty())
    };
    let scheme = if origin.is_some_and(|origin| origin.tls.is_some()) { "https" } else { "http" };
    let said_scheme = element.and_then(|element| element.proto.clone()).or_else(|| one("x-forwarded-proto"));
    let said_host = element.and_then(|element| element.host.clone()).or_else(|| one("x-forwarded-host"));
    Way {
        client: chain.hops[client].address.clone(),
        scheme: said_scheme.unwrap_or_else(|| scheme.to_owned()),
        external_host: said_host.unwrap_or_else(|| host.to_owned()),
        external_port: one("x-forwarded-port"),
        prefix: one("x-forwarded-prefix"),
        server: one("x-forwarded-server"),
        hops: chain.hops.into_iter().rev().collect(),
        faults,
    }
}

/// The address that the connection comes from, as far as the other end is trusted to tell.
pub fn remote(peer: Peer, origin: Option<&Origin>, trusted: &[Trusted]) -> String {
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

fn node(address: SocketAddr) -> Node {
    let address = canonical(address);
    Node { name: Name::Address(address.ip()), port: Some(address.port().to_string()) }
}

type Claim = (Claimed, Option<Element>);

/// Whom a header names: somebody, or something that makes no sense.
#[derive(Clone, Debug)]
enum Claimed {
    Node(Node),
    Other(String),
}

impl Claimed {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(|()| Self::Other(text.to_owned()), Self::Node)
    }

    fn is(&self, address: IpAddr) -> bool {
        matches!(self, Self::Node(Node { name: Name::Address(own), .. }) if own.to_canonical() == address.to_canonical())
    }
}

/// What the headers say of who asked, the first to be asked first.
fn claims(headers: &HeaderMap, faults: &mut Vec<String>) -> (Said, Vec<Claim>) {
    if let Some(header) = joined(headers, "forwarded") {
        match forwarded::parse(&header) {
            Ok(elements) if !elements.is_empty() => {
                let unknown = Node { name: Name::Unknown, port: None };
                let claim = |element: Element| {
                    (Claimed::Node(element.client.clone().unwrap_or_else(|| unknown.clone())), Some(element))
                };
                return (Said::Forwarded, elements.into_iter().map(claim).collect());
            }
            Ok(_) => {}
            Err(fault) => faults.push(format!("forwarded: {fault}")),
        }
    }
    if let Some(header) = joined(headers, "x-forwarded-for") {
        let claims = header.split(',').map(str::trim).filter(|name| !name.is_empty());
        let claims: Vec<_> = claims.map(|name| (Claimed::read(name), None)).collect();
        faults.extend(nonsense("x-forwarded-for", &claims));
        if !claims.is_empty() {
            return (Said::XForwardedFor, claims);
        }
    }
    let claims: Vec<_> =
        joined(headers, "x-real-ip").iter().map(|name| (Claimed::read(name), None)).collect();
    faults.extend(nonsense("x-real-ip", &claims));
    (Said::XRealIp, claims)
}

fn nonsense<'a>(header: &str, claims: &'a [Claim]) -> impl Iterator<Item = String> + use<'a> {
    let header = header.to_owned();
    claims.iter().filter_map(move |(claimed, _)| match claimed {
        Claimed::Node(_) => None,
        Claimed::Other(text) => Some(format!("{header}: {text:?}: an address is expected")),
    })
}

/// Hops from the connection on.
#[derive(Clone)]
struct Chain<'a> {
    hops: Vec<Hop>,
    trusted: &'a [Trusted],
}

impl<'a> Chain<'a> {
    fn new(peer: Peer, here: &str, trusted: &'a [Trusted]) -> Self {
        let mut chain = Self { hops: Vec::new(), trusted };
        let hop = match peer {
            Peer::Tcp(address) => chain.hop(&node(address), here.to_owned(), Said::Connection),
            Peer::Unix => Hop {
                address: peer.to_string(),
                by: here.to_owned(),
                believed: true,
                trusted: trusted.contains(&Trusted::Unix),
                from: Said::Connection,
            },
        };
        chain.hops.push(hop);
        chain
    }

    /// Whether what the last one says is believed.
    fn is_trusted(&self) -> bool {
        self.hops.last().is_none_or(|hop| hop.trusted)
    }

    fn add(&mut self, claimed: &(impl Address + ?Sized), by: Option<String>, from: Said) {
        let by = by.or_else(|| self.hops.last().map(|hop| hop.address.clone())).unwrap_or_default();
        let hop = self.hop(claimed, by, from);
        self.hops.push(hop);
    }

    fn hop(&self, claimed: &(impl Address + ?Sized), by: String, from: Said) -> Hop {
        let believed = self.is_trusted();
        let within = |address: IpAddr| {
            self.trusted
                .iter()
                .any(|trusted| matches!(trusted, Trusted::Network(cidr) if cidr.contains(address)))
        };
        Hop {
            address: claimed.text(),
            by,
            believed,
            trusted: believed && claimed.ip().is_some_and(within),
            from,
        }
    }
}

trait Address {
    fn ip(&self) -> Option<IpAddr>;
    fn text(&self) -> String;
}

impl Address for Node {
    fn ip(&self) -> Option<IpAddr> {
        if let Name::Address(address) = self.name { Some(address) } else { None }
    }

    /// Its name alone: a port says nothing of who it is.
    fn text(&self) -> String {
        match &self.name {
            Name::Address(address) => address.to_canonical().to_string(),
            Name::Hidden(name) => name.clone(),
            Name::Unknown => "unknown".to_owned(),
        }
    }
}

impl Address for Claimed {
    fn ip(&self) -> Option<IpAddr> {
        if let Self::Node(node) = self { node.ip() } else { None }
    }

    fn text(&self) -> String {
        match self {
            Self::Node(node) => node.text(),
            Self::Other(text) => text.clone(),
        }
    }
}

impl Said {
    /// As people read it.
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

/// For people.
impl fmt::Display for Way {
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
        self.faults.iter().try_for_each(|fault| writeln!(f, "fault: {fault}"))
    }
}

#[cfg(test)]
#[path = "hops_tests.rs"]
mod tests;
