//! The service in a thread of the test process.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use echo::{Echo, EchoArgs};
use futures_util::FutureExt;
use harness::TIMEOUT;
use runtime::{Context, DrainReport, Limits, Listener, app_info, run};
use tokio::sync::oneshot;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    ended: mpsc::Receiver<DrainReport>,
}

/// Parses a command line.
pub(crate) fn args(words: &[&str]) -> EchoArgs {
    let command = EchoArgs::augment_args(Command::new("echo")).mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from([&["echo"], words].concat()).unwrap();
    EchoArgs::from_arg_matches(&matches).unwrap()
}

pub(crate) fn context() -> Context {
    let limits = Limits { linger: Duration::ZERO, grace: TIMEOUT, ..Limits::default() };
    Context::new(app_info!("A service under test"), "test-1", limits)
}

impl Server {
    /// Starts the service with these flags.
    pub(crate) fn start(words: &[&str]) -> Self {
        let context = context();
        let echo = Echo::new(args(words), &context).unwrap();
        let (shutdown, asked) = oneshot::channel::<()>();
        let (listening, address) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let drained = runtime.block_on(async {
                let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
                listening.send(listener.address().unwrap()).unwrap();
                // A dropped sender also ends the service.
                run(listener, echo, &context, asked.map(|_| pending::<()>())).await
            });
            // The receiver is gone when the test is over.
            let _ = end.send(drained);
        });
        Self { address: address.recv_timeout(TIMEOUT).unwrap(), shutdown, ended }
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    /// Starts the graceful shutdown and returns a receiver for its end.
    pub(crate) fn shut_down(self) -> mpsc::Receiver<DrainReport> {
        let _ = self.shutdown.send(());
        self.ended
    }
}
