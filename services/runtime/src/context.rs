//! What a service is made from.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::access::AccessLog;
use crate::faults::{Faults, Rehearsal};
use crate::metrics::Metrics;
use crate::server::Server;
use crate::threads::Threads;
use crate::{Admin, AppInfo, Identity, Latch, Limits, Readiness, Service};

/// What a service may know of its surroundings when it is made, and what [`run`](crate::run) runs it by.
#[derive(Clone, Debug)]
pub struct Context {
    about: AppInfo,
    identity: Identity,
    limits: Limits,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    admin: Admin,
    threads: Threads,
    faults: Arc<Faults>,
    /// The part of requests that the access log has a line of.
    access_log: f64,
}

impl Context {
    /// For a service that is known by this, or by a host's name alone. Control characters, which no header can carry, are
    /// left out of it.
    pub fn new(about: AppInfo, identity: impl Into<Identity>, limits: Limits) -> Self {
        Self::on(about, identity.into(), limits, Threads::default())
    }

    /// The same for a service that so many threads serve: the one that runs it, and others that are started now and end
    /// with the last copy of this. None is as good as one.
    pub fn threaded(
        about: AppInfo,
        identity: impl Into<Identity>,
        limits: Limits,
        threads: usize,
    ) -> io::Result<Self> {
        Ok(Self::on(about, identity.into(), limits, Threads::start(threads.saturating_sub(1))?))
    }

    fn on(about: AppInfo, identity: Identity, limits: Limits, threads: Threads) -> Self {
        let identity = identity.printable();
        let (readiness, faults) = (Readiness::default(), Arc::<Faults>::default());
        let metrics = Arc::new(Metrics::new(1 + threads.others().len()));
        let admin =
            Admin::new(about, identity.clone(), readiness.clone(), Arc::clone(&metrics), Arc::clone(&faults));
        Self { about, identity, limits, readiness, metrics, admin, threads, faults, access_log: 0.0 }
    }

    /// The same with an admin port on which whoever knows what is in this file may change something.
    #[must_use]
    pub fn with_admin_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.admin = self.admin.with_token_file(path.into());
        self
    }

    /// The same with a line in the log for this part of all requests, from 0 to 1.
    #[must_use]
    pub fn with_access_log(self, rate: f64) -> Self {
        Self { access_log: rate, ..self }
    }

    /// Shows what goes wrong on purpose.
    pub(crate) fn rehearse(&self, rehearsal: Rehearsal) {
        self.faults.rehearse(rehearsal);
    }

    /// The name that clients see.
    pub fn host(&self) -> &str {
        &self.identity.host
    }

    /// Who answers, among other tasks and hosts.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The program's version.
    pub fn version(&self) -> &'static str {
        self.about.version
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One more thing that the service's readiness waits for, until it is dropped.
    pub fn latch(&self) -> Latch {
        self.readiness.latch()
    }

    /// Whether the service is ready, and whether it drains.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The operational endpoints, for a service that answers them itself.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    pub(crate) fn server<S: Service>(&self, service: S) -> Server<S> {
        let service = Arc::new(service);
        self.admin.show(&service);
        self.metrics.set_routes(service.routes());
        // Each answer has a copy. One that lives as long as the process needs no count of them, which threads would have
        // to share.
        let host = Bytes::from_static(self.identity.host.clone().leak().as_bytes());
        Server {
            service,
            served_by: HeaderValue::from_maybe_shared(host).unwrap_or(HeaderValue::from_static("")),
            limits: self.limits.clone(),
            readiness: self.readiness.clone(),
            metrics: Arc::clone(&self.metrics),
            threads: self.threads.clone(),
            faults: Arc::clone(&self.faults),
            access_log: AccessLog::new(self.access_log),
        }
    }
}
