//! The trait that a service implements.

use std::any::Any;
use std::fmt;
use std::future::{self, Future};
use std::net::SocketAddr;
use std::sync::OnceLock;

use http::Method;

use crate::{Request, Response, Transport, Upgraded};

/// A service: responds to requests.
///
/// A closure `Fn(&Request) -> Response` is a service for `GET` and `HEAD`.
pub trait Service: Send + Sync + 'static {
    /// Whether the service speaks HTTP/2 besides HTTP/1, with prior knowledge. Programs whose services do not are about 300 kB
    /// smaller.
    const HTTP2: bool = false;

    /// Allowed methods; the runtime responds to others with 405. `None` passes every request to the service. The
    /// runtime removes the body of responses to `HEAD`.
    fn methods(&self) -> Option<&[Method]> {
        Some(&[Method::GET, Method::HEAD])
    }

    /// Routes by which metrics count and time requests. Their number must not depend on clients.
    fn routes(&self) -> &'static [&'static str] {
        &["*"]
    }

    /// Returns the index of a path's route in [`Service::routes`].
    fn route(&self, _path: &str) -> usize {
        0
    }

    /// Responds to a request that needs no waiting. Called before [`Service::call`], which is slower.
    fn try_sync(&self, _request: &Request) -> Option<Response> {
        None
    }

    /// Responds to one request. The future is dropped when the client disconnects.
    fn call(&self, request: Request, connection: &Connection) -> impl Future<Output = Response> + Send;

    /// Port for connections without HTTP, if any; [`Service::serve_tcp`] serves them. The flag `--tcp-port` should set it.
    fn tcp_port(&self) -> Option<u16> {
        None
    }

    /// Serves a connection to [`Service::tcp_port`] until it closes. The future is dropped at the end of the drain.
    fn serve_tcp(&self, _stream: Upgraded, _connection: &Connection) -> impl Future<Output = ()> + Send {
        future::ready(())
    }

    /// Layer between clients' sockets and HTTP, if any.
    fn transport(&self) -> Option<&dyn Transport> {
        None
    }

    /// Called exactly once after each connection on which requests may have been received.
    fn on_disconnect(&self, _connection: &Connection) {}

    /// Called when the drain begins. The service must now respond to the requests that it holds.
    fn on_drain(&self) {}

    /// Appends the service's own metrics to `/metrics`, in Prometheus' text format.
    fn metrics(&self, _out: &mut String) {}
}

impl<F> Service for F
where
    F: Fn(&Request) -> Response + Send + Sync + 'static,
{
    fn try_sync(&self, request: &Request) -> Option<Response> {
        Some(self(request))
    }

    fn call(&self, request: Request, _connection: &Connection) -> impl Future<Output = Response> + Send {
        future::ready(self(&request))
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Number of the connection, unique in the process.
    pub id: u64,
    /// The client.
    pub peer: Peer,
    transport_info: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Connection {
    pub(crate) const fn new(id: u64, peer: Peer) -> Self {
        Self { id, peer, transport_info: OnceLock::new() }
    }

    /// Information about this connection from the service's [`Transport`], if it is of type `T`.
    pub fn transport_info<T: 'static>(&self) -> Option<&T> {
        self.transport_info.get()?.downcast_ref()
    }

    pub(crate) fn set_transport_info(&self, info: Box<dyn Any + Send + Sync>) {
        let _ = self.transport_info.set(info);
    }
}

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP, from this address.
    Tcp(SocketAddr),
    /// Unix socket.
    Unix,
}

impl Peer {
    /// Whether the client is on this host, or in this container.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}
