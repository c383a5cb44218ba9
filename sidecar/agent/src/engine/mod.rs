//! An engine's API, as far as it is needed. All that goes there is `GET`:
//!
//! | request | for |
//! |---|---|
//! | `/_ping` | the API's version, which the others begin with |
//! | `/events` | what happens, held open |
//! | `/info` | the node's name and address, and whether it is a manager |
//! | `/containers/json` | which containers run |
//! | `/containers/ID/json` | each one's state, labels and addresses |
//! | `/services` | on a manager, what services are to be labelled with |

mod address;
mod events;
mod types;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use client::connection::{Error, connect};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) use address::Address;
pub(crate) use events::Events;
pub(crate) use types::{ContainerSpec, Endpoint, Event, Info, Inspection, Listed, Service};

/// How long an engine that is on this machine, or near, may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to answer: a container that is just starting keeps those waiting who ask for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// No answer is longer.
const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// An engine. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    address: Address,
}

/// An engine's API, in the version that the engine itself has.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    engine: Engine,
    /// What paths begin with, such as `/v1.41`. An engine serves paths without it as well, but announces an end of that;
    /// and no fixed version is served by engines of all ages.
    version: String,
}

/// Why an engine could not be asked.
#[derive(Debug)]
pub(crate) enum EngineError {
    /// No connection.
    Unreachable(Error),
    /// The connection was lost before the whole answer.
    Lost(Error),
    /// No answer in time.
    Late,
    /// An answer that is not 2xx, and what is said in it.
    Refused(StatusCode, String),
    /// Whatever answers there, it is no engine.
    Garbled(serde_json::Error),
    /// The stream of events has ended.
    Ended,
}

impl Engine {
    /// The engine at `address`; nothing is asked yet.
    pub(crate) fn at(address: Address) -> Self {
        Self { address }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for its version.
    pub(crate) async fn greet(&self) -> Result<Api, EngineError> {
        let response = within(self.send("/_ping".to_owned())).await?;
        let version = response.headers().get("api-version").and_then(|version| version.to_str().ok());
        let is_version = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let version = version.filter(is_version).map(|version| format!("/v{version}"));
        Ok(Api { engine: self.clone(), version: version.unwrap_or_default() })
    }

    /// Sends a request on a new connection, which closes with the answer's body. An answer that is not 2xx is an error.
    async fn send(&self, path: String) -> Result<Response<Incoming>, EngineError> {
        let host = match &self.address {
            Address::Unix(_) => "docker".to_owned(),
            Address::Tcp(url) => url.authority(),
        };
        let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| EngineError::Lost(error.into()))?;
        let unreachable = |error: std::io::Error| EngineError::Unreachable(error.into());
        let mut sender = match &self.address {
            Address::Unix(path) => shake_hands(UnixStream::connect(path).await.map_err(unreachable)?).await?,
            Address::Tcp(url) => {
                shake_hands(connect(url, CONNECT_TIMEOUT).await.map_err(unreachable)?).await?
            }
        };
        let response = sender.send_request(request).await.map_err(|error| EngineError::Lost(error.into()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response.into_body()).await.unwrap_or_default();
        let said = serde_json::from_slice(&body).map(|refusal: Refusal| refusal.message);
        Err(EngineError::Refused(status, said.unwrap_or_else(|_| "no reason given".to_owned())))
    }
}

impl Api {
    /// What happens from now on, and what has happened since `since`, in nanoseconds of Unix time, as far as the engine
    /// remembers.
    pub(crate) async fn events(&self, since: u64) -> Result<Events, EngineError> {
        let path = self.path(&events::path(since));
        Ok(Events::new(within(self.engine.send(path)).await?.into_body()))
    }

    /// The node.
    pub(crate) async fn info(&self) -> Result<Info, EngineError> {
        self.get("/info").await
    }

    /// The containers that run, or are paused.
    pub(crate) async fn containers(&self) -> Result<Vec<Listed>, EngineError> {
        self.get("/containers/json").await
    }

    /// A container; none if there is none. One that shares another's network is shown with that one's.
    pub(crate) async fn container(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        let Some(mut inspection) = self.inspect(id).await? else { return Ok(None) };
        if let Some(other) = inspection.host_config.network_mode.strip_prefix("container:")
            && let Some(other) = self.inspect(other).await?
        {
            inspection.host_config = other.host_config;
            inspection.network_settings = other.network_settings;
        }
        Ok(Some(inspection))
    }

    async fn inspect(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        match self.get(&format!("/containers/{id}/json")).await {
            Err(EngineError::Refused(StatusCode::NOT_FOUND, _)) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// The swarm's services, which only a manager knows.
    pub(crate) async fn services(&self) -> Result<Vec<Service>, EngineError> {
        self.get("/services").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let path = self.path(path);
        let body = within(async { read(self.engine.send(path).await?.into_body()).await }).await?;
        serde_json::from_slice(&body).map_err(EngineError::Garbled)
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.version)
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    timeout(ANSWER_TIMEOUT, answer).await.unwrap_or(Err(EngineError::Late))
}

type Sender = http1::SendRequest<Empty<Bytes>>;

async fn shake_hands<S>(stream: S) -> Result<Sender, EngineError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| EngineError::Lost(error.into()))?;
    tokio::spawn(async move {
        // Whoever waits for the answer is told the error.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn read(body: Incoming) -> Result<Bytes, EngineError> {
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(EngineError::Lost)?;
    Ok(body.to_bytes())
}

/// The body of an answer that is not 2xx.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => {
                let reason = error.downcast_ref::<std::io::Error>().map(cli::reason);
                write!(f, "connecting: {}", reason.unwrap_or_else(|| error.to_string()))
            }
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Late => f.write_str("no answer in time"),
            Self::Refused(status, reason) => write!(f, "status {}: {reason}", status.as_u16()),
            Self::Garbled(error) => write!(f, "reading its answer: {error}"),
            Self::Ended => f.write_str("it has ended the stream of events"),
        }
    }
}

impl std::error::Error for EngineError {}
