//! TLS without a C compiler, for those who serve it and those who ask by it:
//!
//! - [`provider`]: the cryptography that rustls is given, of pure Rust;
//! - [`files`]: certificates and keys as PEM, and what is wrong with them.

mod crypto;
pub mod files;

pub use crypto::provider;
