//! Integration tests on a lab: three Docker engines on this machine, joined to a swarm as three hosts. `cargo xtask test`
//! runs them, over binaries that it has built just before.
//!
//! They share one lab, and take turns.

/// `stacks/article.yml`: the article's own labels, on plain containers.
mod article;
/// `stacks/classic.yml`: the same services with Traefik's own swarm provider.
mod classic;
/// What vanishes without a word: a task, a node, the hub's node, Traefik.
mod loss;
/// `stacks/nginx.yml`: an image of others, wrapped and as it came.
mod nginx;
/// Updates, scaling, and a rolling change of labels, under load.
mod rollout;
/// The article's scenario on three hosts.
mod scenario;
