//! Tests of the runtime over real sockets: a server on a free port, and clients that send exact bytes.

mod client;
mod server;

/// Admin port: health, readiness, metrics, version.
mod admin;
/// Drain and shutdown.
mod drain;
/// Fault injection and its access control.
mod faults;
/// Limits on sizes and times.
mod limits;
/// Keep-alive, pipelining and idle connections among many connections.
mod many_connections;
/// HTTP/2, upgrades and transports.
mod protocols;
/// Responses that do not depend on the service.
mod responses;
/// Several serving threads.
mod threads;
/// Unix sockets.
mod unix;
/// Malformed and ambiguous requests.
mod validation;
