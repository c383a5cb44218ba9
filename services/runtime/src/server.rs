//! What a server's connections share.

use std::sync::Arc;

use http::HeaderValue;

use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::threads::Threads;
use crate::{Connection, Limits, Readiness};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Server<S> {
    pub(crate) service: Arc<S>,
    pub(crate) served_by: HeaderValue,
    pub(crate) limits: Limits,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) threads: Threads,
}

/// One connection's line to the server.
#[derive(Debug)]
pub(crate) struct Line<S> {
    pub(crate) server: Arc<Server<S>>,
    pub(crate) connection: Connection,
    pub(crate) progress: Arc<Progress>,
}
