//! One request and its answer, by whatever protocol.

mod dial;
mod one;
mod stream;
mod two;

pub(crate) use dial::{Dialer, preflight};
pub(crate) use one::One;
pub(crate) use two::{Shared, Template};
