//! `sidecar run`: start the service, keep it registered, withdraw it, stop it, and exit with its code.

use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitCode, ExitStatus};

use cli::Failure;
use client::Hub;
use protocol::{InstanceId, Withdrawal};
use rustix::process::{Signal, getpid};
use timer::Timer;
use tokio::select;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::after::After;
use crate::args::RunArgs;
use crate::leases::Leases;
use crate::process::{self, Event, Process};
use crate::signals::Signals;
use crate::status::SharedStatus;
use crate::{after, healthcheck, probe, signals};

/// Runs the service and returns its exit code. Without a hub, this process is only its init, and unless it is PID 1 the
/// service replaces it.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let hub = args.service.hub.clone();
    let waits_for_service = args.after.iter().any(|after| matches!(after, After::Service(_)));
    if hub.is_none() && waits_for_service {
        return Err(Failure::usage(
            "--after SERVICE needs --hub, which knows the services; or use HOST:PORT",
        ));
    }
    if hub.is_none() && !getpid().is_init() && args.after.is_empty() {
        return process::exec(&args.command);
    }
    args.log.init();
    let Some(url) = hub else { return client::block_on(process::run_as_init(args))? };
    let instance = args.instance()?;
    let hub = Hub { url, token_file: args.token_file.clone(), ca_file: args.hub_ca.clone() };
    hub.check()?;
    client::block_on(supervise(args, hub, instance))?
}

async fn supervise(args: &RunArgs, hub: Hub, instance: InstanceId) -> Result<ExitCode, Failure> {
    let probe_timer = Timer::new().map_err(|error| Failure::new(format!("creating a timer: {error}")))?;
    let status = SharedStatus::default();
    let mut signals = Signals::catch()?;
    healthcheck::serve(&args.service, &status);
    if let Some(signal) = after::wait(args, Some(&hub), &status, &mut signals).await? {
        info!(signal = signals::name(signal), "stopped before the service started");
        return Ok(ExitCode::from(process::signal_code(signal)));
    }
    let mut process = Process::start(args, signals)?;
    let leases = Leases::new(hub, instance, args, &status);
    let exit = select! {
        exit = run_to_the_end(args, &mut process, &leases, probe_timer) => exit,
        never = leases.run() => match never {},
    };
    process.end_leftovers().await;
    let code = process::exit_code(exit);
    if code == 0 && getpid().is_init() && !status.get().green {
        // Docker takes a container that exits with 0 before its first successful health check for a started one, and
        // Swarm then stops the task that it replaces.
        warn!("never healthy and routed; exiting with 1, so that Swarm keeps the old task");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::from(code))
}

/// Runs the service until it exits, by itself or after a stop signal.
async fn run_to_the_end(
    args: &RunArgs,
    process: &mut Process,
    leases: &Leases<'_>,
    probe_timer: Timer,
) -> ExitStatus {
    let event = select! {
        event = process.next() => event,
        never = probe::watch(args, leases.status, probe_timer) => match never {},
    };
    let exit = match event {
        Event::Exited(exit) => {
            if process.child.on_terminal {
                info!("the service exited by itself, or by a key such as Ctrl-C");
            } else {
                warn!("the service exited by itself");
            }
            exit
        }
        Event::Stop(signal) => {
            info!(signal = signals::name(signal), "stopping");
            leases.status.stop();
            stop(args, process, leases, signal).await
        }
    };
    info!(code = exit.code(), signal = exit.signal(), "the service exited");
    leases.release().await;
    exit
}

/// Withdraws the task, then forwards `signal` to the service and waits until it exits. A second stop signal skips the
/// withdrawal, a third one kills the service, and so does the end of the grace period.
async fn stop(args: &RunArgs, process: &mut Process, leases: &Leases<'_>, signal: Signal) -> ExitStatus {
    let mut signal = signal;
    let mut is_urgent = false;
    if leases.may_get_requests() {
        select! {
            result = leases.withdraw(args.withdraw_timeout) => log_withdrawal(result),
            event = process.next() => match event {
                Event::Exited(exit) => return exit,
                Event::Stop(second) => {
                    warn!(signal = signals::name(second), "withdrawal skipped");
                    signal = second;
                    is_urgent = true;
                }
            },
        }
    }
    process.child.signal(signal);
    let mut grace = pin!(sleep(args.grace));
    let mut killed = false;
    loop {
        select! {
            event = process.next() => match event {
                Event::Exited(exit) => return exit,
                Event::Stop(_) if is_urgent => process.child.signal(Signal::KILL),
                Event::Stop(second) => {
                    process.child.signal(second);
                    is_urgent = true;
                }
            },
            () = &mut grace, if !killed => {
                warn!("the service did not exit within --grace; killing it");
                process.child.signal(Signal::KILL);
                killed = true;
            }
        }
    }
}

fn log_withdrawal(result: Result<Withdrawal, String>) {
    match result {
        Ok(Withdrawal { confirmed, pending, .. }) if pending.is_empty() => {
            info!(routers = confirmed.join(","), "withdrawn");
        }
        Ok(Withdrawal { pending, .. }) => {
            warn!(routers = pending.join(","), "withdrawn, but not acknowledged by all routers in time");
        }
        Err(error) => warn!(%error, "not withdrawn in time; stopping the service, requests may fail"),
    }
}
