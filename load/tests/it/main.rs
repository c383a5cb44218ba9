//! Runs `load` as a process against test servers.

/// Counters: each request once, each failure in its class.
mod counts;
/// End of a run: by itself, by signals, exit codes.
mod end;
mod faulty;
/// Servers that fail a known set of requests over HTTP/1.1.
mod faulty_http1;
/// Servers that fail a known set of requests over HTTP/2.
mod faulty_http2;
/// HTTP/2: retries, settings, errors.
mod http2;
/// Instances: presence, shares and evenness.
mod instances;
/// Limits on connections, requests and rate.
mod limits;
/// Phases of a request: connecting, TLS, uploads, timeouts.
mod phases;
mod run;
/// The published schema of the JSON report.
mod schema;
mod server;
mod terminal;
/// Invalid usage, which is rejected before any request.
mod usage;
