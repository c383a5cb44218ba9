//! Requests to a hub, on a connection that stays open.

use std::fmt::{self, Write};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cli::{Failure, Token, TokenError};
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use protocol::{
    ErrorBody, HEARTBEAT, Heartbeat, INSTANCES, InstanceId, Lease, MANAGERS, ROUTED, Registration, Routed,
    Services, UPDATES, Update, Withdrawal,
};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::from_slice;
use tokio::time::timeout;

use crate::connection::{Connection, Error, Stream, connect_lasting, reason};
use crate::tls::Tls;
use crate::url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for a response, in addition to the `wait` of the request. Less than the usual time to live of a lease, so
/// that there is time for another connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum length of a response to a client with leases, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Maximum length of a response with everything that the hub knows.
const MAX_LIST: usize = 256 * 1024 * 1024;

/// A hub: its URL and the token for it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// URL of the hub.
    pub url: Url,
    /// File with the hub's token. Each new connection reads it.
    pub token_file: Option<PathBuf>,
    /// PEM file with the CA certificates that are trusted if the URL is `https`. Each new connection reads it.
    pub ca_file: Option<PathBuf>,
}

/// A connection to a hub, with the token that was valid when it was opened.
pub struct Session {
    /// The connection. Its local address is the task's in the network that it shares with the hub.
    pub connection: Connection,
    /// Identity of the hub.
    pub(crate) hub: String,
    /// Address at which the hub was reached, if it knows.
    pub(crate) reached: Option<IpAddr>,
    authorization: Option<HeaderValue>,
    host: String,
}

/// Error of a request to the hub.
#[derive(Debug)]
pub enum HubError {
    /// The token file cannot be used.
    Token(TokenError),
    /// The look-up of the hub's name failed.
    Resolve(io::Error),
    /// The connection failed.
    Connect(Error),
    /// TLS is not possible: the cause and the remedy.
    Tls(String),
    /// The address is a virtual IP: the hub was reached at another one.
    VirtualIp(IpAddr),
    /// A connection to this other address leads to the same hub.
    SameHub(SocketAddr),
    /// Routers cannot reach the service at the local address of the connection: the reason and the remedy.
    Unreachable(String),
    /// The connection was lost before the response.
    ConnectionLost(Error),
    /// The hub closed the connection.
    Closed,
    /// No response in time.
    Timeout,
    /// Status 401: the token is missing or wrong.
    Unauthorized,
    /// Another status that is not 2xx, and the reason.
    Refused(StatusCode, String),
    /// A 2xx response with a body that is not the hub's.
    InvalidResponse(serde_json::Error),
}

impl Hub {
    /// Checks the files at the start, when an error is bad usage. Later it is an error of the connection, which is retried.
    pub fn check(&self) -> Result<(), Failure> {
        self.authorization().map_err(Failure::usage)?;
        Tls::new(self).map_err(Failure::usage).map(drop)
    }

    /// Reads the token file and returns the `authorization` header; `None` without a token file.
    fn authorization(&self) -> Result<Option<HeaderValue>, TokenError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let header = Token::read(file)?.header();
        let mut value = HeaderValue::try_from(header).expect("a token has no control characters");
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Opens a connection to `address`. The first request on it shows whether there is a hub that accepts the token.
    pub(crate) async fn connect_to(&self, address: SocketAddr) -> Result<Session, HubError> {
        let mut session = self.open(address).await?;
        let Heartbeat { hub, address, .. } = session.heartbeat().await?;
        (session.hub, session.reached) = (hub, address.map(|address| address.to_canonical()));
        Ok(session)
    }

    /// Opens a connection to `address`, for a client without leases.
    pub async fn open(&self, address: SocketAddr) -> Result<Session, HubError> {
        let authorization = self.authorization().map_err(HubError::Token)?;
        let tls = Tls::new(self).map_err(|error| HubError::Tls(error.to_string()))?;
        let stream = connect_lasting(address, CONNECT_TIMEOUT).await?;
        let local_ip = stream.local_addr()?.ip();
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let handshake = timeout(RESPONSE_TIMEOUT, tls.handshake(stream));
                Box::new(handshake.await.unwrap_or(Err(HubError::Timeout))?)
            }
        };
        let connection = Connection::new(local_ip, stream).await.map_err(HubError::Connect)?;
        let (hub, host) = (String::new(), self.url.authority());
        Ok(Session { connection, hub, reached: None, authorization, host })
    }
}

impl Session {
    /// Registers an instance or renews its lease. With `wait`, the hub delays its response by up to that time, until
    /// the routing is decided.
    pub async fn register(
        &mut self,
        id: &InstanceId,
        registration: &Registration,
        wait: Option<Duration>,
    ) -> Result<Lease, HubError> {
        self.send(Method::PUT, &instance_path(id, wait), json(registration), wait).await
    }

    /// Withdraws an instance. With `wait`, the hub delays its response by up to that time, until no router sends
    /// requests to the instance any more.
    pub async fn withdraw(
        &mut self,
        id: &InstanceId,
        wait: Option<Duration>,
    ) -> Result<Withdrawal, HubError> {
        self.send(Method::DELETE, &instance_path(id, wait), Vec::new(), wait).await
    }

    /// Renews all leases of this connection.
    pub async fn heartbeat(&mut self) -> Result<Heartbeat, HubError> {
        self.send(Method::POST, HEARTBEAT, Vec::new(), None).await
    }

    /// Publishes the swarm's services as `manager`, a node of the swarm, knows them.
    pub async fn publish(&mut self, manager: &InstanceId, services: &Services) -> Result<(), HubError> {
        let path = format!("{MANAGERS}/{manager}");
        self.send::<IgnoredAny>(Method::PUT, &path, json(services), None).await.map(drop)
    }

    /// Tells the update of a service, as a manager knows it.
    pub async fn tell_update(&mut self, service: &str, update: &Update) -> Result<(), HubError> {
        let path = format!("{UPDATES}/{}", escape(service));
        self.send::<IgnoredAny>(Method::PUT, &path, json(update), None).await.map(drop)
    }

    /// Returns whether a service is routed.
    pub async fn is_routed(&mut self, service: &str) -> Result<bool, HubError> {
        let Routed { routed } = self.get(&format!("{ROUTED}/{}", escape(service)), None).await?;
        Ok(routed)
    }

    /// Reads what the hub knows at `path`, whose response may be delayed by `wait`.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        wait: Option<Duration>,
    ) -> Result<T, HubError> {
        self.send(Method::GET, path, Vec::new(), wait).await
    }

    async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        wait: Option<Duration>,
    ) -> Result<T, HubError> {
        let max_body = if method == Method::GET { MAX_LIST } else { MAX_BODY };
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Full::from(body)).map_err(|error| HubError::ConnectionLost(error.into()))?;
        let response = self.connection.send(request, max_body);
        let response = timeout(wait.unwrap_or_default() + RESPONSE_TIMEOUT, response);
        match response.await {
            Err(_) => Err(HubError::Timeout),
            Ok(Err(error)) => Err(HubError::ConnectionLost(error)),
            Ok(Ok((status, body))) if status.is_success() => {
                from_slice(&body).map_err(HubError::InvalidResponse)
            }
            Ok(Ok((StatusCode::UNAUTHORIZED, _))) => Err(HubError::Unauthorized),
            Ok(Ok((status, body))) => {
                let reason = from_slice(&body).map(|body: ErrorBody| body.error);
                Err(HubError::Refused(status, reason.unwrap_or_else(|_| "no reason given".to_owned())))
            }
        }
    }
}

fn instance_path(id: &InstanceId, wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("{INSTANCES}/{id}?wait={}ms", wait.as_millis()),
        None => format!("{INSTANCES}/{id}"),
    }
}

/// Escapes a name for a path.
pub fn escape(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => escaped.push(byte.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // It fails only for maps with keys other than strings, which the protocol does not have.
    serde_json::to_vec(value).unwrap_or_default()
}

impl HubError {
    /// Returns whether an operator has to fix the cause, so that a quick retry does not help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Token(_)
            | Self::Tls(_)
            | Self::VirtualIp(_)
            | Self::Unreachable(_)
            | Self::Unauthorized
            | Self::InvalidResponse(_) => true,
            Self::Refused(status, _) => status.is_client_error(),
            Self::Resolve(_)
            | Self::SameHub(_)
            | Self::Connect(_)
            | Self::ConnectionLost(_)
            | Self::Closed
            | Self::Timeout => false,
        }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Resolve(error) => write!(f, "resolving hub: {}", cli::reason(error)),
            Self::Connect(error) => write!(f, "connecting: {}", reason(error)),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::VirtualIp(reached) => write!(
                f,
                "this is a virtual IP, which leads to any of several hubs (this time {reached}); set `endpoint_mode: dnsrr` \
                 under `deploy` of the hub"
            ),
            Self::SameHub(address) => write!(f, "same hub as at {address}"),
            Self::Unreachable(reason) => f.write_str(reason),
            Self::ConnectionLost(error) => write!(f, "connection lost: {error}"),
            Self::Closed => f.write_str("connection closed by the hub"),
            Self::Timeout => f.write_str("no response in time"),
            Self::Unauthorized => f.write_str("token rejected; --token-file must contain the output of `hub token`, or the master token of the hub"),
            Self::Refused(status, reason) => write!(f, "status {}: {reason}", status.as_u16()),
            Self::InvalidResponse(error) => write!(f, "invalid response: {error}"),
        }
    }
}

impl From<io::Error> for HubError {
    fn from(error: io::Error) -> Self {
        Self::Connect(error.into())
    }
}

impl std::error::Error for HubError {}
