//! Integration tests on a lab: three Docker engines on this machine, which form a swarm of three hosts. `cargo xtask test`
//! builds the binaries and runs them; `cargo xtask test --all` includes the slow ones, which are ignored otherwise.
//!
//! They share one lab and run one after the other.

/// `stacks/article.yml`: the article's labels on containers without a sidecar.
mod article;
/// `stacks/canary.yml`: shares of requests for a new version.
mod canary;
/// `stacks/classic.yml`: Traefik's own swarm provider.
mod classic;
/// Losing a task, a node, the hub's node, or Traefik.
mod failures;
/// Updates of a service that cannot be routed.
mod faulty_updates;
/// `hub ps` and `hub wait`.
mod hub_commands;
/// The hub's page in a browser.
mod hub_page;
/// Several hubs: loss, pause and update.
mod hubs;
/// `stacks/lego.sh`: certificates by ACME.
mod lego;
/// `stacks/nginx.yml`: an image of another project, with and without a sidecar.
mod nginx;
mod png;
/// `stacks/published.yml`: published ports of hosts without a common network.
mod published;
/// The page of load's report on a rolling update, and the pictures of it in docs/images.
mod report;
/// Updates, scaling and changes of labels under load.
mod rollout;
/// The article's scenario on three hosts.
mod scenario;
