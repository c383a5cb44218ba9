//! What targets hold results against, and what stands in for crates that are not built for them.

pub mod known;
pub mod urlquery;

// All of the runtime that the pure part of a service needs.
#[path = "../../services/runtime/src/peer.rs"]
mod peer;

pub use peer::Peer;
