//! What may stand between a client's socket and HTTP.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use crate::{Peer, Stream};

/// What stands between a client's socket and HTTP, such as TLS or the PROXY protocol.
pub trait Transport: Send + Sync {
    /// Does what comes before the first request. An error ends the connection.
    ///
    /// It may take as long as a [header](crate::Limits::header_timeout), and is dropped after that.
    fn establish(&self, stream: Stream, peer: Peer) -> EstablishFuture<'_>;
}

/// What [`Transport::establish`] returns.
pub type EstablishFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Established>> + Send + 'a>>;

/// A connection on which requests may come.
pub struct Established {
    /// What is left to read and write for HTTP.
    pub stream: Stream,
    /// What is known of the client now, for [`Connection::transport_info`](crate::Connection::transport_info).
    pub info: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Established").field("stream", &self.stream).finish_non_exhaustive()
    }
}
