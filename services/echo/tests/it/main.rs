//! Tests of the program `echo`, and of the service in this process, with third-party clients.

mod client;
mod process;
mod server;

/// Command line and identity headers.
mod command_line;
/// Graceful shutdown with endless responses.
mod drain;
/// Forwarding proxies.
mod forwarding;
/// Status, size and delay of responses.
mod handlers;
/// HTTP/2 and HTTP/1 on one port.
mod http2;
/// Changes to any response that the query asks for.
mod overrides;
/// The PROXY protocol.
mod proxy_protocol;
/// TCP connections without HTTP.
mod tcp;
/// TLS and client certificates.
mod tls;
/// WebSocket.
mod websocket;
/// Compatibility with whoami.
mod whoami;
