//! `sidecar healthcheck`: asks the running sidecar over a local socket, which answers with one line.
//!
//! The socket is an abstract Unix socket. It needs no writable file system and no particular user, and it ends with the
//! sidecar. Both sides derive its name from the same environment.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use cli::Failure;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::args::ServiceArgs;
use crate::probe::probe;
use crate::status::SharedStatus;

/// Maximum time that either side waits for the other.
const IO_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after an accept that failed for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Prefix of the line for a check that succeeds.
const OK: &str = "ok: ";

/// Prints whether the service is healthy and routed, and returns exit code 0 or 1.
pub(crate) fn run(args: &ServiceArgs) -> Result<ExitCode, Failure> {
    let result = match args.hub {
        Some(_) => ask(args),
        // Without a hub, no sidecar answers.
        None => client::block_on(probe(args))?.map(|()| "healthy".to_owned()),
    };
    let (code, line) = match result {
        Ok(line) => (ExitCode::SUCCESS, line),
        Err(reason) => (ExitCode::FAILURE, reason),
    };
    // If stdout is closed, the exit code is enough.
    let _ = writeln!(io::stdout(), "{line}");
    Ok(code)
}

fn ask(args: &ServiceArgs) -> Result<String, String> {
    let read = || -> io::Result<String> {
        let mut stream = net::UnixStream::connect_addr(&address(args)?)?;
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        let mut line = String::new();
        stream.read_to_string(&mut line)?;
        Ok(line)
    };
    let line = read().map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "no sidecar is running with this environment".to_owned(),
        _ => format!("asking the sidecar: {error}"),
    })?;
    let line = line.trim_end();
    line.strip_prefix(OK).map(ToOwned::to_owned).ok_or_else(|| line.to_owned())
}

/// Answers health checks from now on. If the socket cannot be opened, the sidecar works without it.
pub(crate) fn serve(args: &ServiceArgs, status: &SharedStatus) {
    match listen(args) {
        Ok(listener) => drop(tokio::spawn(answer(listener, status.clone()))),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            warn!("another sidecar answers health checks here; give each one its own SIDECAR_TASK");
        }
        Err(error) => warn!(%error, "health checks are not answered"),
    }
}

fn listen(args: &ServiceArgs) -> io::Result<UnixListener> {
    let listener = net::UnixListener::bind_addr(&address(args)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn answer(listener: UnixListener, status: SharedStatus) {
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "accepting a health check");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let line = match status.get().check() {
            Ok(message) => format!("{OK}{message}\n"),
            Err(reason) => format!("{reason}\n"),
        };
        // A client that does not read must not delay others. Its error concerns only itself.
        let _ = timeout(IO_TIMEOUT, stream.write_all(line.as_bytes())).await;
    }
}

fn address(args: &ServiceArgs) -> io::Result<SocketAddr> {
    let name = if let Some(task) = &args.task {
        task.to_string()
    } else {
        // Without a task name: the PID namespace, which is the task's own in a container.
        let namespace = std::fs::read_link("/proc/self/ns/pid")?;
        let (service, host) = (args.service.as_deref(), args.host.as_deref());
        format!("{} {} {}", namespace.display(), service.unwrap_or_default(), host.unwrap_or_default())
    };
    // The name of a socket has at most 107 bytes. The hash distinguishes long names; the readable part helps in `ss`.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let readable: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    SocketAddr::from_abstract_name(format!("sidecar/{:016x}/{readable}", hasher.finish()))
}
