//! Connections to a host: its name, its addresses, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::fault::Fault;
use crate::plan::{Http, Plan};
use crate::report::Class;
use crate::target::Origin;

/// For so long a host's addresses are taken to be what they were: those of a service change while it is updated.
const RESOLVED: Duration = Duration::from_secs(1);

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Makes connections to one host.
pub(crate) struct Dialer {
    origin: Origin,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http: Http,
    addresses: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
}

impl Dialer {
    /// For a host that is spoken to so.
    pub(crate) fn new(
        origin: &Origin,
        config: Option<&Arc<ClientConfig>>,
        http: Http,
    ) -> Result<Self, Fault> {
        let offered = match http {
            Http::One => HTTP1,
            Http::Two => H2,
        };
        Self::offering(origin, config, http, vec![offered.to_vec()])
    }

    fn offering(
        origin: &Origin,
        config: Option<&Arc<ClientConfig>>,
        http: Http,
        offered: Vec<Vec<u8>>,
    ) -> Result<Self, Fault> {
        let tls = match config.filter(|_| origin.tls) {
            None => None,
            Some(config) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = offered;
                let name = ServerName::try_from(origin.host.clone());
                let name = name.map_err(|error| {
                    Fault::new(Class::Tls, format_args!("asking for {} by TLS: {error}", origin.host))
                })?;
                Some((Arc::new(config).into(), name))
            }
        };
        Ok(Self { origin: origin.clone(), tls, http, addresses: Mutex::new(None) })
    }

    /// Makes a connection, to the host's addresses in turn: `number` says which is the first.
    pub(crate) async fn connect(&self, number: usize) -> Result<Stream, Fault> {
        let stream = self.shake_hands(self.reach(number).await?).await?;
        if let Stream::Tls(tls) = &stream {
            // A server that agrees upon nothing speaks HTTP/1.1.
            let agreed = tls.get_ref().1.alpn_protocol().unwrap_or(HTTP1);
            let is_two = agreed == H2;
            if is_two != (self.http == Http::Two) {
                let agreed = String::from_utf8_lossy(agreed);
                return Err(Fault::protocol(format_args!("by TLS the server agreed upon {agreed}")));
            }
        }
        Ok(stream)
    }

    async fn reach(&self, number: usize) -> Result<TcpStream, Fault> {
        let addresses = self.addresses().await?;
        let mut fault =
            Fault::new(Class::Dns, format_args!("resolving {}: it has no address", self.origin.host));
        for turn in 0..addresses.len() {
            let address = addresses[(number + turn) % addresses.len()];
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A request is written at once, so there is nothing to wait for.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => fault = Fault::io(format_args!("connecting to {address}"), &error),
            }
        }
        Err(fault)
    }

    async fn addresses(&self) -> Result<Arc<[SocketAddr]>, Fault> {
        if let Some(address) = self.origin.address() {
            return Ok([SocketAddr::new(address, self.origin.port)].into());
        }
        // Who comes while somebody resolves it waits for that.
        let mut known = self.addresses.lock().await;
        if let Some((at, addresses)) = &*known
            && at.elapsed() < RESOLVED
        {
            return Ok(Arc::clone(addresses));
        }
        let Origin { host, port, .. } = &self.origin;
        let resolved = lookup_host((host.as_str(), *port)).await.map_err(|error| unresolved(host, &error))?;
        let addresses: Arc<[SocketAddr]> = resolved.collect();
        *known = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<Stream, Fault> {
        let Some((connector, name)) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let shaken = connector.connect(name.clone(), stream).await;
        shaken
            .map(|stream| Stream::Tls(Box::new(stream)))
            .map_err(|error| Fault::io(format_args!("speaking TLS with {}", self.origin), &error))
    }
}

fn unresolved(host: &str, error: &io::Error) -> Fault {
    let text = error.to_string();
    let why = text.rsplit("lookup address information: ").next().unwrap_or(&text);
    Fault::new(Class::Dns, format_args!("resolving {host}: {why}"))
}

/// Connects to each host once, and closes the connection without a request: how each of them is spoken to, or why not.
pub(crate) async fn preflight(plan: &Plan, timeout: Duration) -> Result<Vec<Http>, Fault> {
    let mut spoken = Vec::new();
    for origin in &plan.origins {
        let reached = tokio::time::timeout(timeout, agree(plan, origin)).await;
        let late = || {
            Fault::new(Class::Timeout, format_args!("connecting to {origin}: no answer within {timeout:?}"))
        };
        spoken.push(reached.map_err(|_| late())??);
    }
    Ok(spoken)
}

async fn agree(plan: &Plan, origin: &Origin) -> Result<Http, Fault> {
    let offered = match plan.http {
        Some(Http::One) => vec![HTTP1.to_vec()],
        Some(Http::Two) => vec![H2.to_vec()],
        None => vec![H2.to_vec(), HTTP1.to_vec()],
    };
    let wanted = plan.http.unwrap_or(Http::One);
    let dialer = Dialer::offering(origin, plan.tls.as_ref(), wanted, offered)?;
    match (plan.http, dialer.shake_hands(dialer.reach(0).await?).await?) {
        (Some(http), Stream::Plain(_)) => Ok(http),
        (None, Stream::Plain(_)) => Ok(Http::One),
        (wanted, Stream::Tls(tls)) => {
            let agreed = if tls.get_ref().1.alpn_protocol() == Some(H2) { Http::Two } else { Http::One };
            if wanted.is_some_and(|wanted| wanted != agreed) {
                return Err(Fault::protocol(format_args!("{origin} does not speak HTTP/2 by TLS")));
            }
            Ok(agreed)
        }
    }
}
