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
//! use runtime::{Request, about, main, text};
//!
//! main(about!("Says where it runs"), |context| {
//!     let answer = format!("It is {} here\n", context.host());
//!     move |_: &Request| text(answer.clone())
//! });
//! ```

mod about;
mod accept;
mod access;
mod admin;
mod args;
mod ask;
#[cfg(any(target_env = "musl", test))]
mod blocks;
mod body;
mod chance;
mod connection;
mod context;
mod conversation;
mod exchange;
mod faults;
mod front;
#[cfg(any(target_env = "musl", test))]
mod heap;
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
mod server;
mod service;
mod signals;
mod socket_file;
mod spare;
mod stream;
mod subcommand;
mod threads;
mod trace;
mod transport;
mod upgrade;
mod watch;

pub use about::About;
pub use admin::Admin;
pub use body::{Body, Response, status, text};
pub use context::Context;
pub use identity::Identity;
pub use limits::Limits;
pub use listener::Listener;
pub use peer::Peer;
pub use program::{main, main_with};
pub use readiness::{Latch, Readiness, State};
pub use request::{BodyError, Request, RequestBody};
pub use run::{Drained, run};
pub use service::{Connection, Service};
pub use stream::Stream;
pub use subcommand::{Errand, Subcommand};
pub use trace::{TRACEPARENT, TraceParent};
pub use transport::{Established, Establishing, Transport};
pub use upgrade::Upgraded;

pub use bytes::Bytes;
pub use http::{HeaderValue, Method, StatusCode, header};
