//! Serving until the end, and the drain.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cli::reason;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::accept::Acceptor;
use crate::listener::Listener;
use crate::progress::Progress;
use crate::server::{Line, Server};
use crate::stream::Arrival;
use crate::{Connection, Context, Peer, Service, Stream, connection};

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that were in flight when the drain began, or came after, and were answered.
    pub drained: u64,
    /// Requests that were cut off at the end.
    pub aborted: u64,
}

/// Serves until `shutdown` resolves, and then drains. What `shutdown` resolves into is a future again: when that
/// resolves too, the drain ends at once.
///
/// A drain goes like this:
/// 1. The service is unready from now on, and each answer says `connection: close`.
/// 2. For [`linger`](crate::Limits::linger) everything else stays as it was, since whoever routes requests here may
///    not know yet: new connections are let in, idle ones are kept.
/// 3. The listener closes; who waits in its queue is let in first. Idle connections are closed.
/// 4. Requests in flight are answered, until [`grace`](crate::Limits::grace) is over, reckoned from the start.
pub async fn run<S, H>(
    listener: Listener,
    service: S,
    context: &Context,
    shutdown: impl Future<Output = H>,
) -> DrainReport
where
    S: Service,
    H: Future,
{
    let mut clients = Clients::new(context.server(service));
    let server = Arc::clone(&clients.server);
    let mut acceptor = Acceptor::new(listener, Arc::clone(&server.metrics.threads()[0]));
    let hurry = clients.serve_until(&mut acceptor, shutdown).await;

    server.readiness.drain();
    let answered_before = server.metrics.answered();
    tracing::info!(in_flight = server.metrics.in_flight(), "draining");
    server.service.on_drain();
    let drain = async {
        clients.serve_until(&mut acceptor, sleep(server.limits.linger)).await;
        clients.close(acceptor.listener);
        clients.gone().await;
    };
    tokio::select! {
        () = drain => {}
        () = sleep(server.limits.grace) => {}
        _ = hurry => {}
    }
    let aborted = server.metrics.in_flight();
    clients.tasks.shutdown().await;
    DrainReport { drained: server.metrics.answered() - answered_before, aborted }
}

/// The connections that are open, each a task.
///
/// This thread lets all of them in and hands them round: each thread has as many as the others, and the drain is the same
/// for one and for several.
struct Clients<S> {
    server: Arc<Server<S>>,
    tasks: JoinSet<()>,
    closing: watch::Sender<bool>,
    /// This thread.
    here: Handle,
    /// Which thread has the next one; the first is this.
    next: usize,
}

impl<S: Service> Clients<S> {
    fn new(server: Server<S>) -> Self {
        let (server, closing) = (Arc::new(server), watch::Sender::new(false));
        Self { server, tasks: JoinSet::new(), closing, here: Handle::current(), next: 0 }
    }

    /// Lets clients in until `end`.
    async fn serve_until<T>(&mut self, acceptor: &mut Acceptor, end: impl Future<Output = T>) -> T {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                output = &mut end => return output,
                Some(_) = self.tasks.join_next() => {}
                (stream, peer) = acceptor.accept() => self.welcome(stream, peer),
            }
        }
    }

    fn welcome(&mut self, stream: Stream, peer: Peer) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let thread = self.next;
        let tallies = self.server.metrics.threads();
        self.next = (thread + 1) % tallies.len();
        let line = Line::new(
            Arc::clone(&self.server),
            Connection::new(NEXT.fetch_add(1, Ordering::Relaxed), peer),
            Arc::new(Progress::new(Arc::clone(&tallies[thread]))),
        );
        let other = thread.checked_sub(1).map(|thread| &self.server.threads.others()[thread]);
        let arrival = if other.is_some() { stream.leave() } else { Ok(Arrival::Here(stream)) };
        let serving = connection::serve(arrival, line, self.closing.subscribe());
        self.tasks.spawn_on(serving, other.unwrap_or(&self.here));
    }

    /// Lets the last clients in, and closes every connection as soon as it is idle.
    fn close(&mut self, listener: Listener) {
        match listener.close() {
            Ok(last) => last.into_iter().for_each(|(stream, peer)| self.welcome(stream, peer)),
            Err(error) => tracing::warn!("accepting the last connections: {}", reason(&error)),
        }
        self.closing.send_replace(true);
    }

    /// Waits for the end of every connection.
    async fn gone(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
