//! Registers the containers of a node with the hub, for images without a sidecar. Reads the engine's API only, and does
//! not listen.
//!
//! - [`watcher`] keeps the [`node`] up to date through the [`engine`]'s API; [`publisher`] sends the difference to the
//!   hub. Both share the [`shared_node`].
//! - Pure parts: [`node`], from a [`container`]'s description to its registration ([`signal`], [`timestamp`]);
//!   [`services`] of a swarm; [`sync_state`], the difference to what the hub has acknowledged.

use std::process::ExitCode;

use cli::Failure;
use tokio::select;
use tokio::signal::unix::{self, SignalKind};
use tracing::info;

mod args;
mod container;
mod engine;
mod node;
mod publisher;
mod services;
mod shared_node;
mod signal;
mod sync_state;
mod timestamp;
mod watcher;

fn main() -> ExitCode {
    let outcome = match cli::parse::<args::Args>() {
        Ok(args) => client::block_on(run(&args)).and_then(|outcome| outcome),
        Err(code) => return code,
    };
    cli::exit_with("agent", outcome)
}

/// Runs until SIGTERM or SIGINT. Withdraws nothing: the containers still run, and the next agent takes over their leases.
async fn run(args: &args::Args) -> Result<ExitCode, Failure> {
    args.log.init();
    let (hub, engine) = (args.hub()?, args.engine()?);
    // PID 1 ignores signals without a handler.
    let catch = |kind| unix::signal(kind).map_err(|error| Failure::new(format!("handling signals: {error}")));
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    let node = shared_node::SharedNode::new(args.settings());
    info!(hub = %hub.url, %engine, "watching this node's containers");
    select! {
        never = watcher::watch(&engine, &node) => match never {},
        never = publisher::publish(hub, &engine, &node) => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping; containers stay registered");
    Ok(ExitCode::SUCCESS)
}
