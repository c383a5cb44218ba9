//! What is to be done, after all has been checked that can be without a connection.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::instance::Key;
use crate::pace::Pace;
use crate::target::{Origin, Target};

/// How HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2: by TLS as agreed upon, and without it because it is known that the server speaks it.
    Two,
}

/// All that is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The URLs.
    pub targets: Vec<Target>,
    /// The hosts that they are of, each once.
    pub origins: Vec<Origin>,
    /// For each of the targets, which of the hosts it is of.
    pub origin_of: Vec<usize>,
    /// In which order the targets have their turn, again and again.
    pub turns: Vec<usize>,
    /// The method of all requests.
    pub method: http::Method,
    /// Header fields of all requests.
    pub fields: Vec<(String, String)>,
    /// The body of all requests.
    pub body: Vec<u8>,
    /// How HTTP is spoken; nothing leaves it to the server, by TLS, and is HTTP/1.1 without.
    pub http: Option<Http>,
    /// Whether connections serve several requests.
    pub keep_alive: bool,
    /// The most connections at a time to each host.
    pub connections: u32,
    /// The most requests at a time on each connection: 1 but for HTTP/2.
    pub streams: u32,
    /// Threads that send.
    pub threads: u32,
    /// Requests per second; without it each connection sends as fast as it is answered.
    pub rate: Option<f64>,
    /// How long rate or connections rise.
    pub ramp: Duration,
    /// For how long it is sent.
    pub duration: Option<Duration>,
    /// How many requests are sent.
    pub requests: Option<u64>,
    /// Within what time each has its answer.
    pub timeout: Duration,
    /// What tells instances apart.
    pub instance: Key,
    /// Gaps of at least this are listed.
    pub gap: Duration,
    /// How TLS is spoken, but for the protocols that are offered in it. There is one if any host is asked by TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Plan {
    /// The hosts of targets, each once, and which of them each target is of.
    pub fn origins(targets: &[Target]) -> (Vec<Origin>, Vec<usize>) {
        let mut origins: Vec<Origin> = Vec::new();
        let places = targets.iter().map(|target| {
            origins.iter().position(|origin| *origin == target.origin).unwrap_or_else(|| {
                origins.push(target.origin.clone());
                origins.len() - 1
            })
        });
        let places = places.collect();
        (origins, places)
    }

    /// When requests are due, if there is a rate.
    pub fn pace(&self) -> Option<Pace> {
        self.rate.map(|rate| Pace::new(rate, self.ramp))
    }
}
