//! What every Swarmlings service gets, so that its own source holds nothing but its answers:
//!
//! - [`main`], [`main_with`]: a whole program, with flags, environment, logs, signals and `healthcheck`;
//! - [`Service`]: what answers; a closure from request to response is one;
//! - [`Body`], [`text`], [`status`]: answers, and [`RequestBody`]: what came, within its limits;
//! - [`Readiness`] and [`Latch`]: ready once nobody holds a latch any more;
//! - [`Admin`]: `/healthz`, `/readyz`, `/metrics` and `/version`, the log's level, and faults that are made on purpose;
//! - [`TraceParent`]: the trace that a request is part of;
//! - [`run`]: all of it on a given listener until a given end, with a graceful drain, for tests.
//!
//! ```no_run
//! use runtime::{Request, app_info, main, text};
//!
//! main(app_info!("Says where it runs"), |context| {
//!     let answer = format!("It is {} here\n", context.host());
//!     move |_: &Request| text(answer.clone())
//! });
//! ```

mod accept;
mod access;
mod admin;
mod app_info;
mod args;
mod ask;
mod body;

mod connection;
mod context;
mod conversation;
mod exchange;
pub mod exposition;
mod faults;
mod front;
mod histogram;
mod identity;
mod io;
mod limits;
mod listener;
mod metrics;
mod peer;
mod program;
mod progress;
mod readiness;
mod request;
mod rules;
mod run;
mod sampler;
mod server;
mod service;
mod signals;
mod socket_file;
mod stream;
mod subcommand;
mod threads;
mod trace;
mod transport;
mod upgrade;
mod watch;

pub use admin::Admin;
pub use app_info::AppInfo;
pub use body::{Body, Response, status, text};
pub use context::Context;
pub use identity::Identity;
pub use limits::Limits;
pub use listener::Listener;
pub use peer::Peer;
pub use program::{main, main_with};
pub use readiness::{Latch, Readiness, ReadinessState};
pub use request::{BodyError, Request, RequestBody};
pub use run::{DrainReport, run};
pub use sampler::splitmix64;
pub use service::{Connection, Service};
pub use stream::Stream;
pub use subcommand::{Subcommand, SubcommandHandler};
pub use trace::{TRACEPARENT, TraceParent};
pub use transport::{EstablishFuture, Established, Transport};
pub use upgrade::Upgraded;

#[cfg(target_env = "musl")]
#[global_allocator]
static GLOBAL: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

pub use bytes::Bytes;
pub use http::{HeaderValue, Method, StatusCode, header};
