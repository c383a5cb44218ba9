//! Runtime for small HTTP services. A service implements its responses; the runtime provides the rest:
//!
//! - [`main`], [`main_with`]: a whole program with flags, environment variables, logs, signals and `healthcheck`;
//! - [`Service`]: the trait that responds to requests. A closure from request to response implements it;
//! - [`Body`], [`text`], [`status`]: responses; [`RequestBody`]: request bodies, with limits;
//! - [`Readiness`] and [`Latch`]: the service is ready once every latch is dropped;
//! - [`Admin`]: `/healthz`, `/readyz`, `/metrics`, `/version`, log level and fault injection;
//! - [`TraceParent`]: the trace context of a request;
//! - [`run`]: serves a listener until a given future resolves, then drains. For tests.
//!
//! A request passes `listener`, `server`, `connection`, `handler` and `metrics`, in this order.
//!
//! ```no_run
//! use runtime::{Request, app_info, main, text};
//!
//! main(app_info!("Tells the name of its host"), |context| {
//!     let response = format!("Hello from {}\n", context.host());
//!     move |_: &Request| text(response.clone())
//! });
//! ```

mod access_log;
mod admin;
mod app_info;
mod args;
mod body;
mod connection;
mod context;
mod descriptors;
pub mod exposition;
mod fault_spec;
mod faults;
mod handler;
mod histogram;
mod io;
mod listener;
mod metrics;
mod process;
mod program;
mod protocol;
mod readiness;
mod request;
mod sampler;
mod server;
mod service;
mod timeouts;
mod trace;
mod transport;

pub use admin::Admin;
pub use app_info::{AppInfo, Subcommand, SubcommandHandler};
pub use args::Limits;
pub use body::{Body, Response, Upgraded, status, text};
pub use context::{Context, Identity};
pub use listener::Listener;
pub use program::{main, main_with};
pub use readiness::{Latch, Readiness, ReadinessState};
pub use request::{BodyError, Request, RequestBody};
pub use sampler::splitmix64;
pub use server::{DrainReport, run};
pub use service::{Connection, Peer, Service};
pub use trace::{TRACEPARENT, TraceParent};
pub use transport::{EstablishFuture, Established, Stream, Transport};

pub use bytes::Bytes;
pub use http::{HeaderValue, Method, StatusCode, header};

/// musl's own allocator is slow and returns memory to the kernel too eagerly.
#[cfg(target_env = "musl")]
#[global_allocator]
static GLOBAL: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
