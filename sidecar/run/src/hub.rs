//! The hub as the sidecar sees it: two requests, on a connection that stays open.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::from_slice;
use swarmlings_protocol::{Fault, INSTANCES, InstanceId, Lease, Registration, Withdrawal};
use tokio::time::timeout;

use crate::connection::{Connection, Error};
use crate::url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer may be overdue. Less than a lease's usual time to live, so that there is time for another
/// connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the hub is, and how to name oneself to it.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) url: Url,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) instance: InstanceId,
}

/// A connection to the hub, with the token that was valid when it was made.
pub(crate) struct Session {
    connection: Connection,
    authorization: Option<HeaderValue>,
    host: HeaderValue,
    path: String,
}

/// Why the hub could not be told.
#[derive(Debug)]
pub(crate) enum HubError {
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
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, HubError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let fault =
            |why: &dyn fmt::Display| HubError::Token(format!("reading token file {}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| fault(&swarmlings_cli::reason(&error)))?;
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
    pub(crate) async fn connect(&self) -> Result<Session, HubError> {
        let authorization = self.authorization()?;
        let connection = Connection::open(&self.url, CONNECT_TIMEOUT).await.map_err(HubError::Unreachable)?;
        let host = HeaderValue::try_from(self.url.authority())
            .map_err(|error| HubError::Unreachable(error.into()))?;
        Ok(Session { connection, authorization, host, path: format!("{INSTANCES}/{}", self.instance) })
    }
}

impl Session {
    /// The local address of the connection, where the hub's network reaches this task.
    pub(crate) fn local(&self) -> IpAddr {
        self.connection.local()
    }

    /// Whether a request is unanswered, so that the next one needs another connection.
    pub(crate) fn is_busy(&self) -> bool {
        self.connection.is_busy()
    }

    /// Returns once the hub has closed the connection.
    pub(crate) async fn closed(&mut self) {
        self.connection.closed().await;
    }

    /// Registers, or renews. With `wait` the hub may hold its answer for so long.
    pub(crate) async fn put(
        &mut self,
        registration: &Registration,
        wait: Option<Duration>,
    ) -> Result<Lease, HubError> {
        let body = serde_json::to_vec(registration).map_err(HubError::Garbled)?;
        from_slice(&self.ask(Method::PUT, wait, body).await?).map_err(HubError::Garbled)
    }

    /// Withdraws. With `wait` the hub answers when no router sends requests any more, or when so long has passed.
    pub(crate) async fn delete(&mut self, wait: Option<Duration>) -> Result<Withdrawal, HubError> {
        from_slice(&self.ask(Method::DELETE, wait, Vec::new()).await?).map_err(HubError::Garbled)
    }

    async fn ask(
        &mut self,
        method: Method,
        wait: Option<Duration>,
        body: Vec<u8>,
    ) -> Result<Bytes, HubError> {
        let uri = match wait {
            Some(wait) => format!("{}?wait={}ms", self.path, wait.as_millis()),
            None => self.path.clone(),
        };
        let mut request = Request::builder().method(method).uri(uri).header(HOST, &self.host);
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
            Ok(Ok((status, body))) if status.is_success() => Ok(body),
            Ok(Ok((StatusCode::UNAUTHORIZED, _))) => Err(HubError::Unauthorised),
            Ok(Ok((status, body))) => {
                let said = from_slice(&body).map(|fault: Fault| fault.error);
                Err(HubError::Refused(status, said.unwrap_or_else(|_| "no reason given".to_owned())))
            }
        }
    }
}

impl HubError {
    /// Whether somebody has to mend something: trying again in milliseconds will not help.
    pub(crate) fn is_lasting(&self) -> bool {
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
