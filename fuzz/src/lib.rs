//! Independent checks of results, and replacements for crates that the targets do not build.

pub mod known;
pub mod urlquery;

// The only part of the runtime that these sources need.
#[path = "../../services/runtime/src/peer.rs"]
mod peer;

pub use peer::Peer;
