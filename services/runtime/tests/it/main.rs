//! The runtime from outside: a server on a free port of this process, and clients that speak to it byte by byte.

mod client;
mod server;

/// `/healthz`, `/readyz`, `/metrics`, `/version`, and the probe that asks for them.
mod admin;
/// What an answer looks like, whatever the service.
mod answers;
/// More clients than hyper keeps buffers for.
mod crowd;
/// How a server ends.
mod drain;
/// Faults that are made on purpose, and who may make them.
mod faults;
/// What clients may not do: send too much, or take too long.
mod limits;
/// HTTP/2 beside HTTP/1, what follows HTTP, and what comes before it.
mod protocols;
/// What breaks HTTP's rules, or could be read in two ways.
mod rules;
/// Several threads.
mod threads;
/// Unix sockets.
mod unix;
