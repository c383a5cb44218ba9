//! Registers the containers of a node with the hub: for images that no sidecar wraps. It reads, and listens on nothing.
//!
//! - what is known, and what follows from it, without I/O and clock: [`node`], from a [`container`]'s description, the
//!   [`network`] it is reached on and the [`signal`]s that end it to its registration; [`services`] of a swarm; and the
//!   [`ledger`], from what the hub was told and what it is to know to the next request
//! - the engine: [`engine`] is its API, [`watch`] keeps the node's picture up to date by it
//! - the hub: [`tell`] keeps it up to date, by its [client](client)
//! - between the two: the [`board`]; [`args`] are the flags

use std::process::ExitCode;

use cli::Failure;
use client::Hub;
use tokio::select;
use tokio::signal::unix::{self, SignalKind};
use tracing::info;

mod args;
mod board;
mod container;
mod engine;
mod ledger;
mod network;
mod node;
mod services;
mod signal;
mod tell;
mod time;
mod watch;

fn main() -> ExitCode {
    let outcome = match cli::parse::<args::Args>() {
        Ok(args) => run(&args),
        Err(code) => return code,
    };
    cli::exit_with("agent", outcome)
}

fn run(args: &args::Args) -> Result<ExitCode, Failure> {
    args.log.init();
    let (hub, engine) = (args.hub()?, engine::Engine::at(args.engine()?));
    client::block_on(serve(args, &hub, &engine))?
}

/// Runs until it is told to end. It withdraws nothing, since the containers run on: their leases outlast its connection
/// for a while, and its successor takes them over.
async fn serve(args: &args::Args, hub: &Hub, engine: &engine::Engine) -> Result<ExitCode, Failure> {
    // Explicitly, since PID 1 ignores signals that it has no handler for.
    let catch = |kind| unix::signal(kind).map_err(|error| Failure::new(format!("catching signals: {error}")));
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    let board = board::Board::new(args.settings());
    info!(hub = %hub.url, engine = %engine.address(), "watching this node's containers");
    select! {
        never = watch::watch(engine, &board) => match never {},
        never = tell::tell(hub, &board) => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("ends; what is registered stays for its successor");
    Ok(ExitCode::SUCCESS)
}
