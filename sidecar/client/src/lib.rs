//! Client for the hub's registration API.
//!
//! - [`Hub`], [`Session`]: requests to a hub, on a connection that holds the caller's leases while it is open
//! - [`Hubs`], [`Member`]: all hubs behind a name
//! - [`resolver`]: look-ups of names, with a time limit
//! - [`connection`]: one HTTP/1.1 connection, for the hub and for probes
//! - [`url`]: URLs of hubs and probes
//! - [`Backoff`], [`heartbeat_interval`], [`LogOnce`]: retries and renewals, common to sidecar and agent
//! - [`block_on`]: the runtime of both

use std::time::Duration;

use cli::Failure;
use tokio::runtime::Builder;

pub mod connection;
mod hub;
mod hubs;
mod renewal;
pub mod resolver;
mod tls;
pub mod url;

pub use hub::{Hub, HubError, Session, escape};
pub use hubs::{Hubs, Member, Serving};
pub use renewal::{Backoff, INITIAL_HEARTBEAT_INTERVAL, LogOnce, heartbeat_interval, random};

/// Runs `future` to its end on this thread, in a tokio runtime with small stacks for the few threads that look up names:
/// those of hub, `tasks.hub` and probe.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(3)
        .thread_stack_size(256 * 1024)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| Failure::new(format!("starting the runtime: {error}")))?;
    let result = runtime.block_on(future);
    // A DNS server that does not respond must not delay the exit.
    runtime.shutdown_background();
    Ok(result)
}
