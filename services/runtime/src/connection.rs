//! One connection, from its first byte to its end.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use swarmlings_cli::reason;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::timeout;

use crate::Service;
use crate::exchange::exchange;
use crate::io::Io;
use crate::listener::Arrival;
use crate::progress::Phase;
use crate::server::Line;
use crate::watch::Watch;

/// hyper does with no less.
const LEAST_BUFFER: u32 = 8192;

/// How long a client that is still sending has to read why nobody listens.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves one client until either side is done with the other. Once `closing` is true that is when no request is
/// being sent or answered.
pub(crate) async fn serve<S: Service>(
    arrival: io::Result<Arrival>,
    line: Line<S>,
    mut closing: watch::Receiver<bool>,
) {
    let line = Arc::new(line);
    // Dropped last, when nothing can call the service any more, even if this task is cut off.
    let _end = End(Arc::clone(&line));
    let stream = match arrival.and_then(Arrival::settle) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!("handing a connection to its thread: {}", reason(&error)),
    };
    let io = Io::new(stream, Arc::clone(&line.progress), line.server.served_by.clone());
    let asked = Arc::clone(&line);
    let service = service_fn(move |request| exchange(Arc::clone(&asked), request));
    let mut connection = http1::Builder::new()
        .max_buf_size(line.server.limits.max_header_bytes.max(LEAST_BUFFER) as usize)
        .serve_connection(TokioIo::new(io), service);

    let mut close = pin!(closing.wait_for(|&closing| closing));
    let mut watch = Watch::new(&line.server.limits, &line.progress);
    let mut is_closing = false;
    let mut is_told = false;
    let mut is_waiting = false;
    let outcome = poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            // It wakes this task whenever it has been asked once, and is ready only in a drain.
            if !is_closing && (!is_waiting || line.server.readiness.is_draining()) {
                // Without any it is not asked, but this task told to come again.
                is_waiting = has_budget_remaining();
                is_closing = close.as_mut().poll(cx).is_ready();
            }
            match watch.poll_expired(cx, is_closing) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Phase::Idle) if !is_told => {
                    is_told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                Poll::Ready(_) => return Poll::Ready(None),
            }
        }
    })
    .await;

    let peer = line.connection.peer;
    match outcome {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%peer, "serving a connection: {error}"),
        None => return tracing::debug!(%peer, "serving a connection: the client is too slow"),
    }
    if line.progress.is_unread() {
        discard(connection.into_parts().io.into_inner()).await;
    }
}

/// Reads on after the last answer for a while: the kernel resets a connection that is closed with bytes unread, and
/// the client might so lose the answer.
async fn discard(mut io: Io) {
    // Not part of the future, which every connection has.
    let mut bytes = vec![0; 1024];
    let read = async { while io.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(LAST_WORDS, read).await;
}

/// Tells of the connection's end.
struct End<S: Service>(Arc<Line<S>>);

impl<S: Service> Drop for End<S> {
    fn drop(&mut self) {
        self.0.progress.close();
        self.0.server.service.disconnected(&self.0.connection);
    }
}
