//! The signals that ask a service to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, as engines and shells send it, and SIGINT, as Ctrl-C does.
///
/// Handled explicitly, since a process that is PID 1 ignores every signal that it has no handler for.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches these signals from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the first signal into what resolves at the second. SIGTERM may count for nothing.
    pub(crate) async fn shutdown(mut self, ignore_sigterm: bool) -> impl Future<Output = ()> {
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
