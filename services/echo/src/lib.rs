//! A drop-in replacement for whoami with handlers for routing tests.
//!
//! - [`Echo`], [`EchoArgs`]: the service and its flags;
//! - [`route`]: routes by path;
//! - [`forwarding`]: the chain of proxies, from [`forwarded`] headers and trusted networks;
//! - [`overrides`]: what the query of any request can change in the response: delay, status and headers;
//! - [`query`], [`params`], [`weights`], [`range`], [`health`]: parameters of requests;
//! - [`headers`]: the request head as Go and whoami show it;
//! - [`proxy_protocol`](transport::proxy_protocol): the PROXY protocol;
//! - [`transport`], [`websocket`], [`tcp`]: layers below HTTP, such as TLS, the WebSocket, and connections without HTTP.
//!
//! All but the first and the last are pure: bytes or text in, values or errors out.

mod addresses;
mod api;
mod args;
mod body_stream;
mod content;
pub mod forwarded;
pub mod forwarding;
mod handlers;
pub mod headers;
pub mod health;
pub mod overrides;
pub mod params;
pub mod query;
mod random;
pub mod range;
pub mod route;
mod service;
pub mod tcp;
pub mod transport;
pub mod websocket;
pub mod weights;
mod whoami;

pub use args::EchoArgs;
pub use service::Echo;
