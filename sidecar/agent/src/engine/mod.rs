//! Client for the engine's API. All requests are `GET`:
//!
//! | request | purpose |
//! |---|---|
//! | `/_ping` | API version |
//! | `/events` | events, as a stream that stays open |
//! | `/info` | name, address and role of the node |
//! | `/containers/json` | running containers; whether a container is a task |
//! | `/containers/ID/json` | state, labels and addresses of a container |
//! | `/services` | on a manager: labels of the swarm's services |
//! | `/services/NAME`, `/tasks` | on a manager: the update of a service, while `hub wait` asks for it |

mod events;
mod types;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use client::connection::{self, Error, connect};
use client::url::{Scheme, Url};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) use events::Events;
pub(crate) use types::{
    ContainerSpec, Endpoint, Event, Info, Inspection, ListedContainer, PortBinding, Service, Task,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a response. The engine delays requests for a container that it is starting.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Prefix of the labels of tasks.
const SWARM: &str = "com.docker.swarm.";
/// Maximum size of a response in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// An engine, by the address of its API. Each request uses its own connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Unix socket.
    Unix(PathBuf),
    /// Host and port, without TLS.
    Tcp(Url),
}

impl Default for Engine {
    fn default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", path)) => Err(format!("expected an absolute path, got {path:?}")),
            Some(("tcp", _)) => text.trim_end_matches('/').parse().map(Self::Tcp),
            // Socket proxies often have such a URL.
            Some(("http", _)) => {
                let url: Url = text.parse()?;
                match url.path.as_str() {
                    "/" => Ok(Self::Tcp(Url { scheme: Scheme::Tcp, ..url })),
                    path => Err(format!("unexpected path {path:?}")),
                }
            }
            Some((scheme, _)) => Err(format!("unknown scheme {scheme:?}; expected unix or tcp")),
            None => Err("missing scheme; expected unix:///PATH or tcp://HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(url) => url.fmt(f),
        }
    }
}

/// The API in the engine's own version.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    engine: Engine,
    /// Prefix of paths, such as `/v1.41`. Paths without a version are deprecated, and no fixed version works with engines
    /// of all ages.
    version: String,
}

/// Error of a request to the engine.
#[derive(Debug)]
pub(crate) enum EngineError {
    /// The connection failed.
    Connect(Error),
    /// The connection was lost before the end of the response.
    ConnectionLost(Error),
    /// No response in time.
    Timeout,
    /// A status that is not 2xx, and the engine's message.
    Refused(StatusCode, String),
    /// A response that is not the engine's.
    InvalidResponse(serde_json::Error),
    /// The event stream ended.
    StreamEnded,
}

impl Engine {
    /// Asks the engine for its API version.
    pub(crate) async fn negotiate_version(&self) -> Result<Api, EngineError> {
        let response = with_timeout(self.send("/_ping".to_owned())).await?;
        let version = response.headers().get("api-version").and_then(|version| version.to_str().ok());
        let is_version = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let version = version.filter(is_version).map(|version| format!("/v{version}"));
        Ok(Api { engine: self.clone(), version: version.unwrap_or_default() })
    }

    /// Sends a request on a new connection, which closes with the response's body. A status that is not 2xx is an error.
    async fn send(&self, path: String) -> Result<Response<Incoming>, EngineError> {
        let host = match self {
            Self::Unix(_) => "docker".to_owned(),
            Self::Tcp(url) => url.authority(),
        };
        let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| EngineError::ConnectionLost(error.into()))?;
        let failed = |error: std::io::Error| EngineError::Connect(error.into());
        let mut sender = match self {
            Self::Unix(path) => handshake(UnixStream::connect(path).await.map_err(failed)?).await?,
            Self::Tcp(url) => handshake(connect(url, CONNECT_TIMEOUT).await.map_err(failed)?).await?,
        };
        let response =
            sender.send_request(request).await.map_err(|error| EngineError::ConnectionLost(error.into()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response.into_body()).await.unwrap_or_default();
        let message = serde_json::from_slice(&body).map(|body: ErrorBody| body.message);
        Err(EngineError::Refused(status, message.unwrap_or_else(|_| "no reason given".to_owned())))
    }
}

impl Api {
    /// Opens the event stream. `since` is its start in nanoseconds of Unix time, as far back as the engine
    /// remembers events.
    pub(crate) async fn events(&self, since: u64) -> Result<Events, EngineError> {
        let path = self.path(&events::path(since));
        Ok(Events::new(with_timeout(self.engine.send(path)).await?.into_body()))
    }

    /// Describes the node.
    pub(crate) async fn info(&self) -> Result<Info, EngineError> {
        self.get("/info").await
    }

    /// Lists running and paused containers.
    pub(crate) async fn containers(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.get("/containers/json").await
    }

    /// Inspects a container. Returns `None` if it does not exist. For one that shares the network of another container,
    /// the result shows the other's network. Without labels of Swarm if it is not a task: an image can carry such labels.
    pub(crate) async fn container(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        let Some(mut inspection) = self.inspect(id).await? else { return Ok(None) };
        let has_swarm_label = inspection.config.labels.keys().any(|key| key.starts_with(SWARM));
        if has_swarm_label && !self.is_task(id).await? {
            // If it still exists, it existed when the tasks were listed.
            let Some(again) = self.inspect(id).await? else { return Ok(None) };
            inspection = again;
            inspection.config.labels.retain(|key, _| !key.starts_with(SWARM));
        }
        if let Some(other) = inspection.host_config.network_mode.strip_prefix("container:")
            && let Some(other) = self.inspect(other).await?
        {
            inspection.host_config = other.host_config;
            inspection.network_settings = other.network_settings;
        }
        Ok(Some(inspection))
    }

    /// Returns whether the engine created the container for a task that a manager assigned to this node. No label and no
    /// name makes a container a task.
    async fn is_task(&self, id: &str) -> Result<bool, EngineError> {
        let filters = format!(r#"{{"is-task":["true"],"id":["{id}"]}}"#);
        let filters = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        let tasks: Vec<ListedContainer> =
            self.get(&format!("/containers/json?all=true&filters={filters}")).await?;
        Ok(tasks.iter().any(|task| task.id == id))
    }

    async fn inspect(&self, id: &str) -> Result<Option<Inspection>, EngineError> {
        match self.get(&format!("/containers/{id}/json")).await {
            Err(EngineError::Refused(StatusCode::NOT_FOUND, _)) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Lists the swarm's services. Only managers know them.
    pub(crate) async fn services(&self) -> Result<Vec<Service>, EngineError> {
        self.get("/services").await
    }

    /// Returns a service of the swarm, and its tasks of the current specification that should run.
    pub(crate) async fn service_with_tasks(&self, name: &str) -> Result<(Service, Vec<Task>), EngineError> {
        // The filter that Docker's own client uses.
        let filters =
            serde_json::json!({"service": [name], "_up-to-date": ["true"], "desired-state": ["running"]});
        let filters = filters.to_string();
        let filters = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        // In this order: tasks of a later specification are not those of this one.
        let service = self.get(&format!("/services/{name}")).await?;
        Ok((service, self.get(&format!("/tasks?filters={filters}")).await?))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let path = self.path(path);
        let body = with_timeout(async { read(self.engine.send(path).await?.into_body()).await }).await?;
        serde_json::from_slice(&body).map_err(EngineError::InvalidResponse)
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.version)
    }
}

async fn with_timeout<T>(response: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    timeout(RESPONSE_TIMEOUT, response).await.unwrap_or(Err(EngineError::Timeout))
}

async fn handshake<S>(stream: S) -> Result<http1::SendRequest<Empty<Bytes>>, EngineError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| EngineError::ConnectionLost(error.into()))?;
    tokio::spawn(async move {
        // The request reports the error.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn read(body: Incoming) -> Result<Bytes, EngineError> {
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(EngineError::ConnectionLost)?;
    Ok(body.to_bytes())
}

/// Body of a response that is not 2xx.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "connecting: {}", connection::reason(error)),
            Self::ConnectionLost(error) => write!(f, "connection lost: {error}"),
            Self::Timeout => f.write_str("no response in time"),
            Self::Refused(status, reason) => write!(f, "status {}: {reason}", status.as_u16()),
            Self::InvalidResponse(error) => write!(f, "invalid response: {error}"),
            Self::StreamEnded => f.write_str("the event stream ended"),
        }
    }
}

impl std::error::Error for EngineError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_displayed_as_it_is_parsed() {
        for text in ["unix:///run/docker.sock", "tcp://proxy:2375", "tcp://[::1]:2375"] {
            assert_eq!(text.parse::<Engine>().unwrap().to_string(), text);
        }
        assert_eq!("http://proxy:2375/".parse::<Engine>().unwrap().to_string(), "tcp://proxy:2375");
    }

    #[test]
    fn invalid_address_names_the_cause() {
        for (text, cause) in [
            ("/run/docker.sock", "missing scheme"),
            ("unix://run/docker.sock", "an absolute path"),
            ("ssh://host", "scheme \"ssh\""),
            ("npipe:////./pipe/docker", "scheme \"npipe\""),
            ("tcp://proxy", "missing port"),
            ("http://proxy:1/docker", "path \"/docker\""),
        ] {
            let error = text.parse::<Engine>().unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
