//! What a service is to the runtime.

use std::any::Any;
use std::future::{self, Future};
use std::sync::OnceLock;

use http::Method;

use crate::{Peer, Request, Response, Transport};

/// What answers requests.
///
/// A closure `Fn(&Request) -> Response` is a service for `GET` and `HEAD`.
pub trait Service: Send + Sync + 'static {
    /// Whether clients may speak HTTP/2 as well, from their first byte on. It takes this crate's feature `http2`, which
    /// programs whose services do not are smaller without.
    const HTTP2: bool = false;

    /// The methods answered; others get 405 from the runtime. `None`: the service sees each request whatever its
    /// method. To `HEAD` the runtime sends all of the answer but its body.
    fn methods(&self) -> Option<&[Method]> {
        Some(&[Method::GET, Method::HEAD])
    }

    /// The routes that requests are counted and timed by, as metrics show them: few, whatever clients ask for.
    fn routes(&self) -> &'static [&'static str] {
        &["*"]
    }

    /// Which of them a path is for, by its place.
    fn route(&self, _path: &str) -> usize {
        0
    }

    /// The answer to a request that need not wait for anything. Asked first, before [`Service::call`]; this is the
    /// faster way.
    fn try_sync(&self, _request: &Request) -> Option<Response> {
        None
    }

    /// Answers one request. Dropped unfinished when the client goes away.
    fn call(&self, request: Request, connection: &Connection) -> impl Future<Output = Response> + Send;

    /// What stands between clients' sockets and HTTP: nothing, if there is none.
    fn transport(&self) -> Option<&dyn Transport> {
        None
    }

    /// A connection has ended, cleanly or not. Called exactly once for each one on which requests may have come.
    fn on_disconnect(&self, _connection: &Connection) {}

    /// The drain has begun: requests that are held are to be answered now.
    fn on_drain(&self) {}

    /// Appends the service's own metrics, in Prometheus' text format, to what `/metrics` shows.
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

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Unique in the process.
    pub id: u64,
    /// The other end.
    pub peer: Peer,
    transport: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Connection {
    pub(crate) const fn new(id: u64, peer: Peer) -> Self {
        Self { id, peer, transport: OnceLock::new() }
    }

    /// What the service's [`Transport`] has told of this connection, if it is of this type.
    pub fn transport_info<T: 'static>(&self) -> Option<&T> {
        self.transport.get()?.downcast_ref()
    }

    /// Keeps what the transport tells.
    pub(crate) fn learn(&self, transport: Box<dyn Any + Send + Sync>) {
        let _ = self.transport.set(transport);
    }
}
