//! The program `echo` from outside, and the service on a free port of this process, with clients that are not the
//! project's own.

mod client;
mod process;
mod server;

/// What it says of itself, and when it does not start.
mod command_line;
/// How it ends, and what becomes of answers that have no end.
mod end;
/// Who asked, behind proxies.
mod hops;
/// HTTP/2 beside HTTP/1 on one port.
mod http2;
/// How large an answer is, how long it takes, and what it costs.
mod knobs;
/// What proxies say of their clients.
mod proxy_protocol;
/// TLS, and clients that have to show a certificate.
mod tls;
/// Messages that are sent back.
mod websocket;
/// What it shares with whoami.
mod whoami;
