//! `sidecar run`, from the spawn to the exit code.

use std::process::ExitCode;
use std::time::Duration;

use cli::Failure;
use client::{Hub, HubError};
use protocol::{InstanceId, Withdrawal};
use rustix::process::Signal;
use timer::Timer;
use tokio::select;
use tokio::time::{sleep, sleep_until};
use tracing::{info, warn};

use crate::args::RunArgs;
use crate::child::{self, Ended};
use crate::lease::Lease;
use crate::process::{Event, Process};
use crate::status::Board;
use crate::{healthcheck, probe, runtime, signals};

/// Runs the service and returns its exit code; without a hub, returns only if the service cannot be started.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let Some(url) = args.service.hub.0.clone() else { return child::replace(&args.command) };
    args.log.init();
    let instance = args.instance().map_err(Failure::usage)?;
    let hub = Hub { url, token_file: args.token_file.0.clone() };
    // Later on a token that cannot be read is a hub that cannot be reached; at the start it is bad usage.
    hub.authorization().map_err(Failure::usage)?;
    runtime::block_on(supervise(args, hub, instance))?
}

async fn supervise(args: &RunArgs, hub: Hub, instance: InstanceId) -> Result<ExitCode, Failure> {
    let timer = || Timer::new().map_err(|error| Failure::new(format!("making a timer: {error}")));
    let (of_probe, of_lease) = (timer()?, timer()?);
    let mut process = Process::start(args)?;
    let board = Board::new();
    healthcheck::answer(&args.service, &board);
    tokio::spawn(end_wait_for_route(board.clone(), args.routed_timeout));
    let mut lease = Lease::new(hub, instance, args, &board, of_lease);

    let event = select! {
        event = process.next() => event,
        never = probe::watch(args, &board, of_probe) => match never {},
        never = lease.keep() => match never {},
    };
    let ended = match event {
        Event::Ended(ended) => {
            warn!("the service has ended by itself");
            ended
        }
        Event::Stop(signal) => {
            info!(signal = signals::name(signal), "stopping");
            board.stopping();
            stop(args, &mut process, &mut lease, signal).await
        }
    };
    match ended {
        Ended::Exited(code) => info!(code, "the service has ended"),
        Ended::Killed(signal) => info!(signal, "the service was ended by a signal"),
    }
    lease.leave().await;
    process.sweep().await;
    Ok(ExitCode::from(ended.code()))
}

/// Withdraws the task, and only then passes `signal` on and waits for the service to end.
async fn stop(args: &RunArgs, process: &mut Process, lease: &mut Lease<'_>, signal: Signal) -> Ended {
    let mut insistence = Insistence::default();
    let mut signal = signal;
    if insistence.heard() == Reaction::Withdraw && lease.was_healthy() {
        select! {
            outcome = lease.withdraw(args.withdraw_timeout) => report(&outcome),
            event = process.next() => match event {
                Event::Ended(ended) => return ended,
                Event::Stop(second) => {
                    warn!(signal = signals::name(second), "the rest of the withdrawal is skipped");
                    insistence.heard();
                    signal = second;
                }
            },
        }
    }
    process.signal(signal);
    drain(args.grace, process, insistence).await
}

/// Waits for the service to end, and kills it after `grace`.
async fn drain(grace: Duration, process: &mut Process, mut insistence: Insistence) -> Ended {
    let mut grace = std::pin::pin!(sleep(grace));
    let mut killed = false;
    loop {
        select! {
            event = process.next() => match event {
                Event::Ended(ended) => return ended,
                Event::Stop(signal) => match insistence.heard() {
                    Reaction::Withdraw | Reaction::Signal => process.signal(signal),
                    Reaction::Kill => process.signal(Signal::KILL),
                },
            },
            () = &mut grace, if !killed => {
                warn!("the service has not ended in time");
                process.signal(Signal::KILL);
                killed = true;
            }
        }
    }
}

fn report(outcome: &Result<Withdrawal, HubError>) {
    match outcome {
        Ok(Withdrawal { confirmed, pending }) if pending.is_empty() => {
            info!(routers = confirmed.join(","), "withdrawn");
        }
        Ok(Withdrawal { pending, .. }) => {
            warn!(routers = pending.join(","), "withdrawn, but not all routers have confirmed in time");
        }
        Err(error) => warn!(%error, "not withdrawn in time; requests may fail"),
    }
}

/// Lets `sidecar healthcheck` succeed without a route when the wait for one is over: a router that is missing must
/// not block a deployment for ever.
async fn end_wait_for_route(board: Board, patience: Duration) {
    let Some(since) = board.until(|status| status.healthy_since.is_some()).await.healthy_since else {
        return;
    };
    select! {
        _ = board.until(|status| status.routed || status.stopping) => {}
        () = sleep_until(since + patience) => {
            board.overdue();
            if board.read().verdict().is_ok() {
                warn!(after = ?patience, "still not routed; the service is called healthy all the same");
            }
        }
    }
}

/// What to do at a stopping signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Withdraw the task, then pass the signal on.
    Withdraw,
    /// Pass it on at once.
    Signal,
    /// Kill the service.
    Kill,
}

/// How often the sidecar was told to stop.
#[derive(Debug, Default)]
struct Insistence {
    heard: u32,
}

impl Insistence {
    /// One more stopping signal: the first withdraws, the second hurries, the third kills.
    fn heard(&mut self) -> Reaction {
        self.heard += 1;
        match self.heard {
            1 => Reaction::Withdraw,
            2 => Reaction::Signal,
            _ => Reaction::Kill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_hurries_and_the_third_kills() {
        let mut insistence = Insistence::default();
        let reactions = [(); 4].map(|()| insistence.heard());
        assert_eq!(reactions, [Reaction::Withdraw, Reaction::Signal, Reaction::Kill, Reaction::Kill]);
    }
}
