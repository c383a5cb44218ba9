//! What a server's connections share.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

use crate::access::AccessLog;
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::threads::Threads;
use crate::upgrade::Upgrade;
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
    pub(crate) faults: Arc<Faults>,
    pub(crate) access_log: AccessLog,
}

/// One connection's line to the server.
#[derive(Debug)]
pub(crate) struct Line<S> {
    pub(crate) server: Arc<Server<S>>,
    pub(crate) connection: Connection,
    pub(crate) progress: Arc<Progress>,
    /// What goes on in place of HTTP/1, once that has ended.
    upgrade: Mutex<Option<Upgrade>>,
}

impl<S> Line<S> {
    pub(crate) const fn new(server: Arc<Server<S>>, connection: Connection, progress: Arc<Progress>) -> Self {
        Self { server, connection, progress, upgrade: Mutex::new(None) }
    }

    pub(crate) fn set_upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    pub(crate) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
