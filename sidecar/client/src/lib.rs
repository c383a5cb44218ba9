//! The hub as those see it who register with it.
//!
//! - [`Hub`], [`Session`]: the requests that they make, on a connection that holds their leases while it is open;
//! - [`connection`]: one HTTP/1.1 connection, for a hub and for probes;
//! - [`url`]: where they go;
//! - [`Backoff`]: how long to wait before the next attempt; [`heartbeat`], [`Complaint`]: what all who keep leases do alike.

mod backoff;
pub mod connection;
mod hub;
mod keeping;
pub mod url;

pub use backoff::Backoff;
pub use hub::{Hub, HubError, Session};
pub use keeping::{Complaint, FIRST_HEARTBEAT, heartbeat, random};
