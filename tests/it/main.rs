//! Integration tests: real Traefik, real processes, real Docker engines. `cargo xtask test` runs them all, over
//! binaries that it has built just before.
//!
//! Tests of this binary run at the same time: each has addresses, ports and processes of its own.

/// Containers that no sidecar wraps, on a real engine.
mod agent;
/// Who may register, who holds docker.sock, and what the hub says to bad input.
mod authority;
/// Files for docker-compose, on one engine.
mod compose;
/// Routed means confirmed, and the wait for it is bounded.
mod confirmation;
/// What docs/openapi says of a program's API.
mod description;
/// Links and paths in documents.
mod documents;
/// Echo behind Traefik, by the protocols that both speak beside HTTP/1.
mod echo;
/// Labels that are wrong, or claim what another service holds.
mod labels;
/// `load`, with services behind Traefik and with servers of others.
mod load;
/// What vanishes without a word: a task, the hub, Traefik.
mod loss;
/// `hub labels`, the tool that translates labels of Traefik 1.
mod migration;
/// Each option of Traefik's, from its label to where Traefik shows it.
mod options;
/// The page that load makes of its report, in a browser.
mod page;
/// What does no I/O and reads no clock.
mod purity;
/// Stopping and starting again, unnoticed.
mod restart;
/// The article's scenario: both services behind Traefik, to the byte.
mod scenario;
/// The stack on a real engine: the article's answers, updates under load, and what containers may not do.
mod swarm;
/// Labels of Traefik 1 through Traefik 3.
mod v1;
