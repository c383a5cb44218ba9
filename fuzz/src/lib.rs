//! Independent checks of results, and replacements for crates that the targets do not build.

pub mod known;
pub mod urlquery;

use std::fmt;
use std::net::SocketAddr;

/// Stand-in for `runtime::Peer`, the only part of the runtime that these sources need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
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
