//! The validated settings of a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rustls::ClientConfig;

use crate::instance::InstanceKey;
use crate::pace::{Pace, interleave};
use crate::statuses::Statuses;
use crate::target::{Origin, Resolve, Target};

/// Version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: negotiated over TLS, with prior knowledge without TLS.
    Http2,
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The URLs with their weights.
    pub(crate) targets: Vec<Target>,
    /// Distinct hosts of the targets.
    pub(crate) origins: Vec<Origin>,
    /// For each target, the index of its host in `origins`.
    pub(crate) origin_of: Vec<usize>,
    /// Indexes of targets in the order of requests, which repeats.
    pub(crate) order: Vec<usize>,
    /// Method of all requests.
    pub method: Method,
    /// Header fields of all requests.
    pub headers: Vec<(String, String)>,
    /// Body of all requests.
    pub body: Vec<u8>,
    /// Version of HTTP; `None` means the server's preference over TLS, and HTTP/1.1 without TLS.
    pub http: Option<HttpVersion>,
    /// Whether connections are reused.
    pub keep_alive: bool,
    /// Maximum number of connections per host.
    pub connections: u32,
    /// Maximum number of concurrent requests per connection; more than 1 needs HTTP/2.
    pub streams: u32,
    /// Number of threads.
    pub threads: u32,
    /// Requests per second (open loop); `None` means a closed loop.
    pub rate: Option<f64>,
    /// Time over which the rate, or the number of connections, rises from zero.
    pub ramp: Duration,
    /// Maximum duration of the run.
    pub duration: Option<Duration>,
    /// Maximum number of requests.
    pub requests: Option<u64>,
    /// Maximum time for a request, including connecting.
    pub timeout: Duration,
    /// Addresses of hosts that are not looked up.
    pub resolve: Vec<Resolve>,
    /// Unix socket to connect to in place of the hosts.
    pub unix_socket: Option<PathBuf>,
    /// Statuses of successful responses.
    pub expect: Statuses,
    /// Source of the instance name in a response.
    pub instance: InstanceKey,
    /// Minimum duration of a reported outage.
    pub outage_threshold: Duration,
    /// TLS settings except ALPN. Needed if any target is an `https` URL.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Plan {
    /// Creates a plan that sends GET requests to `targets` in a closed loop over 64 connections, without end.
    pub fn new(targets: Vec<Target>) -> Self {
        let mut origins: Vec<Origin> = Vec::new();
        let origin_of = targets.iter().map(|target| {
            origins.iter().position(|origin| *origin == target.origin).unwrap_or_else(|| {
                origins.push(target.origin.clone());
                origins.len() - 1
            })
        });
        let origin_of = origin_of.collect();
        Self {
            order: interleave(&targets.iter().map(|target| target.weight).collect::<Vec<_>>()),
            targets,
            origins,
            origin_of,
            method: Method::GET,
            headers: Vec::new(),
            body: Vec::new(),
            http: None,
            keep_alive: true,
            connections: 64,
            streams: 1,
            threads: 1,
            rate: None,
            ramp: Duration::ZERO,
            duration: None,
            requests: None,
            timeout: Duration::from_secs(10),
            resolve: Vec::new(),
            unix_socket: None,
            expect: Statuses::default(),
            instance: InstanceKey::default(),
            outage_threshold: Duration::from_millis(250),
            tls: None,
        }
    }

    /// Number of distinct hosts.
    pub fn hosts(&self) -> usize {
        self.origins.len()
    }

    /// Whether any target is an `https` URL.
    pub fn uses_tls(&self) -> bool {
        self.origins.iter().any(|origin| origin.tls)
    }

    /// Due times of requests, if there is a rate.
    pub(crate) fn pace(&self) -> Option<Pace> {
        self.rate.map(|rate| Pace::new(rate, self.ramp))
    }
}
