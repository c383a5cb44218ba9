//! Answers with what it was asked: a drop-in for whoami, with the knobs that routing tests need.
//!
//! - [`Echo`], [`EchoArgs`]: the service, and its flags;
//! - [`route`]: which path is whose;
//! - [`hops`]: the way that a request came, by [`forwarded`] headers, and whom of it to believe, by [`cidr`];
//! - [`query`], [`amount`], [`weights`], [`range`], [`health`]: what requests ask for;
//! - [`headers`]: a request's head as Go sees it, and so whoami;
//! - [`proxy_protocol`](transport::proxy_protocol): what a proxy says of its client before that speaks;
//! - [`transport`], [`websocket`]: what comes before HTTP, such as TLS, and what may follow it.
//!
//! All but the first and the last are pure: bytes or text in, values or faults out.

mod addresses;
pub mod amount;
mod api;
mod args;
pub mod cidr;
mod content;
mod flow;
pub mod forwarded;
pub mod headers;
pub mod health;
pub mod hops;
mod knobs;
pub mod query;
mod random;
pub mod range;
pub mod route;
mod service;
pub mod transport;
pub mod websocket;
pub mod weights;
mod whoami;

pub use args::EchoArgs;
pub use service::Echo;
