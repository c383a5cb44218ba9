//! `sidecar healthcheck`, and the running sidecar's side of it: a local socket that answers with one line.
//!
//! The socket is an abstract one. It needs no writable file system and no particular user, and it is gone with the
//! sidecar. Both sides make its name from the same environment.

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
use crate::probe::Probe;
use crate::runtime;
use crate::status::Board;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait when no connection can be accepted, for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// What the line begins with if the service is green.
const GREEN: &str = "ok: ";

/// Says whether the service is green, on stdout and by exit code 0 or 1.
pub(crate) fn run(args: &ServiceArgs) -> Result<ExitCode, Failure> {
    let verdict = match args.hub.0 {
        Some(_) => ask(args),
        // There is no sidecar: it was replaced by the service.
        None => probe(args)?,
    };
    let (code, line) = match verdict {
        Ok(line) => (ExitCode::SUCCESS, line),
        Err(reason) => (ExitCode::FAILURE, reason),
    };
    // The exit code says the same to whoever has closed stdout.
    let _ = writeln!(io::stdout(), "{line}");
    Ok(code)
}

fn probe(args: &ServiceArgs) -> Result<Result<String, String>, Failure> {
    let outcome = runtime::block_on(Probe::new(args).ask())?;
    Ok(outcome.map(|()| "healthy".to_owned()).map_err(|fault| format!("{} {fault}", args.probe)))
}

fn ask(args: &ServiceArgs) -> Result<String, String> {
    let answer = || -> io::Result<String> {
        let mut stream = net::UnixStream::connect_addr(&address(args)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        stream.read_to_string(&mut line)?;
        Ok(line)
    };
    let line = answer().map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "no sidecar runs here with this environment".to_owned(),
        _ => format!("asking the sidecar: {error}"),
    })?;
    let line = line.trim_end();
    line.strip_prefix(GREEN).map(ToOwned::to_owned).ok_or_else(|| line.to_owned())
}

/// Answers health checks from now on. A sidecar that cannot does all its other work.
pub(crate) fn answer(args: &ServiceArgs, board: &Board) {
    match listen(args) {
        Ok(listener) => drop(tokio::spawn(serve(listener, board.clone()))),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            warn!("another sidecar answers health checks here; give each its own SIDECAR_TASK");
        }
        Err(error) => warn!(%error, "health checks are not answered"),
    }
}

fn listen(args: &ServiceArgs) -> io::Result<UnixListener> {
    let listener = net::UnixListener::bind_addr(&address(args)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn serve(listener: UnixListener, board: Board) {
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a health check was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let line = match board.read().verdict() {
            Ok(word) => format!("{GREEN}{word}\n"),
            Err(reason) => format!("{reason}\n"),
        };
        // One that does not listen must not keep others waiting; nothing else is lost with it.
        let _ = timeout(PATIENCE, stream.write_all(line.as_bytes())).await;
    }
}

fn address(args: &ServiceArgs) -> io::Result<SocketAddr> {
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    let name = if let Some(task) = &args.task.0 {
        task.to_string()
    } else {
        // A task that goes by no name is at least alone in its PID namespace.
        let namespace = std::fs::read_link("/proc/self/ns/pid")?;
        format!("{} {} {}", namespace.display(), text(&args.service.0), text(&args.host.0))
    };
    // A socket's name has 107 bytes at most: the hash tells long ones apart, and the beginning is for people.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let beginning: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    SocketAddr::from_abstract_name(format!("sidecar/{:016x}/{beginning}", hasher.finish()))
}
