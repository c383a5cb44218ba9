//! One connection, from accept to close.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use cli::reason;
use http::StatusCode;
use hyper::service::service_fn;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::body::Upgrade;
use crate::handler::handle;
use crate::io::{ConnectionState, Io, Phase};
use crate::listener::Accepted;
use crate::metrics::{MethodIndex, RouteIndex, ThreadCounters};
use crate::protocol::{Handler, Protocol};
use crate::server::{Port, Server};
use crate::timeouts::Timeouts;
use crate::{Connection, Established, Service, Stream, Transport, Upgraded};

/// Time that a client which is still sending gets to read the last response.
const LINGERING_CLOSE: Duration = Duration::from_secs(1);

/// Everything that the requests of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionContext<S: Service> {
    pub(crate) server: Arc<Server<S>>,
    pub(crate) connection: Connection,
    pub(crate) state: Arc<ConnectionState>,
    /// Protocol that takes over after HTTP/1.
    upgrade: Mutex<Option<Upgrade>>,
}

impl<S: Service> ConnectionContext<S> {
    pub(crate) fn new(server: Arc<Server<S>>, connection: Connection, counters: Arc<ThreadCounters>) -> Self {
        let state = Arc::new(ConnectionState::new(counters));
        Self { server, connection, state, upgrade: Mutex::new(None) }
    }

    pub(crate) fn set_upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The last clone is dropped when nothing can call the service for this connection any more.
impl<S: Service> Drop for ConnectionContext<S> {
    fn drop(&mut self) {
        self.state.close();
        self.server.service.on_disconnect(&self.connection);
    }
}

/// Serves one client until either side closes the connection. Once `closing` is true, the connection closes as soon as no
/// request is being received or answered.
pub(crate) async fn serve<S: Service>(
    socket: Accepted,
    port: Port,
    context: ConnectionContext<S>,
    mut closing: watch::Receiver<bool>,
) {
    let context = Arc::new(context);
    let stream = match Stream::register(socket) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!("registering a connection: {}", reason(&error)),
    };
    let stream = match context.server.service.transport() {
        None => stream,
        Some(transport) => match establish(transport, stream, &context, &mut closing).await {
            Some(stream) => stream,
            None => return,
        },
    };
    let io = Io::new(stream, Arc::clone(&context.state));
    if port == Port::Tcp {
        let tcp = context.server.service.serve_tcp(Upgraded::new(io, closing), &context.connection);
        // Boxed, so that it does not enlarge the future of every connection.
        return Box::pin(tcp).await;
    }
    let shared = Arc::clone(&context);
    let handler = service_fn(move |request| handle(Arc::clone(&shared), request));
    let max_header_bytes = context.server.limits.max_header_bytes;
    let mut protocol = if S::HTTP2 {
        Protocol::sniff(io, handler, max_header_bytes)
    } else {
        Protocol::http1(io, handler, max_header_bytes)
    };

    let (peer, state) = (context.connection.peer, &context.state);
    let mut has_error_response = false;
    match drive(&mut protocol, &context, &mut closing).await {
        Ok(()) => {}
        Err(None) => return tracing::debug!(%peer, "serving a connection: client timed out"),
        Err(Some(error)) => {
            tracing::debug!(%peer, "serving a connection: {error}");
            if let Some(code) = error_response(&error) {
                state.counters.count_response(RouteIndex::UNKNOWN, MethodIndex::UNKNOWN, code);
                has_error_response = true;
            }
        }
    }
    if has_error_response || state.is_unread() {
        if let Some(io) = protocol.into_io() {
            linger(io).await;
        }
    } else if let Some(upgrade) = context.take_upgrade()
        && let Some(io) = protocol.into_io()
    {
        upgrade.run(Upgraded::new(io, closing)).await;
    }
}

/// Returns the code of the response that hyper has sent by itself to a request that it could not parse.
fn error_response(error: &hyper::Error) -> Option<StatusCode> {
    if !error.is_parse() || error.is_parse_version_h2() {
        None
    } else if error.is_parse_too_large() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        Some(StatusCode::BAD_REQUEST)
    }
}

/// Drives the connection to its end. `Err(None)` means that the client timed out.
async fn drive<S: Service, H: Handler>(
    protocol: &mut Protocol<H>,
    context: &ConnectionContext<S>,
    closing: &mut watch::Receiver<bool>,
) -> Result<(), Option<hyper::Error>> {
    let mut timeouts = Timeouts::new(&context.server.limits, &context.state);
    let mut closed = pin!(closing.wait_for(|&closing| closing));
    let (mut is_closing, mut is_shutting_down) = (false, false);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = protocol.poll(cx) {
                return Poll::Ready(result.map_err(Some));
            }
            is_closing = is_closing || closed.as_mut().poll(cx).is_ready();
            let shut_down = match timeouts.poll_expired(cx, is_closing) {
                Poll::Ready(phase) if phase != Phase::Idle || is_shutting_down => {
                    return Poll::Ready(Err(None));
                }
                Poll::Ready(_) => true,
                // An HTTP/2 connection with overlapping requests may never be idle.
                Poll::Pending => is_closing && context.state.is_multiplexed() && !is_shutting_down,
            };
            if !shut_down {
                return Poll::Pending;
            }
            is_shutting_down = true;
            protocol.graceful_shutdown();
        }
    })
    .await
}

/// Lets the service's transport perform its handshake. A client has as much time for it as for a request header.
async fn establish<S: Service>(
    transport: &dyn Transport,
    stream: Stream,
    context: &ConnectionContext<S>,
    closing: &mut watch::Receiver<bool>,
) -> Option<Stream> {
    let (limits, peer) = (&context.server.limits, context.connection.peer);
    let closed = async {
        drop(closing.wait_for(|&closing| closing).await);
        sleep(limits.linger).await;
    };
    let result = tokio::select! {
        result = timeout(limits.header_timeout, transport.establish(stream, peer)) => result,
        () = closed => return None,
    };
    match result {
        Ok(Ok(Established { stream, info })) => {
            if let Some(info) = info {
                context.connection.set_transport_info(info);
            }
            return Some(stream);
        }
        Ok(Err(error)) => tracing::debug!(%peer, "establishing a connection: {error}"),
        Err(_) => tracing::debug!(%peer, "establishing a connection: client timed out"),
    }
    None
}

/// Keeps reading after the last response for a while. Closing a socket with unread bytes makes the kernel reset the
/// connection, and the client might lose the response.
async fn linger(mut io: Io) {
    // On the heap, since every connection reserves the memory of this future.
    let mut bytes = vec![0; 1024];
    let read = async { while io.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(LINGERING_CLOSE, read).await;
}
