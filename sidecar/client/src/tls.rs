//! TLS with a hub.

use std::sync::Arc;

use cli::Failure;
use rustls::pki_types::ServerName;
use tls::client;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::hub::{Hub, HubError};
use crate::url::Scheme;

/// Flag with the CA certificates, in messages.
const CA: &str = "--hub-ca";

/// Starts TLS on a connection to a hub, whose certificate must be for the name in its URL.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the CA certificates. Returns `None` if the hub's URL is not `https`.
    pub(crate) fn new(hub: &Hub) -> Result<Option<Self>, Failure> {
        let url = &hub.url;
        let ca_file = match (url.scheme, &hub.ca_file) {
            (Scheme::Https, Some(file)) => file,
            (Scheme::Https, None) => {
                return Err(Failure::new(format_args!(
                    "{url} needs {CA}, a PEM file with the certificate of the CA"
                )));
            }
            (_, Some(_)) => {
                return Err(Failure::new(format_args!("{CA} has no effect on {url}; use https://")));
            }
            (_, None) => return Ok(None),
        };
        let config = client::config(ca_file)?;
        let name = ServerName::try_from(url.host.clone())
            .map_err(|error| Failure::new(format_args!("{}: not a name for TLS: {error}", url.host)))?;
        Ok(Some(Self { connector: Arc::new(config).into(), name }))
    }

    pub(crate) async fn handshake(self, stream: TcpStream) -> Result<TlsStream<TcpStream>, HubError> {
        self.connector.connect(self.name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|cause| cause.downcast_ref()) {
                Some(cause) => HubError::Tls(client::explain(cause, CA)),
                None => HubError::Connect(error.into()),
            }
        })
    }
}
