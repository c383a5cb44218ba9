//! Client for the hub's registration API.
//!
//! - [`Hub`], [`Session`]: requests to a hub, on a connection that holds the caller's leases while it is open
//! - [`connection`]: one HTTP/1.1 connection, for the hub and for probes
//! - [`url`]: URLs of hubs and probes
//! - [`Backoff`], [`heartbeat_interval`], [`LogOnce`]: retries and renewals, common to sidecar and agent

pub mod connection;
mod hub;
mod renewal;
pub mod url;

pub use hub::{Hub, HubError, Session};
pub use renewal::{Backoff, INITIAL_HEARTBEAT_INTERVAL, LogOnce, heartbeat_interval, random};
