//! The hub's requests for those who register, on a connection that stays open.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use protocol::{
    Fault, HEARTBEAT, Heartbeat, INSTANCES, InstanceId, Lease, MANAGERS, Registration, Services, Withdrawal,
};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::from_slice;
use tokio::time::timeout;

use crate::connection::{Connection, Error};
use crate::url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer may be overdue. Less than a lease's usual time to live, so that there is time for another
/// connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the hub is, and how to show that one may register.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its address.
    pub url: Url,
    /// The file that holds its token; it is read again for each connection.
    pub token_file: Option<PathBuf>,
}

/// A connection to the hub, with the token that was valid when it was made.
pub struct Session {
    connection: Connection,
    authorization: Option<HeaderValue>,
    host: HeaderValue,
}

/// Why the hub could not be told.
#[derive(Debug)]
pub enum HubError {
    /// The token cannot be read.
    Token(String),
    /// No connection.
    Unreachable(Error),
    /// The connection was lost before the answer.
    Lost(Error),
    /// The hub has closed the connection.
    Closed,
    /// No answer in time.
    Late,
    /// The hub knows another token.
    Unauthorised,
    /// An answer that is not 2xx.
    Refused(StatusCode, String),
    /// Whatever answers there, it is no hub.
    Garbled(serde_json::Error),
}

impl Hub {
    /// The value of the `authorization` header: none without a token file.
    pub fn authorization(&self) -> Result<Option<HeaderValue>, HubError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let fault =
            |why: &dyn fmt::Display| HubError::Token(format!("reading token file {}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| fault(&cli::reason(&error)))?;
        let token = text.trim();
        if token.is_empty() {
            return Err(fault(&"it is empty"));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| fault(&"one line of printable characters is expected"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Session, HubError> {
        let authorization = self.authorization()?;
        let connection = Connection::open(&self.url, CONNECT_TIMEOUT).await.map_err(HubError::Unreachable)?;
        let host = HeaderValue::try_from(self.url.authority())
            .map_err(|error| HubError::Unreachable(error.into()))?;
        Ok(Session { connection, authorization, host })
    }
}

impl Session {
    /// The local address of the connection, where the hub's network reaches this task.
    pub fn local(&self) -> IpAddr {
        self.connection.local()
    }

    /// Whether a request is unanswered, so that the next one needs another connection.
    pub fn is_busy(&self) -> bool {
        self.connection.is_busy()
    }

    /// Returns once the hub has closed the connection.
    pub async fn closed(&mut self) {
        self.connection.closed().await;
    }

    /// Registers an instance, or renews its lease. With `wait` the hub may hold its answer for so long.
    pub async fn put(
        &mut self,
        id: &InstanceId,
        registration: &Registration,
        wait: Option<Duration>,
    ) -> Result<Lease, HubError> {
        let path = instance_path(id, wait);
        self.ask(Method::PUT, &path, json(registration)?, wait).await
    }

    /// Withdraws an instance. With `wait` the hub answers when no router sends requests to it any more, or when so long
    /// has passed.
    pub async fn delete(&mut self, id: &InstanceId, wait: Option<Duration>) -> Result<Withdrawal, HubError> {
        let path = instance_path(id, wait);
        self.ask(Method::DELETE, &path, Vec::new(), wait).await
    }

    /// Renews all leases that this connection holds.
    pub async fn heartbeat(&mut self) -> Result<Heartbeat, HubError> {
        self.ask(Method::POST, HEARTBEAT, Vec::new(), None).await
    }

    /// Tells what `manager`, a node of the swarm, knows of its services.
    pub async fn publish(&mut self, manager: &InstanceId, services: &Services) -> Result<(), HubError> {
        let path = format!("{MANAGERS}/{manager}");
        self.ask::<IgnoredAny>(Method::PUT, &path, json(services)?, None).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        wait: Option<Duration>,
    ) -> Result<T, HubError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body)).map_err(|error| HubError::Lost(error.into()))?;
        let patience = wait.unwrap_or_default() + ANSWER_TIMEOUT;
        match timeout(patience, self.connection.exchange(request)).await {
            Err(_) => Err(HubError::Late),
            Ok(Err(error)) => Err(HubError::Lost(error)),
            Ok(Ok((status, body))) if status.is_success() => from_slice(&body).map_err(HubError::Garbled),
            Ok(Ok((StatusCode::UNAUTHORIZED, _))) => Err(HubError::Unauthorised),
            Ok(Ok((status, body))) => {
                let said = from_slice(&body).map(|fault: Fault| fault.error);
                Err(HubError::Refused(status, said.unwrap_or_else(|_| "no reason given".to_owned())))
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

fn json(value: &impl Serialize) -> Result<Vec<u8>, HubError> {
    serde_json::to_vec(value).map_err(HubError::Garbled)
}

impl HubError {
    /// Whether somebody has to mend something: trying again in milliseconds will not help.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Token(_) | Self::Unauthorised | Self::Garbled(_) => true,
            Self::Refused(status, _) => status.is_client_error(),
            Self::Unreachable(_) | Self::Lost(_) | Self::Closed | Self::Late => false,
        }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(fault) => f.write_str(fault),
            Self::Unreachable(error) => write!(f, "connecting: {error}"),
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Closed => f.write_str("it has closed the connection"),
            Self::Late => f.write_str("no answer in time"),
            Self::Unauthorised => f.write_str("the token is refused"),
            Self::Refused(status, reason) => write!(f, "status {}: {reason}", status.as_u16()),
            Self::Garbled(error) => write!(f, "reading its answer: {error}"),
        }
    }
}

impl std::error::Error for HubError {}
