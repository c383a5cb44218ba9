//! The service in a thread of its own.

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

/// What the command line says.
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
    /// With these flags.
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
                // Whoever drops it wants an end, too.
                run(listener, echo, &context, asked.map(|_| pending::<()>())).await
            });
            // A test that is over need not know.
            let _ = end.send(drained);
        });
        Self { address: address.recv_timeout(TIMEOUT).unwrap(), shutdown, ended }
    }

    /// Where it answers, by this scheme.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    /// Asks for the drain, as a first signal does, and returns what its end can be waited for by.
    pub(crate) fn shut_down(self) -> mpsc::Receiver<DrainReport> {
        let _ = self.shutdown.send(());
        self.ended
    }
}
