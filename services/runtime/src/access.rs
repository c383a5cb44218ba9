//! The access log.

use std::time::Duration;

use http::{Method, StatusCode, Version};
use tracing::Level;

use crate::sampler::Sampler;
use crate::{Peer, TraceParent};

/// Says of which requests there is a line in the log: a sample of all, or with `--log-level debug` each.
#[derive(Debug)]
pub(crate) struct AccessLog(Sampler);

/// What the line of one request says.
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
    /// A line for this part of all requests.
    pub(crate) const fn new(rate: f64) -> Self {
        Self(Sampler::new(rate))
    }

    /// The beginning of this request's line, if it is to have one.
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

    /// Writes the line. Without a code the request was given up before it had an answer.
    #[cold]
    pub(crate) fn log(&self, route: &str, code: Option<StatusCode>, time: Duration) {
        let Self { is_sampled, method, path, version, trace, peer } = self;
        let code = code.map(|code| code.as_u16());
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let trace = trace.as_ref().map(tracing::field::display);
        // The level of a line is fixed where it is written.
        if *is_sampled {
            tracing::info!(%method, path, ?version, route, code, microseconds, %peer, traceparent = trace, "request");
        } else {
            tracing::debug!(%method, path, ?version, route, code, microseconds, %peer, traceparent = trace, "request");
        }
    }
}
