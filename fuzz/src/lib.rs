//! What targets hold results against.

pub mod known;
pub mod urlquery;
