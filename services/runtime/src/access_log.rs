//! Access log.

use std::time::Duration;

use http::{Method, StatusCode, Version};
use tracing::Level;

use crate::sampler::Sampler;
use crate::{Peer, TraceParent};

/// Selects the requests to log: a sample of all requests, or all of them at level debug.
#[derive(Debug)]
pub(crate) struct AccessLog(Sampler);

/// Log record of one request.
#[derive(Debug)]
pub(crate) struct Record {
    is_sampled: bool,
    method: Method,
    path: String,
    version: Version,
    trace: Option<TraceParent>,
    peer: Peer,
}

impl AccessLog {
    /// Creates an access log of a fraction of all requests, from 0 to 1.
    pub(crate) const fn new(rate: f64) -> Self {
        Self(Sampler::new(rate))
    }

    /// Starts the record of a request, if it is selected.
    pub(crate) fn record<B>(&self, request: &http::Request<B>, peer: Peer) -> Option<Box<Record>> {
        let is_sampled = self.0.sample();
        (is_sampled || tracing::enabled!(Level::DEBUG)).then(|| Record::boxed(is_sampled, request, peer))
    }
}

impl Record {
    #[cold]
    fn boxed<B>(is_sampled: bool, request: &http::Request<B>, peer: Peer) -> Box<Self> {
        Box::new(Self {
            is_sampled,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            version: request.version(),
            trace: TraceParent::from_headers(request.headers()),
            peer,
        })
    }

    /// Logs the request. `code` is `None` if the request ended without a response.
    #[cold]
    pub(crate) fn log(&self, route: &str, code: Option<StatusCode>, time: Duration) {
        let Self { is_sampled, method, path, version, trace, peer } = self;
        let code = code.map(|code| code.as_u16());
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let trace = trace.as_ref().map(tracing::field::display);
        // tracing requires a constant level at each call.
        if *is_sampled {
            tracing::info!(%method, path, ?version, route, code, microseconds, %peer, traceparent = trace, "request");
        } else {
            tracing::debug!(%method, path, ?version, route, code, microseconds, %peer, traceparent = trace, "request");
        }
    }
}
