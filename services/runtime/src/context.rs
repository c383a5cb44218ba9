//! Environment of a service.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::access_log::AccessLog;
use crate::descriptors;
use crate::faults::{FaultInjection, Faults};
use crate::metrics::Metrics;
use crate::server::{Server, Threads};
use crate::{Admin, AppInfo, Latch, Limits, Readiness, Service};

/// Environment of a service: identity, limits, readiness and operational endpoints. [`run`](crate::run) takes it as well.
#[derive(Clone, Debug)]
pub struct Context {
    app: AppInfo,
    identity: Identity,
    limits: Limits,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    admin: Admin,
    threads: Threads,
    faults: Arc<Faults>,
    /// Fraction of requests to log.
    access_log: f64,
}

impl Context {
    /// Creates the context of a service on one thread. A string as identity is a host name. Control characters are removed
    /// from it, since no HTTP header can carry them.
    pub fn new(app: AppInfo, identity: impl Into<Identity>, limits: Limits) -> Self {
        Self::with(app, identity.into(), limits, Threads::default())
    }

    /// Creates the context of a service on several threads: the one that calls [`run`](crate::run), and others that start now
    /// and end when the last clone of this context is dropped.
    pub fn threaded(
        app: AppInfo,
        identity: impl Into<Identity>,
        limits: Limits,
        threads: usize,
    ) -> io::Result<Self> {
        Ok(Self::with(app, identity.into(), limits, Threads::start(threads.saturating_sub(1))?))
    }

    fn with(app: AppInfo, identity: Identity, limits: Limits, threads: Threads) -> Self {
        let identity = identity.printable();
        let (readiness, faults) = (Readiness::default(), Arc::<Faults>::default());
        let metrics = Arc::new(Metrics::new(1 + threads.others().len()));
        let admin =
            Admin::new(app, identity.clone(), readiness.clone(), Arc::clone(&metrics), Arc::clone(&faults));
        Self { app, identity, limits, readiness, metrics, admin, threads, faults, access_log: 0.0 }
    }

    /// Sets the file with the bearer token for writes on the admin port.
    #[must_use]
    pub fn with_admin_token_file(self, path: impl Into<PathBuf>) -> Self {
        self.admin.set_token_file(path.into());
        self
    }

    /// Sets the fraction of requests to log, from 0 to 1.
    #[must_use]
    pub fn with_access_log(self, rate: f64) -> Self {
        Self { access_log: rate, ..self }
    }

    /// Sets the faults of the whole process, to be shown by the operational endpoints.
    pub(crate) fn set_fault_injection(&self, flags: FaultInjection) {
        self.faults.set_process_faults(flags);
    }

    /// Host name that clients see.
    pub fn host(&self) -> &str {
        &self.identity.host
    }

    /// Identity among other tasks and hosts.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Version of the program.
    pub fn version(&self) -> &'static str {
        self.app.version
    }

    /// Limits for clients and for the drain.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Maximum number of open connections.
    pub fn max_connections(&self) -> u32 {
        let default = || descriptors::max_connections(1 + self.threads.others().len());
        self.limits.max_connections.unwrap_or_else(default)
    }

    /// Keeps the service unready until the returned latch is dropped.
    pub fn latch(&self) -> Latch {
        self.readiness.latch()
    }

    /// Readiness of the service.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Operational endpoints, for a service that serves them itself.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    pub(crate) fn server<S: Service>(&self, service: S) -> Server<S> {
        let service = Arc::new(service);
        self.admin.set_service(&service);
        self.metrics.set_routes(service.routes());
        // Leaked, so that the clone in each response needs no reference count, which threads would have to share.
        let leaked =
            |text: String| HeaderValue::from_maybe_shared(Bytes::from_static(text.leak().as_bytes()));
        Server {
            service,
            served_by: leaked(self.identity.host.clone()).unwrap_or(HeaderValue::from_static("")),
            instance: self.identity.instance().and_then(|name| leaked(name).ok()),
            limits: self.limits.clone(),
            readiness: self.readiness.clone(),
            metrics: Arc::clone(&self.metrics),
            threads: self.threads.clone(),
            faults: Arc::clone(&self.faults),
            access_log: AccessLog::new(self.access_log),
        }
    }
}

/// Identity of a process among the tasks of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Host name that clients see.
    pub host: String,
    /// Name of the Swarm task, such as `ping.1.u2w0…`.
    pub task: Option<String>,
    /// Slot of the Swarm task.
    pub slot: Option<String>,
    /// Name of the Swarm node.
    pub node: Option<String>,
}

impl Identity {
    /// Name of the task without the random part, and the node: `ping.1@leader`.
    fn instance(&self) -> Option<String> {
        let (task, node) = (self.task.as_deref()?, self.node.as_deref()?);
        let name = task.rsplit_once('.').map(|(name, _)| name).filter(|name| name.contains('.'));
        Some(format!("{}@{node}", name.unwrap_or(task)))
    }

    /// Removes control characters.
    fn printable(self) -> Self {
        let printable = |text: String| text.replace(char::is_control, "");
        Self {
            host: printable(self.host),
            task: self.task.map(printable),
            slot: self.slot.map(printable),
            node: self.node.map(printable),
        }
    }
}

impl From<&str> for Identity {
    fn from(host: &str) -> Self {
        Self { host: host.to_owned(), ..Self::default() }
    }
}
