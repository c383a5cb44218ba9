//! Integration tests with real processes, real Traefik and a real Docker engine. `cargo xtask test` builds the binaries and
//! runs them. tests/README.md explains how to add one.
//!
//! They run in parallel: each test has its own addresses, ports and processes. Tests in `swarm` share a stack and take turns.

/// Tokens, `docker.sock` in stack files, and the hub's errors for invalid requests.
mod access;
/// The agent: containers without a sidecar, on a Docker engine.
mod agent;
mod attacks;
/// Certificates for clients, from a directory of the hub.
mod certificates;
/// docker-compose files, on a Docker engine.
mod compose;
/// Generations of a service, and services that define the same names.
mod conflicts;
/// Links and paths in documents.
mod documents;
/// Echo behind Traefik: HTTP/2, WebSocket and the PROXY protocol.
mod echo;
/// Losing an instance, the hub, Traefik or clients.
mod failures;
/// Random labels in a real Traefik.
mod fuzz;
/// `sidecar healthcheck`: green means routed.
mod healthcheck;
/// `hub ps`, `hub explain` and `hub wait`.
mod hub_commands;
/// The hub's page, in a browser.
mod hub_page;
/// Invalid and conflicting labels.
mod labels;
/// Clients that take as much as they can get, and log lines.
mod limits;
/// `load` against services behind Traefik and against servers of other projects.
mod load;
/// `hub labels`, which translates labels of Traefik 1.
mod migration;
/// The HTTP APIs of hub and echo, compared with docs/openapi.
mod openapi;
/// Every option of Traefik, from its label to Traefik's API.
mod options;
/// The HTML report of load, in a browser.
mod page;
/// Traefik paused during updates and stops.
mod pauses;
/// Prometheus, with the hub's targets.
mod prometheus;
/// Modules that do no I/O and read no clock.
mod purity;
/// Traefik's API: its reports, which only the hub can read.
mod reports;
/// Restarts of instances under load.
mod restart;
/// The article's scenario: ping and hello behind Traefik.
mod scenario;
/// `stacks/demo.yml` on a Docker engine: responses, updates under load, privileges.
mod swarm;
/// HTTPS between the hub and its clients.
mod tls;
/// Flags and environment variables.
mod usage;
/// Labels of Traefik 1 in Traefik 3.
mod v1;
