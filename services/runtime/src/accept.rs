//! Letting clients in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cli::reason;
use tokio::time::sleep;

use crate::listener::Listener;
use crate::metrics::ThreadCounters;
use crate::{Peer, Stream};

/// First and longest pause after the system has refused a connection; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A listener that bears with a system which is short of file descriptors or memory.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) listener: Listener,
    tally: Arc<ThreadCounters>,
    /// Since the last failure, if no connection has been accepted after it.
    pause: Option<Duration>,
}

impl Acceptor {
    pub(crate) fn new(listener: Listener, tally: Arc<ThreadCounters>) -> Self {
        Self { listener, tally, pause: None }
    }

    /// The next client. A pause that is cut short, by dropping this future, is not made up for: whatever ended it may
    /// have freed what was lacking.
    pub(crate) async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            match self.listener.accept().await {
                Ok(client) => {
                    if self.pause.take().is_some() {
                        tracing::info!("accepting connections again");
                    }
                    return client;
                }
                Err(error) if is_clients(&error) => {}
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    async fn back_off(&mut self, error: &io::Error) {
        self.tally.accept_failed();
        if self.pause.is_none() {
            tracing::warn!("accepting a connection: {}", reason(error));
        }
        // The client waits in the kernel's queue meanwhile, and a loop without a pause would only burn the time in
        // which others might finish.
        let pause = self.pause.map_or(PAUSES.0, |last| PAUSES.1.min(last * 2));
        self.pause = Some(pause);
        sleep(pause).await;
    }
}

/// Whether it was only the one client that has gone again.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
