//! What a service is to the runtime.

use std::fmt;
use std::future::{self, Future};
use std::net::SocketAddr;

use http::Method;

use crate::{Request, Response};

/// What answers requests.
///
/// A closure `Fn(&Request) -> Response` is a service for `GET` and `HEAD`.
pub trait Service: Send + Sync + 'static {
    /// The methods answered; others get 405 from the runtime. `None`: the service sees each request whatever its
    /// method. To `HEAD` the runtime sends all of the answer but its body.
    fn methods(&self) -> Option<&[Method]> {
        Some(&[Method::GET, Method::HEAD])
    }

    /// The answer to a request that need not wait for anything. Asked first, before [`Service::call`]; this is the
    /// faster way.
    fn at_once(&self, _request: &Request) -> Option<Response> {
        None
    }

    /// Answers one request. Dropped unfinished when the client goes away.
    fn call(&self, request: Request, connection: &Connection) -> impl Future<Output = Response> + Send;

    /// A connection has ended, cleanly or not. Called exactly once for each one on which requests may have come.
    fn disconnected(&self, _connection: &Connection) {}

    /// The drain has begun: requests that are held are to be answered now.
    fn draining(&self) {}

    /// Appends the service's own metrics, in Prometheus' text format, to what `/metrics` shows.
    fn metrics(&self, _out: &mut String) {}
}

impl<F> Service for F
where
    F: Fn(&Request) -> Response + Send + Sync + 'static,
{
    fn at_once(&self, request: &Request) -> Option<Response> {
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
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By TCP, from this address.
    Tcp(SocketAddr),
    /// By the unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}
