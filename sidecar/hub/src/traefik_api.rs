//! Requests to the API of routers (Traefik instances).

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::Bytes;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use traefik::API_HOST;

use crate::key::Key;
use crate::rawdata::{self, Report};
use crate::state::address_of;

/// Maximum length of a response, in bytes. 10,000 servers take about 3 MB.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// Service of the beacon in Traefik's API.
const BEACON_SERVICE: &str = "/api/http/services/swarmlings-beacon@http";
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum duration of a connection attempt to a server that may be lost. The kernel reports an address without a host after 3 s.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(4);

/// Passwords for the APIs of routers. Each API has its own: a client that polls in the name of a router gets requests of the
/// hub, but not the password of another API.
#[derive(Clone, Debug)]
pub(crate) struct TraefikApi(Key);

/// Error of a request. Its text names the remedy.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No connection.
    Connect(String),
    /// A connection, but no response within [`TIMEOUT`].
    NoResponse,
    /// Not the response of an API.
    Failed(String),
    /// Status other than 200: the router does not have the hub's configuration, or its API is not enabled.
    Status(StatusCode),
}

impl TraefikApi {
    /// Passwords that derive from `key`, so that other hubs with the same master token have the same ones.
    pub(crate) fn new(key: Key) -> Self {
        Self(key)
    }

    /// Returns the hub's password for the API at `address`.
    pub(crate) fn password(&self, address: SocketAddr) -> String {
        self.0.derive("traefik-api", &address.to_string())
    }

    /// Returns that password, and the one of a hub with the previous master token.
    pub(crate) fn passwords(&self, address: SocketAddr) -> Vec<String> {
        self.0.derive_all("traefik-api", &address.to_string()).collect()
    }

    /// Returns the hub as a line of an `htpasswd` file. A random password of 256 bits needs no slow hash.
    pub(crate) fn user(&self, address: SocketAddr) -> String {
        user(&self.password(address))
    }
}

fn user(password: &str) -> String {
    format!("hub:{{SHA}}{}", Base64::encode_string(&Sha1::digest(password)))
}

/// Reads what the router whose API is at `address` has in use.
pub(crate) async fn report(address: SocketAddr, password: &str) -> Result<Report, ApiError> {
    let [body] = get(address, password, ["/api/rawdata"]).await?;
    rawdata::parse(&body).map_err(|error| invalid(&error))
}

/// Does the same, without servers and names as long as no definition has an error or a warning. A whole report is about 3 MB for
/// 10,000 servers.
pub(crate) async fn brief_report(address: SocketAddr, password: &str) -> Result<Report, ApiError> {
    // First the beacon: the number of errors is then that of this configuration or of a later one.
    let Ok([beacon, overview]) = get(address, password, [BEACON_SERVICE, "/api/overview"]).await else {
        return report(address, password).await;
    };
    if rawdata::has_messages(&overview).map_err(|error| invalid(&error))? {
        return report(address, password).await;
    }
    rawdata::without_messages(&beacon).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::Failed(format!("not Traefik's API: {error}"))
}

/// Returns whether a server, which a router uses, does not accept connections.
pub(crate) async fn refuses(server: &str) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let Some(address) = address_of(server) else { return false };
    let connected = timeout(REFUSAL_TIMEOUT, TcpStream::connect(address)).await;
    matches!(connected, Ok(Err(error)) if [ConnectionRefused, HostUnreachable, NetworkUnreachable].contains(&error.kind()))
}

/// Requests `paths`, one after the other, on one connection.
async fn get<const N: usize>(
    address: SocketAddr,
    password: &str,
    paths: [&str; N],
) -> Result<[Bytes; N], ApiError> {
    let deadline = Instant::now() + TIMEOUT;
    let stream = timeout_at(deadline, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| ApiError::Connect(format!("no answer within {TIMEOUT:?}")))?;
    let stream = stream.map_err(|error| ApiError::Connect(cli::reason(&error)))?;
    let responses = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The pending request reports the same error.
        tokio::spawn(async { drop(connection.await) });
        let mut bodies = [const { Bytes::new() }; N];
        for (place, path) in paths.into_iter().enumerate() {
            if place > 0 {
                sender.ready().await?;
            }
            bodies[place] = get_one(&mut sender, path, password).await?;
        }
        Ok(bodies)
    };
    timeout_at(deadline, responses).await.map_err(|_| ApiError::NoResponse)?
}

async fn get_one(
    sender: &mut SendRequest<Empty<Bytes>>,
    path: &str,
    password: &str,
) -> Result<Bytes, ApiError> {
    let credentials = Base64::encode_string(format!("hub:{password}").as_bytes());
    let request = Request::get(path)
        .header(HOST, API_HOST)
        .header(AUTHORIZATION, format!("Basic {credentials}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| ApiError::Failed(error.to_string()))?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(ApiError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| ApiError::Failed(error.to_string()))
}

impl From<hyper::Error> for ApiError {
    fn from(error: hyper::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) => write!(
                f,
                "connecting: {cause}; the parameter `api` of the router's poll must be the port of its entry point \
                 `traefik`, which the hub has to reach"
            ),
            Self::NoResponse => {
                write!(f, "no response within {TIMEOUT:?}; Traefik or its host is slow or paused")
            }
            Self::Failed(cause) => f.write_str(cause),
            Self::Status(StatusCode::UNAUTHORIZED) => {
                f.write_str("status 401; Traefik uses the configuration of a hub with another token")
            }
            Self::Status(status) => write!(f, "status {}; Traefik needs --api=true", status.as_u16()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Returns the error of reading an API that responds with `response`, or not at all.
    async fn error_with(response: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            match response {
                Some(response) => stream.write_all(response.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
            // The client closes the connection once it has the response.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let error = report(address, "password").await.unwrap_err().to_string();
        server.abort();
        error
    }

    #[tokio::test]
    async fn error_tells_a_slow_api_from_a_missing_one() {
        assert_eq!(error_with(None).await, "no response within 1s; Traefik or its host is slow or paused");
        let missing = error_with(Some("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")).await;
        assert_eq!(missing, "status 404; Traefik needs --api=true");
        let other = error_with(Some("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")).await;
        assert!(other.contains("another token"), "{other}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = report(address, "password").await.unwrap_err().to_string();
        assert!(refused.starts_with("connecting: connection refused; the parameter `api`"), "{refused}");
    }

    #[test]
    fn password_depends_on_key_and_address() {
        // From: htpasswd -nbs hub password
        assert_eq!(user("password"), "hub:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
        let address = |port| SocketAddr::from(([10, 0, 1, 2], port));
        let password = |key: &str, port| TraefikApi::new(Key::new(key.as_bytes())).password(address(port));
        assert_eq!(password("a", 8080), password("a", 8080));
        assert_ne!(password("a", 8080), password("b", 8080));
        assert_ne!(password("a", 8080), password("a", 8081));
        let both = TraefikApi::new(Key::new(b"new").with_previous(Some(b"old")));
        assert_eq!(both.passwords(address(8080)), [password("new", 8080), password("old", 8080)]);
    }
}
