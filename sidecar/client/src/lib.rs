//! The hub as those see it who register with it.
//!
//! - [`Hub`], [`Session`]: the requests that they make, on a connection that holds their leases while it is open;
//! - [`connection`]: one HTTP/1.1 connection, for a hub and for probes;
//! - [`url`]: where they go;
//! - [`Backoff`]: how long to wait before the next attempt.

mod backoff;
pub mod connection;
mod hub;
pub mod url;

pub use backoff::Backoff;
pub use hub::{Hub, HubError, Session};
