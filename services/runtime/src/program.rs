//! A whole program around a service, with the subcommands `healthcheck` and `faults`.
//!
//! The subcommands send requests to the running service, for images without curl.

use std::fmt::Display;
use std::future::{Pending, pending};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use cli::{Failure, LogFormat, ProbeError, Token, exit_with, probe, probe_unix, reason, request};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::admin::MainOrAdmin;
use crate::args::{Invocation, ServerArgs, parse};
use crate::descriptors::{ADMIN_CONNECTIONS, raise_limit};
use crate::server::{Listeners, block_on, new_runtime, run_with};
use crate::{AppInfo, Context, DrainReport, Limits, Listener, Service, run};

/// Time limit of each step of a request to the running service: connect, send, receive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The flag and variable of the service's port.
const PORT: &str = "--port or SERVICE_PORT";
/// The flag and variable of the port for connections without HTTP.
const TCP_PORT: &str = "--tcp-port or SERVICE_TCP_PORT";
/// The flag and variable of the admin port.
const ADMIN_PORT: &str = "--admin-port or SERVICE_ADMIN_PORT";

/// Runs a program whose service has no flags of its own. `new` creates the service, within a tokio runtime.
pub fn main<S: Service>(app: AppInfo, new: impl FnOnce(&Context) -> S) -> ExitCode {
    main_with(app, |_: NoFlags, context| Ok(new(context)))
}

#[derive(Args)]
struct NoFlags {}

/// Runs a program whose service has flags of its own. `new` creates the service, within a tokio runtime.
pub fn main_with<A: Args, S: Service>(
    app: AppInfo,
    new: impl FnOnce(A, &Context) -> Result<S, Failure>,
) -> ExitCode {
    let result = match parse(app) {
        Ok(Invocation::Serve(own, args)) => serve(app, &args, |context| new(own, context)),
        Ok(Invocation::Healthcheck(args)) => healthcheck(app, &args),
        Ok(Invocation::Faults(fault, args)) => control_faults(fault.as_deref(), &args),
        Ok(Invocation::Subcommand(run)) => run(),
        Err(code) => return code,
    };
    exit_with(app.name, result)
}

/// Requests the health endpoint of the running service.
fn healthcheck(app: AppInfo, args: &ServerArgs) -> Result<ExitCode, Failure> {
    let path = app.healthcheck_path;
    let failure = |target: &dyn Display, error: ProbeError| {
        Failure::new(format_args!("requesting {path} from {target}: {error}"))
    };
    if let (Some(socket), false) = (&args.socket, app.admin_port) {
        probe_unix(socket, path, REQUEST_TIMEOUT).map_err(|error| failure(&socket.display(), error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let address = if app.admin_port { args.admin_address() } else { args.service_address() };
    let address = local(address, if app.admin_port { ADMIN_PORT } else { PORT })?;
    probe(address, path, REQUEST_TIMEOUT).map_err(|error| failure(&address, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the running service's fault. `fault` is the JSON of a fault to start, or "off" to stop it.
fn control_faults(fault: Option<&str>, args: &ServerArgs) -> Result<ExitCode, Failure> {
    let address = local(args.admin_address(), ADMIN_PORT)?;
    let (method, body) = match fault {
        None => ("GET", ""),
        Some("off") => ("DELETE", ""),
        Some(json) => ("POST", json),
    };
    let authorization = match &args.admin_token_file {
        Some(path) => format!("authorization: {}\r\n", Token::read(path)?.header()),
        None => String::new(),
    };
    let length = body.len();
    let message = format!(
        "{method} /faults HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n{body}"
    );
    match request(address, message.as_bytes(), REQUEST_TIMEOUT) {
        Ok((200, body)) => {
            // A closed stdout is not an error.
            let _ = io::stdout().write_all(body.as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        Ok((_, error)) => Err(Failure::new(error.trim_end())),
        Err(error) => Err(Failure::new(format_args!("requesting /faults from {address}: {error}"))),
    }
}

/// Replaces the unspecified address, on which a service listens, by the loopback address of IPv4, since `::` includes IPv4. `flag` sets the port.
fn local(mut address: SocketAddr, flag: &str) -> Result<SocketAddr, Failure> {
    if address.port() == 0 {
        return Err(Failure::usage(format_args!(
            "port 0: set {flag} to the port on which the service listens"
        )));
    }
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

fn serve<S: Service>(
    app: AppInfo,
    args: &ServerArgs,
    new: impl FnOnce(&Context) -> Result<S, Failure>,
) -> Result<ExitCode, Failure> {
    args.log.init();
    raise_limit();
    let runtime = new_runtime().map_err(|error| failure("starting the runtime", &error))?;
    let mut result = Ok(());
    block_on(&runtime, Box::pin(async { result = serve_until_signal(app, args, new).await }));
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve_until_signal<S: Service>(
    app: AppInfo,
    args: &ServerArgs,
    new: impl FnOnce(&Context) -> Result<S, Failure>,
) -> Result<(), Failure> {
    // Before the ports open, so that a signal which is sent as soon as they do does not kill the process.
    let signals = Signals::register().map_err(|error| failure("registering signal handlers", &error))?;
    let mut context = Context::threaded(app, args.identity(), args.limits.clone(), args.threads as usize)
        .map_err(|error| failure(format_args!("starting {} threads", args.threads), &error))?
        .with_access_log(args.access_log);
    if let Some(path) = &args.admin_token_file {
        if let Err(error) = Token::read(path) {
            tracing::warn!("{error}; the admin port rejects writes until it can read the file");
        }
        context = context.with_admin_token_file(path);
    }
    let starting = context.latch();
    let service = new(&context)?;
    let http = match &args.socket {
        Some(path) => listen_unix(path)?,
        None => listen_tcp(args.service_address(), PORT)?,
    };
    let tcp = service.tcp_port().map(|port| listen_tcp((args.address, port).into(), TCP_PORT)).transpose()?;
    let listeners = Listeners { http, tcp };
    let admin = if app.admin_port { Some(listen_tcp(args.admin_address(), ADMIN_PORT)?) } else { None };
    log_addresses(args, &listeners, admin.as_ref());
    if let Some(listener) = admin {
        spawn_admin::<S>(app, listener, &context);
    }
    inject_process_faults(args, &context);
    drop(starting);
    let shutdown = signals.shutdown(args.fault_injection.ignore_sigterm);
    let report = run_with(listeners, MainOrAdmin::Main(service), &context, shutdown).await;
    log_drain(args, report);
    if args.fault_injection.hang_on_drain {
        pending::<()>().await;
    }
    Ok(())
}

fn listen_tcp(address: SocketAddr, flag: &str) -> Result<Listener, Failure> {
    Listener::tcp(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(format_args!(
            "listening on {address}: {}; set {flag} to another port",
            reason(&error)
        )),
        _ => failure(format_args!("listening on {address}"), &error),
    })
}

fn listen_unix(path: &Path) -> Result<Listener, Failure> {
    Listener::unix(path).map_err(|error| failure(format_args!("listening on {}", path.display()), &error))
}

fn log_addresses(args: &ServerArgs, listeners: &Listeners, admin: Option<&Listener>) {
    let address = listeners.http.address().map(tracing::field::display);
    let socket = args.socket.as_deref().map(|path| tracing::field::display(path.display()));
    let tcp = listeners.tcp.as_ref().and_then(Listener::address).map(tracing::field::display);
    let admin = admin.and_then(Listener::address).map(tracing::field::display);
    tracing::info!(address, socket, tcp, admin, "listening");
}

/// Serves the admin port until the process exits: it has no drain.
fn spawn_admin<S: Service>(app: AppInfo, listener: Listener, context: &Context) {
    let limits = Limits { max_connections: Some(ADMIN_CONNECTIONS), ..context.limits().clone() };
    let own_context = Context::new(app, context.host(), limits);
    let admin = MainOrAdmin::<S>::Admin(context.admin().clone());
    tokio::spawn(async move { run(listener, admin, &own_context, pending::<Pending<()>>()).await });
}

/// Starts the faults that flags ask for.
fn inject_process_faults(args: &ServerArgs, context: &Context) {
    let faults = &args.fault_injection;
    for (_, description) in faults.active() {
        tracing::warn!("fault: {description}");
    }
    context.set_fault_injection(faults.clone());
    if let Some(time) = faults.slow_start {
        let latch = context.latch();
        after(time, move || drop(latch));
    }
    if let Some(time) = faults.crash_after {
        after(time, || {
            tracing::error!("fault: aborting");
            std::process::abort();
        });
    }
}

fn after(time: Duration, action: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        sleep(time).await;
        action();
    });
}

/// Prints the last line of the process.
fn log_drain(args: &ServerArgs, DrainReport { drained, aborted }: DrainReport) {
    match args.log.log_format {
        // A closed stderr is not an error.
        LogFormat::Text => drop(writeln!(io::stderr(), "drained={drained} aborted={aborted}")),
        LogFormat::Json => tracing::info!(drained, aborted, "drained"),
    }
}

fn failure(action: impl Display, error: &io::Error) -> Failure {
    Failure::new(format_args!("{action}: {}", reason(error)))
}

/// SIGTERM, from container engines, and SIGINT, from Ctrl-C. A process with PID 1 ignores signals without a handler.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the first signal. The output is a future that resolves at the second one.
    async fn shutdown(mut self, ignore_sigterm: bool) -> impl Future<Output = ()> {
        self.next(ignore_sigterm).await;
        async move { self.next(ignore_sigterm).await }
    }

    async fn next(&mut self, ignore_sigterm: bool) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => if !ignore_sigterm { return },
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_is_reached_by_loopback() {
        for (listening, expected) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "127.0.0.1:9090"),
            ("192.168.2.1:9090", "192.168.2.1:9090"),
        ] {
            assert_eq!(local(listening.parse().unwrap(), PORT).unwrap(), expected.parse().unwrap());
        }
    }
}
