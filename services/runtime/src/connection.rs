//! One connection, from its first byte to its end.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cli::reason;
use hyper::service::service_fn;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{sleep, timeout};

use crate::conversation::Conversation;
use crate::exchange::exchange;
use crate::io::Io;
use crate::progress::Phase;
use crate::server::Line;
use crate::stream::Arrival;
use crate::transport::Established;
use crate::upgrade::Upgraded;
use crate::watch::Watch;
use crate::{Service, Stream, Transport};

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
    let stream = match line.server.service.transport() {
        None => stream,
        Some(transport) => match establish(transport, stream, &line, &mut closing).await {
            Some(stream) => stream,
            None => return,
        },
    };
    let io = Io::new(stream, Arc::clone(&line.progress), line.server.served_by.clone());
    let limits = &line.server.limits;
    let asked = Arc::clone(&line);
    let service = service_fn(move |request| exchange(Arc::clone(&asked), request));
    let mut conversation = if S::HTTP2 {
        Conversation::either(io, service, limits.max_header_bytes)
    } else {
        Conversation::http1(io, service, limits.max_header_bytes)
    };

    let told = closing.clone();
    let mut close = pin!(closing.wait_for(|&closing| closing));
    let mut watch = Watch::new(limits, &line.progress);
    let mut is_closing = false;
    let mut is_told = false;
    let mut is_waiting = false;
    let outcome = poll_fn(|cx| {
        loop {
            if let Poll::Ready(outcome) = conversation.poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            // It wakes this task whenever it has been asked once, and is ready only in a drain.
            if !is_closing && (!is_waiting || line.server.readiness.is_draining()) {
                // Without any it is not asked, but this task told to come again.
                is_waiting = has_budget_remaining();
                is_closing = close.as_mut().poll(cx).is_ready();
                // Whoever has several requests under way may well have no moment without any.
                if is_closing && line.progress.is_multiplexed() {
                    is_told = true;
                    conversation.finish();
                }
            }
            match watch.poll_expired(cx, is_closing) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Phase::Idle) if !is_told => {
                    is_told = true;
                    conversation.finish();
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
        if let Some((io, _)) = conversation.into_io() {
            discard(io).await;
        }
    } else if let Some(upgrade) = line.take_upgrade()
        && let Some((io, early)) = conversation.into_io()
    {
        upgrade.go_on(Upgraded::new(io.with_early(early).without_signing(), told)).await;
    }
}

/// Has the service's transport do what comes before the first request.
async fn establish<S>(
    transport: &dyn Transport,
    stream: Stream,
    line: &Line<S>,
    closing: &mut watch::Receiver<bool>,
) -> Option<Stream> {
    let (limits, peer) = (&line.server.limits, line.connection.peer);
    // A client has as long to begin as if it spoke HTTP at once.
    let time = limits.header_timeout;
    let closed = async {
        drop(closing.wait_for(|&closing| closing).await);
        sleep(limits.linger).await;
    };
    let outcome = tokio::select! {
        outcome = timeout(time, transport.establish(stream, peer)) => outcome,
        () = closed => return None,
    };
    match outcome {
        Ok(Ok(Established { stream, info: about })) => {
            if let Some(about) = about {
                line.connection.learn(about);
            }
            return Some(stream);
        }
        Ok(Err(error)) => tracing::debug!(%peer, "establishing a connection: {error}"),
        Err(_) => tracing::debug!(%peer, "establishing a connection: the client is too slow"),
    }
    None
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
        self.0.server.service.on_disconnect(&self.0.connection);
    }
}
