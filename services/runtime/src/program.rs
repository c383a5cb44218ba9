//! A whole program around a service.

use std::fmt::Display;
use std::future::{Pending, pending};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use cli::{Failure, LogFormat, exit_with, reason};
use tokio::time::sleep;

use crate::args::{Asked, ServerArgs, parse};
use crate::ask;
use crate::faults::Rehearsal;
use crate::front::Front;
use crate::signals::Signals;
use crate::threads::{block_on, runtime};
use crate::{AppInfo, Context, DrainReport, Listener, Service, run};

/// Runs a service without flags of its own as a whole program. `make` is called within the runtime.
pub fn main<S: Service>(about: AppInfo, make: impl FnOnce(&Context) -> S) -> ExitCode {
    main_with(about, |_: NoFlags, context| Ok(make(context)))
}

#[derive(Args)]
struct NoFlags {}

/// Runs a service with flags of its own as a whole program. `make` is called within the runtime.
pub fn main_with<A: Args, S: Service>(
    about: AppInfo,
    make: impl FnOnce(A, &Context) -> Result<S, Failure>,
) -> ExitCode {
    let outcome = match parse(about) {
        Ok(Asked::Serve(own, args)) => serve(about, &args, |context| make(own, context)),
        Ok(Asked::Healthcheck(args)) => ask::healthcheck(about, &args),
        Ok(Asked::Faults(order, args)) => ask::faults(order.as_deref(), &args),
        Ok(Asked::Errand(run)) => run(),
        Err(code) => return code,
    };
    exit_with(about.name, outcome)
}

fn serve<S: Service>(
    about: AppInfo,
    args: &ServerArgs,
    make: impl FnOnce(&Context) -> Result<S, Failure>,
) -> Result<ExitCode, Failure> {
    args.log.init();
    let runtime = runtime().map_err(|error| failed("starting the runtime", &error))?;
    let mut outcome = Ok(ExitCode::SUCCESS);
    let serving = async {
        // Before anything shows outside, so that whoever reacts to it by a signal does not kill the process.
        let signals = Signals::catch().map_err(|error| failed("catching signals", &error))?;
        let context = Context::threaded(about, args.identity(), args.limits.clone(), args.threads as usize)
            .map_err(|error| failed(format_args!("starting {} threads", args.threads), &error))?
            .with_access_log(args.access_log);
        let context = match &args.admin_token_file.0 {
            Some(path) => context.with_admin_token_file(path),
            None => context,
        };
        let starting = context.latch();
        let service = make(&context)?;
        let listener = match &args.socket {
            Some(path) => listen_unix(path)?,
            None => listen_tcp(args.service_address())?,
        };
        let admin = if about.admin_port { Some(listen_tcp(args.admin_address())?) } else { None };
        announce(args, &listener, admin.as_ref());
        if let Some(admin) = admin {
            serve_admin::<S>(about, admin, &context);
        }
        rehearse(&args.rehearsal, &context);
        drop(starting);
        let shutdown = signals.shutdown(args.rehearsal.ignore_sigterm);
        conclude(args, run(listener, Front::Service(service), &context, shutdown).await);
        if args.rehearsal.hang_on_drain {
            pending::<()>().await;
        }
        Ok(())
    };
    block_on(&runtime, Box::pin(async { outcome = serving.await.map(|()| ExitCode::SUCCESS) }));
    outcome
}

fn listen_tcp(address: SocketAddr) -> Result<Listener, Failure> {
    Listener::tcp(address).map_err(|error| failed(format_args!("listening on {address}"), &error))
}

fn listen_unix(path: &Path) -> Result<Listener, Failure> {
    Listener::unix(path).map_err(|error| failed(format_args!("listening on {}", path.display()), &error))
}

fn announce(args: &ServerArgs, listener: &Listener, admin: Option<&Listener>) {
    let address = listener.address().map(tracing::field::display);
    let socket = args.socket.as_deref().map(|path| tracing::field::display(path.display()));
    let admin = admin.and_then(Listener::address).map(tracing::field::display);
    tracing::info!(address, socket, admin, "listening");
}

/// Sets off what is to go wrong on purpose.
fn rehearse(rehearsal: &Rehearsal, context: &Context) {
    for sentence in rehearsal.sentences() {
        tracing::warn!("rehearsal: {sentence}");
    }
    context.rehearse(rehearsal.clone());
    if let Some(time) = rehearsal.slow_start.0 {
        let latch = context.latch();
        tokio::spawn(async move {
            sleep(time).await;
            drop(latch);
        });
    }
    if let Some(time) = rehearsal.crash_after.0 {
        tokio::spawn(async move {
            sleep(time).await;
            tracing::error!("rehearsal: aborting");
            std::process::abort();
        });
    }
}

/// Serves the admin port to the very end: it has no drain of its own.
fn serve_admin<S: Service>(about: AppInfo, listener: Listener, context: &Context) {
    let surroundings = Context::new(about, context.host(), context.limits().clone());
    let admin = Front::<S>::Admin(context.admin().clone());
    tokio::spawn(async move { run(listener, admin, &surroundings, pending::<Pending<()>>()).await });
}

/// The last line that the process says.
fn conclude(args: &ServerArgs, DrainReport { drained, aborted }: DrainReport) {
    match args.log.log_format {
        // Nothing is left to do when stderr is closed.
        LogFormat::Text => drop(writeln!(io::stderr(), "drained={drained} aborted={aborted}")),
        LogFormat::Json => tracing::info!(drained, aborted, "drained"),
    }
}

fn failed(action: impl Display, error: &io::Error) -> Failure {
    Failure::new(format_args!("{action}: {}", reason(error)))
}
